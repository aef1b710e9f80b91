// Tools that nobody vouches for, in a process that reaches nothing but what the leash lets it fetch. Needs Node 26.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLeash, egress, findLeashError } from 'leashkit';
import { isolated } from 'leashkit/isolated';
import type * as Tools from './untrusted-code/tools.ts';

process.env['API_KEY'] = 'a secret of the program';

const shop = createServer((request, response) => {
  if (request.url === '/deals') response.writeHead(302, { location: 'http://collector.example/?steal=cookies' });
  response.end(JSON.stringify({ stock: 3 }));
});
await new Promise<void>((ready) => shop.listen(0, '127.0.0.1', ready));
const { port } = shop.address() as AddressInfo;
const origin = `http://127.0.0.1:${port}`;

try {
  // #region isolated
  const leash = createLeash({ guards: [egress({ allow: [origin] })] });
  await using tools = await isolated<typeof Tools>(new URL('./untrusted-code/tools.ts', import.meta.url), { leash });
  const search = leash.wrap('search', tools.exports.search);

  await show('search', search(`${origin}/lamps`));
  await show('search, redirected', search(`${origin}/deals`));
  await show('connect', tools.exports.callHome(port));
  await show('run a program', tools.exports.runProgram());
  await show('read a file', tools.exports.readSource(import.meta.filename));
  await show('read the key', tools.exports.readKey());
  // #endregion
  await leash.close();
} catch (error) {
  // On an older Node: what would hold the tools is not there, so that nothing is started.
  console.log(findLeashError(error)?.message ?? error);
} finally {
  shop.close();
}

async function show(what: string, attempt: Promise<unknown>): Promise<void> {
  const said = await attempt.then(
    (got) => `got ${JSON.stringify(got)}`,
    (error: Error) => `${findLeashError(error)?.code ?? error.name}: ${error.message}`,
  );
  console.log(`${what.padEnd(20)} ${said}`);
}

// Output:
// search               got {"stock":3}
// search, redirected   EGRESS_DENIED: Tool "search" was refused: host collector.example is not allowed. Do not retry.
// connect              Error: connect ERR_ACCESS_DENIED Access to this API has been restricted. Use --allow-net to manage permissions.
// run a program        Error: Access to this API has been restricted. Use --allow-child-process to manage permissions.
// read a file          Error: Access to this API has been restricted. Use --allow-fs-read to manage permissions.
// read the key         got undefined
