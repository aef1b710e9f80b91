import { close, closeSync, fdatasync, fstatSync, fsync, open } from 'node:fs';
import { promisify } from 'node:util';
import type { MaybePromise } from '../internal/maybe-promise.ts';

const INTERVAL_MS = 1_000;
/** What systems say that cannot sync a directory, or not for us: Windows, some network and user-space file systems. */
const NO_DIRECTORY_SYNC: readonly unknown[] = ['EPERM', 'EISDIR', 'EINVAL', 'EACCES'];

export interface SyncHooks {
  /** Called after each sync, and waited for as a part of it. */
  readonly synced: () => Promise<void>;
  /** Called when a sync has failed, before those who wait for it hear of it. */
  readonly failed: (error: unknown) => void;
}

/** A descriptor that is written to, and the syncs of what was written. */
export class OpenFile {
  readonly descriptor: number;
  readonly isFile: boolean;
  readonly #hooks: SyncHooks;
  #running: Promise<void> | undefined;
  /** A sync that has not begun: it will hold what is written until then, so all who come before it share it. */
  #next: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(descriptor: number, hooks: SyncHooks) {
    this.descriptor = descriptor;
    this.isFile = fstatSync(descriptor).isFile();
    this.#hooks = hooks;
  }

  /** Resolves after a sync that began after this call. */
  sync(): Promise<void> {
    this.#next ??= this.#begin(this.#running);
    return this.#next;
  }

  async #begin(before: Promise<void> | undefined): Promise<void> {
    await before;
    // Those whom the sync before has woken are about to write again.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#running = this.#next;
    this.#next = undefined;
    this.#cancelTimer();
    try {
      await promisify(fdatasync)(this.descriptor);
      await this.#hooks.synced();
    } catch (error) {
      this.#hooks.failed(error);
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  /** Syncs within the interval what was written since the last sync began. A pipe or a terminal needs none. */
  syncLater(): void {
    if (this.#timer !== undefined || !this.isFile) return;
    this.#timer = setTimeout(() => {
      // The next write tells.
      this.sync().catch(() => {});
    }, INTERVAL_MS).unref();
  }

  #cancelTimer(): boolean {
    const waiting = this.#timer !== undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return waiting;
  }

  /** Syncs what waits for a sync, then closes the descriptor. */
  close(): MaybePromise<void> {
    const sync = this.#cancelTimer() ? this.sync() : (this.#next ?? this.#running);
    if (sync !== undefined) return sync.finally(() => closeSync(this.descriptor));
    closeSync(this.descriptor);
    return undefined;
  }

  /** Closes the descriptor once no sync uses it: its number may stand for another file right after. */
  abandon(): void {
    this.#cancelTimer();
    const sync = this.#next ?? this.#running;
    const closeQuietly = (): void => {
      try {
        closeSync(this.descriptor);
      } catch {
        // What made the sink fail says more.
      }
    };
    if (sync === undefined) closeQuietly();
    else void sync.then(closeQuietly, closeQuietly);
  }
}

/** Makes durable that the directory has the files that are in it. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    const descriptor = await promisify(open)(path, 'r');
    try {
      await promisify(fsync)(descriptor);
    } finally {
      await promisify(close)(descriptor);
    }
  } catch (error) {
    if (!NO_DIRECTORY_SYNC.includes((error as NodeJS.ErrnoException).code)) throw error;
  }
}
