// undici of your own, with a pool for the whole leash: requests in calls and outside of them, each redirect hop judged.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLeash, EgressDeniedError, egress, findLeashError, memorySink } from 'leashkit';
import { leashDispatcher } from 'leashkit/undici';
import { interceptors, request } from 'undici';

const api = createServer((asked, response) => {
  if (asked.url === '/moved') response.writeHead(302, { location: 'http://collector.example/' });
  response.end('hello');
});
await once(api.listen(0, '127.0.0.1'), 'listening');
const origin = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;

// #region dispatcher
const audit = memorySink();
const leash = createLeash({ guards: [egress({ allow: [origin] })], audit });
const dispatcher = leashDispatcher(leash, { connections: 4 }).compose(interceptors.redirect({ maxRedirections: 3 }));

const get = async (url: string): Promise<string> => (await request(url, { dispatcher })).body.text();
const read = leash.wrap('read', get);
// #endregion

await show('in a call', read(`${origin}/`));
await show('outside of calls', get(`${origin}/`));
await show('another host', get('http://elsewhere.example/'));
await show('redirected there', read(`${origin}/moved`));
await leash.close();
api.close();

for (const line of audit.lines) {
  const { kind, tool = 'no call', host, reason = '' } = JSON.parse(line) as Record<string, string>;
  if (kind?.startsWith('egress_')) console.log([kind, tool, host, reason].join(' ').trimEnd());
}

async function show(what: string, body: Promise<string>): Promise<void> {
  const outcome = await body.catch((error: unknown) => {
    const refusal = findLeashError(error);
    if (!(refusal instanceof EgressDeniedError)) throw error;
    return `${refusal.code} ${refusal.reason} ${refusal.host}`;
  });
  console.log(`${what}: ${outcome}`);
}

// Output:
// in a call: hello
// outside of calls: hello
// another host: EGRESS_DENIED host-not-allowed elsewhere.example
// redirected there: EGRESS_DENIED host-not-allowed collector.example
// egress_ok read 127.0.0.1
// egress_ok no call 127.0.0.1
// egress_denied leashDispatcher elsewhere.example host-not-allowed
// egress_ok read 127.0.0.1
// egress_denied read collector.example host-not-allowed
