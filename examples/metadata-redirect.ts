// A page of an allowed host redirects a tool into the metadata service of the cloud, which hands out credentials. The tool
// follows redirects as everybody's fetch does; the leash refuses the hop before there is a socket, and ends the session.
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLeash, EgressDeniedError, egress, findLeashError, memorySink } from 'leashkit';

const wiki = createServer((request, response) => {
  // So that each request which is sent has a socket of its own.
  response.setHeader('connection', 'close');
  const location = 'http://169.254.169.254/latest/meta-data/iam/security-credentials/agent';
  if (request.url === '/runbook') response.writeHead(302, { location });
  response.end('The office is closed on Friday.');
}).listen(0, '127.0.0.1');
await once(wiki, 'listening');
const origin = `http://wiki.example:${(wiki.address() as AddressInfo).port}`;

/** The tool's library: it has never heard of the leash. */
async function readPage(path: string): Promise<string> {
  const response = await fetch(`${origin}${path}`);
  return response.text();
}

// #region leash
const audit = memorySink();
const leash = createLeash({
  guards: [egress({ allow: [origin], addresses: { allow: ['127.0.0.0/8'] }, resolver: () => ['127.0.0.1'] })],
  stopOn: ['EGRESS_DENIED'],
  audit,
});
const read = leash.wrap('read', readPage);
// #endregion

let sockets = 0;
subscribe('net.client.socket', () => sockets++);

// The model's plan, step by step, until it is stopped.
for (const path of ['/news', '/runbook', '/news']) {
  if (leash.signal.aborted) break;
  try {
    console.log(`${path}: ${await read(path)}`);
  } catch (error) {
    // What fetch throws is a TypeError; the refusal is its cause.
    const refusal = findLeashError(error);
    if (!(refusal instanceof EgressDeniedError)) throw error;
    console.log(`${path}: ${refusal.name}, ${refusal.reason}, ${refusal.host}`);
  }
}
console.log(`stopped: ${leash.breach?.message}`);
console.log(`sockets: ${sockets}, both to the wiki`);

await leash.close();
wiki.close();
for (const line of audit.lines) {
  const { kind, tool, host, addr, reason } = JSON.parse(line) as Record<string, string>;
  if (kind?.startsWith('egress_')) console.log([kind, tool, host, addr ?? reason].join(' '));
}

// Output:
// /news: The office is closed on Friday.
// /runbook: EgressDeniedError, host-not-allowed, 169.254.169.254
// stopped: Tool "read" was refused: host 169.254.169.254 is not allowed. Do not retry.
// sockets: 2, both to the wiki
// egress_ok read wiki.example 127.0.0.1
// egress_ok read wiki.example 127.0.0.1
// egress_denied read 169.254.169.254 host-not-allowed
