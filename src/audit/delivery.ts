import { AuditUnavailableError } from '../errors.ts';
import { isPromiseLike, type MaybePromise } from '../internal/maybe-promise.ts';
import { ownWork } from '../internal/own-work.ts';
import { codeWord, inTime } from './failure.ts';
import type { AuditSink } from './sink.ts';

/** Lines that were linked and not yet taken by the sink, as many as are kept where calls go on without it. */
const MAX_KEPT = 10_000;

/**
 * Hands lines to a sink in order. Lines that had to be recorded while the sink failed are kept, and the next ones take
 * them along, so no event is lost and the chain has no gap.
 */
export class Delivery {
  readonly #sink: AuditSink;
  readonly #timeoutMs: number;
  #kept = '';
  #keptFrom = 0;
  #keptTo = -1;
  /** Everything handed over so far, where the sink is asynchronous: a line counts only once all before it do. */
  #recorded: Promise<void> | undefined;
  /** After lines were handed over and then lost, what stands in the sink has a gap; nothing may follow it. */
  #broken: { readonly cause: unknown } | undefined;
  #handing = false;

  constructor(sink: AuditSink, timeoutMs: number) {
    this.#sink = sink;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether nothing can be recorded any more. */
  get broken(): boolean {
    return this.#broken !== undefined;
  }

  /** When everything handed over so far is recorded; undefined where it already is. */
  get recorded(): Promise<void> | undefined {
    return this.#recorded;
  }

  /** Whether no further line can be kept for later. */
  get full(): boolean {
    return this.#keptTo - this.#keptFrom + 1 >= MAX_KEPT;
  }

  /**
   * Hands over lines, after those that were kept.
   *
   * @throws {AuditUnavailableError} here or in the promise: they are not recorded.
   */
  deliver(lines: string, first: number, last: number): MaybePromise<void> {
    const kept = this.#kept;
    const written = this.#hand(kept + lines, kept === '' ? first : this.#keptFrom, last);
    this.#forget();
    return written;
  }

  /** Hands over lines that stand for what has already happened; if the sink fails they are kept. */
  keep(lines: string, first: number, last: number): void {
    if (this.#kept === '') this.#keptFrom = first;
    this.#kept += lines;
    this.#keptTo = last;
    this.flush();
  }

  /** Tries again to hand over what was kept. Whether nothing is kept any more. */
  flush(): boolean {
    if (this.#kept === '') return true;
    try {
      this.check();
      return true;
    } catch {
      return false;
    }
  }

  /** @throws {AuditUnavailableError} something that happened is not recorded, and cannot be now. */
  check(): void {
    this.#checkWhole();
    if (this.#kept === '') return;
    void this.#hand(this.#kept, this.#keptFrom, this.#keptTo);
    this.#forget();
  }

  #forget(): void {
    this.#kept = '';
    this.#keptFrom = 0;
    this.#keptTo = -1;
  }

  #checkWhole(): void {
    if (this.#broken !== undefined) throw unavailable(this.#broken.cause);
  }

  #hand(lines: string, first: number, last: number): MaybePromise<void> {
    // A sink that runs a call of the log it writes would have lines follow one that is not there yet.
    if (this.#handing) this.#broken ??= { cause: new Error('the sink used the log that it writes') };
    this.#checkWhole();
    let written: unknown;
    this.#handing = true;
    try {
      written = ownWork(() => this.#sink.write(lines, first, last));
    } catch (error) {
      throw unavailable(error);
    } finally {
      this.#handing = false;
    }
    this.#checkWhole();
    if (!isPromiseLike(written)) return undefined;
    const recorded = Promise.all([this.#recorded, inTime(written, this.#timeoutMs, 'the sink')]).then(
      () => undefined,
      (error) => {
        this.#broken ??= { cause: error };
        throw unavailable(error);
      },
    );
    // Where nobody waits for this line it is no error of its own: the next decision finds the log broken.
    recorded.catch(() => {});
    this.#recorded = recorded;
    return recorded;
  }
}

/** Says no more than the system's word of what went wrong. */
export function unavailable(error: unknown): AuditUnavailableError {
  if (error instanceof AuditUnavailableError) return error;
  return new AuditUnavailableError(`the audit log cannot be written${codeWord(error)}, so no call runs`, {
    cause: error,
  });
}
