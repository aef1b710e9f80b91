import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Store } from '../../src/stores/store.ts';
import { storeThrough } from './store-around.ts';

interface Question {
  readonly number: number;
  readonly method: keyof Store;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly number: number;
  readonly answer?: unknown;
  readonly error?: string;
}

export interface ServedStore {
  readonly port: number;
  close(): Promise<void>;
}

/** Lets other processes ask a store of this one, on a port of 127.0.0.1. */
export async function serveStore(store: Store): Promise<ServedStore> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // Somebody who was killed hears no answer.
    socket.on('error', () => undefined);
    onLine(socket, (line) => {
      const { number, method, args } = JSON.parse(line) as Question;
      void answerOf(store, method, args).then((answer) => socket.write(`${JSON.stringify({ number, ...answer })}\n`));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function onLine(socket: Socket, take: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) take(line);
  });
}

async function answerOf(store: Store, method: keyof Store, args: readonly unknown[]): Promise<Omit<Answer, 'number'>> {
  try {
    return { answer: await (store[method] as (...args: readonly unknown[]) => unknown)(...args) };
  } catch (error) {
    return { error: (error as Error).name };
  }
}

/** The store that is served on the port. */
export async function connectStore(port: number): Promise<{ readonly store: Store; close(): Promise<void> }> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const open = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  onLine(socket, (line) => {
    const { number, answer, error } = JSON.parse(line) as Answer;
    const waiting = open.get(number);
    open.delete(number);
    if (error === undefined) waiting?.resolve(answer);
    else waiting?.reject(error === 'RangeError' ? new RangeError(error) : new TypeError(error));
  });
  socket.on('close', () => {
    for (const { reject } of open.values()) reject(new Error('the connection is closed'));
  });
  let asked = 0;
  const target: Record<string, unknown> = {};
  for (const method of ['open', 'reserve', 'settle', 'read', 'sweep', 'shut', 'stop', 'resume']) {
    target[method] = (...args: readonly unknown[]): Promise<unknown> =>
      new Promise((resolve, reject) => {
        open.set(++asked, { resolve, reject });
        socket.write(`${JSON.stringify({ number: asked, method, args })}\n`);
      });
  }
  return {
    store: storeThrough((_, action) => action(), target as unknown as Store),
    close: async () => {
      socket.end();
      await once(socket, 'close');
    },
  };
}
