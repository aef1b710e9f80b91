import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to a piece of what is sent, in either direction. The rest goes through. */
export interface ProxyFaults {
  /** The connection ends, and the piece is lost: a request that nobody got, or an answer of what was done. */
  readonly cut: number;
  /** It waits for a few milliseconds, and all that follows it. */
  readonly late: number;
  /** It waits for longer than anybody does, and arrives then. */
  readonly stuck: number;
}

const LATE_MS = 20;

/** Stands between clients and a server, and breaks what it is told to break. */
export class FaultyProxy {
  readonly done: Record<'request cut' | 'answer cut' | 'late' | 'stuck', number> = {
    'request cut': 0,
    'answer cut': 0,
    late: 0,
    stuck: 0,
  };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #stuckMs: number;
  #faults: ProxyFaults | undefined;

  private constructor(target: number, stuckMs: number) {
    this.#stuckMs = stuckMs;
    this.#server = createServer({ noDelay: true }, (client) => {
      const server = connect({ port: target, host: '127.0.0.1', noDelay: true });
      const end = (): void => {
        for (const socket of [client, server]) {
          socket.destroy();
          this.#sockets.delete(socket);
        }
      };
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on('error', end).on('close', end);
      }
      this.#pass(client, server, 'request cut', end);
      this.#pass(server, client, 'answer cut', end);
    });
  }

  /** @param stuckMs longer than callers wait. */
  static async start(target: number, stuckMs: number): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target, stuckMs);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** From now on. Undefined: nothing breaks any more. */
  break(faults: ProxyFaults | undefined): void {
    this.#faults = faults;
  }

  #pass(from: Socket, to: Socket, cut: 'request cut' | 'answer cut', end: () => void): void {
    // One after the other: a piece does not overtake another of its connection.
    let before: Promise<void> = Promise.resolve();
    from.on('data', (piece) => {
      const fault = this.#drawn();
      before = before.then(async () => {
        if (fault === 'cut') {
          this.done[cut]++;
          end();
        }
        if (fault === 'late' || fault === 'stuck') {
          this.done[fault]++;
          const ms = fault === 'late' ? Math.random() * LATE_MS : this.#stuckMs;
          await new Promise((resolve) => setTimeout(resolve, ms));
        }
        if (!to.destroyed) to.write(piece);
      });
    });
  }

  #drawn(): keyof ProxyFaults | undefined {
    let drawn = Math.random();
    for (const fault of ['cut', 'late', 'stuck'] as const) {
      drawn -= this.#faults?.[fault] ?? 0;
      if (drawn < 0) return fault;
    }
    return undefined;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
