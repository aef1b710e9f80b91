import { createHash } from 'node:crypto';
import { closeSync, fstatSync, futimesSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { MaybePromise } from '../internal/maybe-promise.ts';
import { checkOneOf, checkOptions, shown } from '../internal/options.ts';
import { failed } from './failure.ts';
import { OpenFile, syncDirectory } from './open-file.ts';
import { priorHeads } from './prior-heads.ts';
import type { AuditSink, Recovered, TornTail } from './sink.ts';

const LF = 0x0a;
const CHUNK = 65_536;
const WAIT_MS = 20;
/** A claim that stands for five seconds was left by a process that died. */
const MAX_WAITS = 250;

/**
 * What of the log survives a loss of power; the death of the process alone loses nothing that was written.
 *
 * `'never'`: what the system happened to put on disk. `'interval'`: all but the last second. `'always'`: everything that
 * a call waited for.
 */
export type Durability = 'never' | 'interval' | 'always';

export interface FileSinkOptions {
  /**
   * `'never'` leaves it to the system. `'interval'` syncs the file in the background, at most once a second while
   * something new stands in it, and at the close; nothing waits for it. `'always'` lets each write wait for a sync that
   * began after it; writes that come while one runs share the next. Default: `'interval'`.
   */
  readonly durability?: Durability;
}

/**
 * Appends the log to a file of JSON lines, made with mode 0600 where it does not exist. Each event is one synchronous
 * write at the end of the file, so what a call waited for survives the death of the process; several sessions and
 * processes may share the file on a local disk. What survives a loss of power is `durability`; the entry in the directory
 * is synced with the first sync, where the system can do that.
 *
 * After a failed write or sync nothing more is written: every later write throws that error, because nobody knows what
 * the system still holds and a second sync would report success for what the first has lost.
 *
 * A file whose last line is torn is continued on a new line, and the next session records the fragment's length and
 * hash (`log_recovered`). Meanwhile `<path>.recovering` keeps other processes from doing the same.
 *
 * @throws {TypeError} no path, or an unknown option or durability.
 */
export function fileSink(path: string, options: FileSinkOptions = {}): AuditSink {
  if (typeof path !== 'string' || path === '') throw new TypeError(`fileSink expects a path, got ${shown(path)}`);
  checkOptions('fileSink', options, ['durability']);
  const { durability = 'interval' } = options;
  return new FileSink(path, checkOneOf('fileSink.durability', durability, ['never', 'interval', 'always']));
}

class FileSink implements AuditSink {
  readonly name = 'file';
  readonly #path: string;
  /** Stands beside the log while a process goes on behind a torn line. */
  readonly #claimPath: string;
  #claimed = false;
  readonly #durability: Durability;
  #file: OpenFile | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** A torn line stands at the end of the file: the next write starts on a line of its own. */
  #startsTorn = false;
  #directorySynced = false;

  constructor(path: string, durability: Durability) {
    this.#path = resolve(path);
    this.#claimPath = `${this.#path}.recovering`;
    this.#durability = durability;
  }

  #open(): OpenFile {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#file ??= new OpenFile(openSync(this.#path, 'a', 0o600), {
      synced: () => this.#syncDirectory(),
      failed: (error) => this.#fail(error),
    });
    return this.#file;
  }

  /** What stands in the file now is unknown, and so is what the system still holds: nothing is written behind it. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#file?.abandon();
    this.#file = undefined;
    try {
      this.#release();
    } catch {
      // A claim that nobody releases runs out.
    }
  }

  async #syncDirectory(): Promise<void> {
    if (this.#directorySynced) return;
    await syncDirectory(dirname(this.#path));
    this.#directorySynced = true;
  }

  recover(): Recovered | undefined {
    const { descriptor, isFile } = this.#open();
    if (!isFile) return undefined;
    let torn = this.#reading(descriptor, tornTail);
    for (let waits = 1; torn !== undefined; waits++) {
      const claimed = this.#claim(waits % MAX_WAITS === 0);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
      awaitWrites(descriptor);
      const before = torn.sha256;
      torn = this.#reading(descriptor, tornTail);
      // Other processes may be in the middle of a write; a line that is really torn stays as it is.
      if (claimed && torn?.sha256 === before) break;
    }
    this.#startsTorn = torn !== undefined;
    if (torn === undefined) this.#release();
    return { torn, prior: this.#reading(descriptor, priorHeads) };
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

  /** Reads through a descriptor of its own: the sink's may only write. */
  #reading<R>(descriptor: number, read: (reader: number, size: number) => R): R | undefined {
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
      return found.ino === mine.ino && found.dev === mine.dev ? read(reader, found.size) : undefined;
    } finally {
      closeSync(reader);
    }
  }

  write(lines: string): MaybePromise<void> {
    const file = this.#open();
    const text = this.#startsTorn ? `\n${lines}` : lines;
    try {
      const wanted = Buffer.byteLength(text);
      const written = writeSync(file.descriptor, text);
      if (written !== wanted) this.#finish(file.descriptor, text, written);
      this.#startsTorn = false;
      if (this.#claimed) this.#release();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
    if (this.#durability === 'always') return file.sync();
    if (this.#durability === 'interval') file.syncLater();
    return undefined;
  }

  #finish(descriptor: number, text: string, written: number): void {
    let rest = Buffer.from(text).subarray(written);
    while (rest.length > 0) {
      const more = writeSync(descriptor, rest);
      if (more === 0) throw failed('ENOSPC', 'the file takes no more bytes');
      rest = rest.subarray(more);
    }
  }

  async sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    // A pipe or a terminal keeps nothing.
    if (this.#file?.isFile) await this.#file.sync();
  }

  /** @throws what made the sink fail, whether or not a write has told it. */
  close(): MaybePromise<void> {
    this.#release();
    if (this.#failure !== undefined) throw this.#failure.error;
    const file = this.#file;
    this.#file = undefined;
    return file?.close();
  }
}

/**
 * Half of a line that another process is writing can be seen for as long as the system lets that process wait. A change of the
 * file's times waits for the write to end.
 */
function awaitWrites(descriptor: number): void {
  try {
    const now = new Date();
    futimesSync(descriptor, now, now);
  } catch {
    // The file is somebody else's, whose times one may not change: that time has passed is all there is then.
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
