import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { shown } from '../internal/options.ts';
import type { AuditSink, TornTail } from './sink.ts';

const LF = 0x0a;
const CHUNK = 65_536;
const WAIT_MS = 20;
/** A claim that stands for five seconds was left by a process that died. */
const MAX_WAITS = 250;

/**
 * Appends the log to a file of JSON lines, made with mode 0600 where it does not exist. Each event is one synchronous
 * write at the end of the file, so what a call waited for survives the death of the process; several sessions and
 * processes may share the file on a local disk. After a failed write nothing more is written.
 *
 * A file whose last line is torn is continued on a new line, and the next session records the fragment's length and
 * hash (`log_recovered`). Meanwhile `<path>.recovering` keeps other processes from doing the same.
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
  /** Stands beside the log while a process goes on behind a torn line. */
  readonly #claimPath: string;
  #claimed = false;
  #descriptor: number | undefined;
  #failure: unknown;
  /** A torn line stands at the end of the file: the next write starts on a line of its own. */
  #startsTorn = false;

  constructor(path: string) {
    this.#path = resolve(path);
    this.#claimPath = `${this.#path}.recovering`;
  }

  #open(): number {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#descriptor === undefined) this.#descriptor = openSync(this.#path, 'a', 0o600);
    return this.#descriptor;
  }

  recover(): TornTail | undefined {
    const descriptor = this.#open();
    if (!fstatSync(descriptor).isFile()) return undefined;
    let torn = this.#readTornTail(descriptor);
    for (let waits = 1; torn !== undefined; waits++) {
      const claimed = this.#claim(waits % MAX_WAITS === 0);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
      const before = torn.sha256;
      torn = this.#readTornTail(descriptor);
      // Other processes may be in the middle of a write; a line that is really torn stays as it is.
      if (claimed && torn?.sha256 === before) break;
    }
    this.#startsTorn = torn !== undefined;
    if (torn === undefined) this.#release();
    return torn;
  }

  /** Of the processes that find one tear a single one goes on behind it: a second LF would be a blank line. */
  #claim(fromTheDead: boolean): boolean {
    if (this.#claimed) return true;
    try {
      if (fromTheDead) rmSync(this.#claimPath, { force: true });
      closeSync(openSync(this.#claimPath, 'wx', 0o600));
      this.#claimed = true;
      return true;
    } catch (error) {
      // Where no file can be made beside the log, nobody can claim anything.
      return (error as NodeJS.ErrnoException).code !== 'EEXIST';
    }
  }

  #release(): void {
    if (this.#claimed) rmSync(this.#claimPath, { force: true });
    this.#claimed = false;
  }

  /** Reads what stands after the last LF, through a descriptor of its own: the sink's may only write. */
  #readTornTail(descriptor: number): TornTail | undefined {
    let reader: number;
    try {
      reader = openSync(this.#path, 'r');
    } catch (error) {
      // The file was moved away while a log uses it, which goes on where it is.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const mine = fstatSync(descriptor);
      const found = fstatSync(reader);
      return found.ino === mine.ino && found.dev === mine.dev ? tornTail(reader, found.size) : undefined;
    } finally {
      closeSync(reader);
    }
  }

  write(lines: string): void {
    const descriptor = this.#open();
    const text = this.#startsTorn ? `\n${lines}` : lines;
    try {
      const wanted = Buffer.byteLength(text);
      const written = writeSync(descriptor, text);
      if (written !== wanted) this.#finish(descriptor, text, written);
      this.#startsTorn = false;
      if (this.#claimed) this.#release();
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
    this.#release();
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** What stands after the last LF, read from the end. */
function tornTail(reader: number, size: number): TornTail | undefined {
  const chunks: Buffer[] = [];
  for (let end = size; end > 0; ) {
    const length = Math.min(CHUNK, end);
    const chunk = Buffer.alloc(length);
    readSync(reader, chunk, 0, length, end - length);
    const lineEnd = chunk.lastIndexOf(LF);
    chunks.unshift(chunk.subarray(lineEnd + 1));
    if (lineEnd !== -1) break;
    end -= length;
  }
  const fragment = Buffer.concat(chunks);
  if (fragment.length === 0) return undefined;
  return { bytes: fragment.length, sha256: createHash('sha256').update(fragment).digest('hex') };
}
