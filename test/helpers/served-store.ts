import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Store } from '../../src/stores/store.ts';

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

/**
 * The store that is served on the port. Connects when it is asked something, and anew when the connection has ended.
 *
 * @param timeoutMs after which a question is rejected, whatever becomes of it.
 */
export function connectStore(port: number, timeoutMs = 10_000): { readonly store: Store; close(): Promise<void> } {
  let connection: Connection | undefined;
  const ask = (method: string, args: readonly unknown[]): Promise<unknown> => {
    connection = connection?.open === true ? connection : new Connection(port);
    return connection.ask(method, args, timeoutMs);
  };
  const target: Record<string, unknown> = {};
  for (const method of ['open', 'reserve', 'settle', 'read', 'sweep', 'shut', 'stop', 'resume']) {
    target[method] = (...args: readonly unknown[]): Promise<unknown> => ask(method, args);
  }
  return { store: target as unknown as Store, close: async () => connection?.close() };
}

class Connection {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  #asked = 0;
  open = true;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('error', () => undefined).on('close', () => this.close());
    onLine(this.#socket, (line) => {
      const { number, answer, error } = JSON.parse(line) as Answer;
      if (error === undefined) this.#waiting.get(number)?.resolve(answer);
      else this.#waiting.get(number)?.reject(error === 'RangeError' ? new RangeError(error) : new TypeError(error));
    });
  }

  ask(method: string, args: readonly unknown[], timeoutMs: number): Promise<unknown> {
    const number = ++this.#asked;
    return new Promise((resolve, reject) => {
      const patience = setTimeout(() => reject(new Error('no answer in time')), timeoutMs);
      this.#socket.write(`${JSON.stringify({ number, method, args })}\n`);
      const over = (): void => {
        clearTimeout(patience);
        this.#waiting.delete(number);
      };
      this.#waiting.set(number, {
        resolve: (answer) => {
          over();
          resolve(answer);
        },
        reject: (error) => {
          over();
          reject(error);
        },
      });
    });
  }

  close(): void {
    this.open = false;
    this.#socket.destroy();
    for (const { reject } of this.#waiting.values()) reject(new Error('the connection is closed'));
  }
}
