import { randomUUID } from 'node:crypto';
import { AuditUnavailableError, type EventRef } from '../errors.ts';
import type { Clock } from '../internal/clock.ts';
import { isPromiseLike, type MaybePromise } from '../internal/maybe-promise.ts';
import { GENESIS, lineHash } from './chain.ts';
import { type ArgsHash, type Commit, createCommit } from './commitment.ts';
import { type EventKind, type LineRef, logRecovered, type SessionOpen, sessionOpen } from './event.ts';
import type { AuditSink } from './sink.ts';

export interface LogInit extends Omit<SessionOpen, 'origin' | 'hash'> {
  readonly sink: AuditSink;
  readonly clock: Clock;
  /** Name in front of the log's id. */
  readonly originName: string;
  readonly args: ArgsHash;
  readonly key: Uint8Array;
}

/** How many open logs use a sink; the last one closes it. */
const users = new WeakMap<AuditSink, number>();

/** One session's chain of lines: numbers them, links them, and hands them to the sink in order. */
export class AuditLog {
  readonly id: string = randomUUID();
  /** Stands for arguments in the event that is written next. */
  readonly commit: (canonical: string) => string;
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #head: string;
  #seq = 0;
  #prev = GENESIS;
  #second = Number.NaN;
  #timestamp = '';
  /** Lines that had to be recorded while the sink failed; the next write takes them along, so no event is lost. */
  #pending = '';
  #pendingFrom = 0;
  /** Everything handed over so far, where the sink is asynchronous: a line counts only once all before it do. */
  #recorded: Promise<void> | undefined;
  /** After lines were handed over and then lost, what stands in the sink has a gap; nothing may follow it. */
  #broken: unknown;
  #closed = false;

  constructor(init: LogInit) {
    this.#sink = init.sink;
    this.#clock = init.clock;
    this.#head = `{"v":1,"log":"${this.id}","seq":`;
    const commit: Commit = createCommit(init.args, init.key, this.id);
    this.commit = (canonical) => commit(canonical, this.#seq);
    const others = users.get(init.sink) ?? 0;
    try {
      this.#open({ ...init, origin: `${init.originName}/${this.id}`, hash: init.args });
    } catch (error) {
      // No log would ever close it.
      if (others === 0) void this.#closeSink().catch(() => {});
      throw error;
    }
    users.set(init.sink, others + 1);
  }

  /** The last line. */
  get head(): LineRef {
    return { log: this.id, seq: this.#seq - 1, hash: this.#prev };
  }

  /** Where the next event will stand. */
  get next(): EventRef {
    return { log: this.id, seq: this.#seq };
  }

  get closed(): boolean {
    return this.#closed;
  }

  #open(open: SessionOpen): void {
    let torn: ReturnType<NonNullable<AuditSink['recover']>>;
    try {
      torn = this.#sink.recover?.();
    } catch (error) {
      throw unavailable(error);
    }
    let lines = this.#link('session_open', sessionOpen(open));
    if (torn !== undefined) lines += this.#link('log_recovered', logRecovered(torn.bytes, torn.sha256));
    const written = this.#hand(lines, 0, this.#seq - 1);
    // An asynchronous sink says later that it failed; the first decision then finds the log broken.
    if (isPromiseLike(written)) written.then(undefined, () => {});
  }

  /** Makes the next line and moves the chain on. */
  #link(kind: EventKind, body: string): string {
    const line = `${this.#head}${this.#seq},"ts":"${this.#now()}","kind":"${kind}"${body},"prev":"${this.#prev}"}`;
    this.#prev = lineHash(line);
    this.#seq++;
    return `${line}\n`;
  }

  #now(): string {
    const ms = Math.floor(this.#clock.wall());
    if (ms !== this.#second) {
      this.#second = ms;
      this.#timestamp = new Date(ms).toISOString();
    }
    return this.#timestamp;
  }

  /**
   * Records an event that something waits for: a call that is about to run, a refusal that is about to be told.
   *
   * @throws {AuditUnavailableError} the sink did not take it; the chain is as if the event had never been.
   */
  write(kind: EventKind, body: string): MaybePromise<void> {
    if (this.#closed) throw new AuditUnavailableError('the audit log is closed, so no call runs');
    if (this.#broken !== undefined) throw unavailable(this.#broken);
    const seq = this.#seq;
    const prev = this.#prev;
    const line = this.#link(kind, body);
    const pending = this.#pending;
    try {
      const written = this.#hand(pending + line, pending === '' ? seq : this.#pendingFrom, seq);
      this.#pending = '';
      return written;
    } catch (error) {
      this.#seq = seq;
      this.#prev = prev;
      throw error;
    }
  }

  /**
   * For a step that needs the log but has nothing to write yet.
   *
   * @throws {AuditUnavailableError} what was to be recorded before is not recorded.
   */
  check(): void {
    if (this.#broken !== undefined) throw unavailable(this.#broken);
    if (this.#pending !== '') {
      const written = this.#hand(this.#pending, this.#pendingFrom, this.#seq - 1);
      this.#pending = '';
      if (isPromiseLike(written)) written.then(undefined, () => {});
    }
  }

  /** Records what has already happened. If the sink fails the line is kept, and `write` refuses until it is recorded. */
  note(kind: EventKind, body: string): void {
    // After the close nothing may follow; only the end of a call that was forfeited at the close comes here.
    if (this.#closed) return;
    const seq = this.#seq;
    const line = this.#link(kind, body);
    if (this.#pending === '') this.#pendingFrom = seq;
    this.#pending += line;
    if (this.#broken !== undefined) return;
    try {
      const written = this.#hand(this.#pending, this.#pendingFrom, seq);
      this.#pending = '';
      if (isPromiseLike(written)) written.then(undefined, () => {});
    } catch {
      // Kept in #pending.
    }
  }

  #hand(lines: string, first: number, last: number): MaybePromise<void> {
    let written: unknown;
    try {
      written = this.#sink.write(lines, first, last);
    } catch (error) {
      throw unavailable(error);
    }
    if (!isPromiseLike(written)) return undefined;
    const recorded = Promise.all([this.#recorded, written]).then(
      () => undefined,
      (error) => {
        this.#broken ??= error ?? new Error('the sink rejected');
        throw unavailable(error);
      },
    );
    // The line after it hears of it too; that nobody waits for this one is no error of its own.
    recorded.catch(() => {});
    this.#recorded = recorded;
    return recorded;
  }

  /** Writes the last line; the sink is closed if no other log uses it. @throws {AuditUnavailableError} */
  async close(body: string): Promise<void> {
    if (this.#closed) return;
    const left = (users.get(this.#sink) ?? 1) - 1;
    users.set(this.#sink, left);
    try {
      const written = this.write('session_close', body);
      this.#closed = true;
      await written;
    } finally {
      this.#closed = true;
      if (left === 0) await this.#closeSink();
    }
  }

  async #closeSink(): Promise<void> {
    try {
      await this.#sink.close?.();
    } catch (error) {
      throw unavailable(error);
    }
  }
}

/** The system's word for what went wrong, when it is one; never a message, which may hold anything. */
function unavailable(error: unknown): AuditUnavailableError {
  if (error instanceof AuditUnavailableError) return error;
  const code = (error as { code?: unknown } | null | undefined)?.code;
  const word = typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? ` (${code})` : '';
  return new AuditUnavailableError(`the audit log cannot be written${word}, so no call runs`, { cause: error });
}
