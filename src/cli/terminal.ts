import { resolve } from 'node:path';
import type { Writable } from 'node:stream';

/** What a command gets from the process that it runs in. */
export interface Context {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** The directory from which paths count. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds; only differences count. */
  now(): number;
  readonly isTerminal: { readonly stdout: boolean; readonly stderr: boolean };
  /** Aborts when the user interrupts the command. Only commands that run until then ask for it. */
  interruption(): AbortSignal;
  /** Resolves after so many milliseconds, or once the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export const EXIT = {
  ok: 0,
  /** The log was tampered with, or what was to be checked does not hold. */
  bad: 1,
  /** Wrong usage, or input that cannot be read. */
  usage: 2,
  /** Right so far, but not closed where it had to be. */
  notClosed: 3,
} as const;

/** One of the two streams of a command. A reader that went away ends it quietly; any other failure is kept. */
export class Output {
  readonly #stream: Writable;
  #broken = false;
  #failure: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    // Each write hears of its own failure; without a listener the event would end the process.
    stream.on('error', () => {});
  }

  /** Nobody reads any more: a command that only writes may stop. */
  get broken(): boolean {
    return this.#broken;
  }

  /** What was written is not all there. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Resolves when the text is handed over, and also when it never will be. */
  write(text: string | Uint8Array): Promise<void> {
    if (this.#broken || text.length === 0) return Promise.resolve();
    return new Promise((done) => {
      try {
        this.#stream.write(text, (error) => {
          if (error != null) this.#fail(error);
          done();
        });
      } catch (error) {
        this.#fail(error as Error);
        done();
      }
    });
  }

  #fail(error: Error): void {
    if (!this.#broken && (error as NodeJS.ErrnoException).code !== 'EPIPE') this.#failure = error;
    this.#broken = true;
  }
}

export type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold';

const CODES: Readonly<Record<Colour, string>> = { red: '31', green: '32', yellow: '33', dim: '2', bold: '1' };

/** The streams, paths and colours of one command. */
export class Terminal {
  readonly context: Context;
  readonly out: Output;
  readonly err: Output;
  readonly #colours: boolean;

  constructor(context: Context) {
    this.context = context;
    this.out = new Output(context.stdout);
    this.err = new Output(context.stderr);
    const { NO_COLOR: without = '', TERM: kind } = context.env;
    this.#colours = context.isTerminal.stdout && without === '' && kind !== 'dumb';
  }

  /** A path that the user gave. */
  path(file: string): string {
    return resolve(this.context.cwd, file);
  }

  /** For standard output: the text must be visible already. */
  paint(colour: Colour, text: string): string {
    return this.#colours ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
  }
}
