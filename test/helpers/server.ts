import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request that reached a server, with its whole body. */
interface Hit {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface TestServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`. */
  readonly origin: string;
  readonly port: number;
  /** Every request so far, in the order in which they were complete. */
  readonly hits: Hit[];
  /** TCP connections so far, also those that sent nothing. */
  readonly connections: () => number;
  close(): Promise<void>;
}

/** A server on loopback and a free port. `respond` is called when the request has been read to its end. */
export async function startServer(
  respond: RequestListener = (_, response) => void response.end('ok'),
): Promise<TestServer> {
  const hits: Hit[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url: target = '', headers } = request;
      hits.push({ method, target, headers, body: Buffer.concat(chunks).toString() });
      respond(request, response);
    });
    request.on('error', () => {});
  });
  server.on('connection', () => {
    connections++;
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    hits,
    connections: () => connections,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/**
 * Redirects as its query says, and else answers `ok`: `/hop?status=307&to=<location>`, every `to` as UTF-8 on the wire and
 * everything else as headers; `/chain/3` leads to `/chain/2` and so on to `/chain/0`.
 */
export const redirecting: RequestListener = (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://host');
  const left = Number(/^\/chain\/(\d+)$/.exec(pathname)?.[1] ?? 0);
  if (left > 0) {
    response.writeHead(302, { location: `/chain/${left - 1}` }).end();
  } else if (pathname === '/hop') {
    for (const [name, value] of searchParams) {
      if (name === 'to') response.appendHeader('location', Buffer.from(value).toString('latin1'));
      else if (name !== 'status') response.setHeader(name, value);
    }
    response.writeHead(Number(searchParams.get('status') ?? 302)).end('moved');
  } else {
    response.end('ok');
  }
};

/** The URL of a redirect that `redirecting` answers. */
export function hop(origin: string, status: number, to: string, headers: Record<string, string> = {}): string {
  return `${origin}/hop?${new URLSearchParams({ status: String(status), to, ...headers })}`;
}
