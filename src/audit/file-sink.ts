import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { shown } from '../internal/options.ts';
import type { AuditSink, TornTail } from './sink.ts';

const LF = 0x0a;
const CHUNK = 65_536;

/**
 * Appends the log to a file of JSON lines, made with mode 0600 where it does not exist. Each event is one synchronous
 * write at the end of the file, so what a call waited for survives the death of the process; several sessions and
 * processes may share the file on a local disk. After a failed or short write nothing more is written.
 *
 * A file whose last line is torn is continued on a new line, and the next session records the fragment's length and
 * hash (`log_recovered`).
 *
 * @throws {TypeError} no path.
 */
export function fileSink(path: string): AuditSink {
  if (typeof path !== 'string' || path === '') throw new TypeError(`fileSink expects a path, got ${shown(path)}`);
  return new FileSink(path);
}

class FileSink implements AuditSink {
  readonly name = 'file';
  readonly #path: string;
  #descriptor: number | undefined;
  #failure: unknown;
  /** A torn line stands at the end of the file: the next write starts on a line of its own. */
  #startsTorn = false;

  constructor(path: string) {
    this.#path = path;
  }

  #open(): number {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#descriptor === undefined) this.#descriptor = openSync(this.#path, 'a', 0o600);
    return this.#descriptor;
  }

  recover(): TornTail | undefined {
    const descriptor = this.#open();
    if (this.#startsTorn || !fstatSync(descriptor).isFile()) return undefined;
    let torn = readTornTail(this.#path);
    if (torn === undefined) return undefined;
    // Another process may be in the middle of a write; a line that is really torn stays as it is.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    torn = readTornTail(this.#path);
    this.#startsTorn = torn !== undefined;
    return torn;
  }

  write(lines: string): void {
    const descriptor = this.#open();
    const text = this.#startsTorn ? `\n${lines}` : lines;
    try {
      const wanted = Buffer.byteLength(text);
      const written = writeSync(descriptor, text);
      if (written !== wanted) this.#finish(descriptor, text, written);
      this.#startsTorn = false;
    } catch (error) {
      // What stands in the file now is unknown, and so is what the system still holds: never write behind it.
      this.#failure = error;
      this.close();
      throw error;
    }
  }

  #finish(descriptor: number, text: string, written: number): void {
    let rest = Buffer.from(text).subarray(written);
    while (rest.length > 0) {
      const more = writeSync(descriptor, rest);
      if (more === 0) throw Object.assign(new Error('the file takes no more bytes'), { code: 'ENOSPC' });
      rest = rest.subarray(more);
    }
  }

  close(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** What stands after the last LF, read from the end. */
function readTornTail(path: string): TornTail | undefined {
  const descriptor = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let end = fstatSync(descriptor).size; end > 0; ) {
      const size = Math.min(CHUNK, end);
      const chunk = Buffer.alloc(size);
      readSync(descriptor, chunk, 0, size, end - size);
      const lineEnd = chunk.lastIndexOf(LF);
      chunks.unshift(chunk.subarray(lineEnd + 1));
      if (lineEnd !== -1) break;
      end -= size;
    }
    const fragment = Buffer.concat(chunks);
    if (fragment.length === 0) return undefined;
    return { bytes: fragment.length, sha256: createHash('sha256').update(fragment).digest('hex') };
  } finally {
    closeSync(descriptor);
  }
}
