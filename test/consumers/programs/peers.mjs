/** Uses the subpaths that need a peer, with their peers, and prints what came of each. */
import { createServer } from 'node:http';
import { createLeash, egress, findLeashError } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashDispatcher, leashFetch } from 'leashkit/undici';
import { request } from 'undici';

const came = {};

async function part(name, use) {
  try {
    came[name] = await use();
  } catch (error) {
    const found = findLeashError(error) ?? error;
    came[name] = `${found.code ?? found.name}: ${found.message}`;
  }
}

async function schemas() {
  const leash = createLeash({ guards: [jsonSchemaArgs({ pay: { required: ['cents'] } })], stopOn: 'none' });
  const pay = leash.wrap('pay', async ({ cents }) => cents);
  const refused = await pay({}).catch((error) => error.code);
  return `${await pay({ cents: 1 })}, ${refused}`;
}

const server = createServer((_request, response) => response.end('hello'));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address();
const origin = `http://127.0.0.1:${port}`;

async function clients() {
  const leash = createLeash({ guards: [egress({ allow: [origin], enforce: 'declared' })], stopOn: 'none' });
  const dispatcher = leashDispatcher(leash);
  const answers = [await leashFetch(leash)(origin), (await request(origin, { dispatcher })).body];
  const texts = await Promise.all(answers.map((answer) => answer.text()));
  const refused = await request(`http://localhost:${port}`, { dispatcher }).catch(
    (error) => findLeashError(error)?.code,
  );
  return `${texts.join(', ')}, ${refused}`;
}

await part('ajv', schemas);
await part('undici', clients);

server.closeAllConnections();
server.close();
console.log(JSON.stringify(came));
