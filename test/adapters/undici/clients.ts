import { finished, Writable } from 'node:stream';
import type * as Module from 'undici';
import type { Dispatcher } from 'undici';

export type Undici = typeof Module;

export interface UndiciClient {
  readonly name: string;
  /** Whether it follows redirects by itself. */
  readonly follows?: boolean;
  /** Whether it does not tell why it fails, at least in some versions. */
  readonly mute?: boolean;
  /** Asks for a URL and gives what came, or something to say that an answer came. */
  get(url: string, dispatcher: Dispatcher): Promise<string>;
}

/** Everything of one copy of undici that takes a dispatcher, and the built-in ones. */
export function clientsOf(undici: Undici): readonly UndiciClient[] {
  return [
    {
      name: 'request',
      get: async (url, dispatcher) => (await undici.request(url, { dispatcher })).body.text(),
    },
    {
      name: 'request with a callback',
      get: (url, dispatcher) => {
        const { origin, pathname } = new URL(url);
        return new Promise((resolve, reject) =>
          dispatcher.request({ origin, path: pathname, method: 'GET' }, (error, answer) => {
            if (error) reject(error);
            else answer.body.text().then(resolve, reject);
          }),
        );
      },
    },
    {
      name: 'stream',
      get: async (url, dispatcher) => {
        const chunks: Buffer[] = [];
        await undici.stream(url, { dispatcher, method: 'GET' }, () => collector(chunks));
        return Buffer.concat(chunks).toString();
      },
    },
    {
      name: 'pipeline',
      get: (url, dispatcher) =>
        new Promise((resolve, reject) => {
          const chunks: Buffer[] = [];
          const duplex = undici.pipeline(url, { dispatcher, method: 'GET' }, ({ body }) => body);
          duplex.on('data', (chunk: Buffer) => chunks.push(chunk)).end();
          finished(duplex, (error) => (error ? reject(error) : resolve(Buffer.concat(chunks).toString())));
        }),
    },
    {
      name: 'upgrade',
      get: async (url, dispatcher) => {
        const headers = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
        const { socket } = await undici.upgrade(url, { dispatcher, protocol: 'websocket', headers });
        socket.destroy();
        return 'upgraded';
      },
    },
    {
      name: 'fetch',
      follows: true,
      get: async (url, dispatcher) => (await undici.fetch(url, { dispatcher })).text(),
    },
    {
      name: 'fetch of a Request',
      follows: true,
      get: async (url, dispatcher) => {
        const request = new undici.Request(url, { method: 'POST', body: 'x', dispatcher } as never);
        return (await undici.fetch(request)).text();
      },
    },
    {
      name: 'WebSocket',
      mute: true,
      get: (url, dispatcher) => closing(new undici.WebSocket(url.replace('http', 'ws'), { dispatcher }) as never),
    },
    {
      name: 'EventSource',
      mute: true,
      get: (url, dispatcher) =>
        new Promise((resolve, reject) => {
          const source = new undici.EventSource(`${url}?events`, { dispatcher } as never);
          source.onmessage = ({ data }) => {
            source.close();
            resolve(data as string);
          };
          source.onerror = () => {
            source.close();
            reject(new Error('an event source tells nothing'));
          };
        }),
    },
    {
      name: 'the built-in fetch',
      follows: true,
      get: async (url, dispatcher) => (await fetch(url, { dispatcher: dispatcher as never })).text(),
    },
    {
      name: 'the built-in WebSocket',
      mute: true,
      get: (url, dispatcher) =>
        closing(new WebSocket(url.replace('http', 'ws'), { dispatcher } as never) as unknown as WebSocket),
    },
  ];
}

function collector(chunks: Buffer[]): Writable {
  return new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk);
      done();
    },
  });
}

function closing(socket: WebSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.addEventListener('open', () => socket.send(''));
    socket.addEventListener('close', ({ code }) => resolve(`closed ${code}`));
    socket.addEventListener('error', (event) => reject((event as Event & { error?: unknown }).error));
  });
}
