// A shop on a port of this machine. One of its pages does what a compromised page does: it sends the agent elsewhere.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export async function openShop(): Promise<{ readonly origin: string; close(): void }> {
  const server = createServer((request, response) => {
    if (request.url === '/deals') response.writeHead(302, { location: 'http://collector.example/?steal=cookies' });
    response.end(JSON.stringify({ path: request.url, stock: 3 }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close(),
  };
}
