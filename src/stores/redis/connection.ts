import type { RedisClient } from './client.ts';
import { type Awaited, Deadlines } from './deadlines.ts';
import type { Script } from './scripts.ts';

/** How many scripts may be without an answer after their time. Beyond it a connection is not asked any more. */
const MAX_OVERDUE = 16;
/** Answers that a client has lost must not block for ever: so long after the last script another one is tried. */
const RETRY_MS = 30_000;

/** Sends scripts, no more than the connection answers. */
export class Connection {
  readonly deadlines: Deadlines;
  readonly #client: RedisClient;
  readonly #timeoutMs: number;
  #overdue = 0;
  #lastSent = 0;

  constructor(client: RedisClient, timeoutMs: number) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
    this.deadlines = new Deadlines(timeoutMs);
  }

  /** Whether so much is unanswered that nothing more is sent. */
  get isStuck(): boolean {
    return this.#overdue >= MAX_OVERDUE && performance.now() - this.#lastSent < RETRY_MS;
  }

  /** @throws {Error} (rejects) what the server or the client said, without anything that was sent. */
  async ask(script: Script, keys: string[], args: string[]): Promise<unknown> {
    if (this.isStuck) throw this.late();
    return new Promise((resolve, reject) => {
      let isOver = false;
      const over = (): boolean => {
        if (isOver) return false;
        isOver = true;
        this.deadlines.tidy();
        return true;
      };
      const answered = this.send(script, keys, args, () => isOver);
      const awaited: Awaited = {
        get isOver() {
          return isOver;
        },
        expire: () => {
          if (!over()) return;
          this.overdue(answered);
          reject(this.late());
        },
      };
      this.deadlines.add(awaited);
      answered.then(
        (answer) => over() && resolve(answer),
        (error) => over() && reject(error),
      );
    });
  }

  /** @param isOver whether nobody waits any more, so that it need not be sent again. */
  send(script: Script, keys: string[], args: string[], isOver: () => boolean): Promise<unknown> {
    this.#lastSent = performance.now();
    return attempt(() => this.#client.evalsha(script.sha1, keys, args)).catch((error: unknown) => {
      if (!isUnknownScript(error) || isOver()) throw told(error);
      return attempt(() => this.#client.eval(script.text, keys, args)).catch((again: unknown) => {
        throw told(again);
      });
    });
  }

  /** Counts a script that was given up until it is answered. */
  overdue(answered: Promise<unknown>): void {
    this.#overdue++;
    const over = (): void => void this.#overdue--;
    answered.then(over, over);
  }

  late(): Error {
    return new Error(`Redis did not answer within ${this.#timeoutMs} ms`);
  }
}

async function attempt(work: () => Promise<unknown>): Promise<unknown> {
  return work();
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/** The code alone: a message may tell where the server is, and errors of clients hold what was sent. */
function told(error: unknown): Error {
  const { message, code } = (error ?? {}) as { readonly message?: unknown; readonly code?: unknown };
  const said = typeof message === 'string' ? /^-?([A-Z][A-Z0-9_]{1,30})\b/.exec(message)?.[1] : undefined;
  const word = said ?? (typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,30}$/.test(code) ? code : undefined);
  return new Error(word === undefined ? 'Redis could not be asked' : `Redis could not be asked: ${word}`);
}
