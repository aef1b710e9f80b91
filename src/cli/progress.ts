import { visible } from './escape.ts';
import type { Terminal } from './terminal.ts';

/** Nobody needs to be told of what is over at once. */
const PATIENCE_MS = 500;
const INTERVAL_MS = 200;
const CLEAR = '\r\u001b[K';

/** How far a long file is read, on standard error if that is a terminal. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #label: string;
  readonly #total: number;
  #next: number;
  #shown = false;

  /** @param total size of the file in bytes; 0 where it has none. */
  constructor(terminal: Terminal, file: string, total: number) {
    this.#terminal = terminal;
    this.#label = visible(file);
    this.#total = total;
    this.#next = terminal.context.now() + PATIENCE_MS;
  }

  readonly update = (bytes: number): void => {
    const { context, err } = this.#terminal;
    if (!context.isTerminal.stderr || context.now() < this.#next) return;
    this.#next = context.now() + INTERVAL_MS;
    this.#shown = true;
    const part = this.#total > 0 ? ` ${Math.floor((Math.min(bytes, this.#total) / this.#total) * 100)}%` : '';
    void err.write(`${CLEAR}${this.#label}${part} (${(bytes / 1e6).toFixed(0)} MB)`);
  };

  async end(): Promise<void> {
    if (this.#shown) await this.#terminal.err.write(CLEAR);
  }
}
