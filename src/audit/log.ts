import { randomUUID } from 'node:crypto';
import { AuditUnavailableError, type EventRef } from '../errors.ts';
import type { Clock } from '../internal/clock.ts';
import { isPromiseLike, type MaybePromise } from '../internal/maybe-promise.ts';
import { ownWork } from '../internal/own-work.ts';
import { GENESIS, lineHash } from './chain.ts';
import { Checkpoints, type SignMode } from './checkpoints.ts';
import { type ArgsHash, type Commit, createCommit } from './commitment.ts';
import { Delivery, unavailable } from './delivery.ts';
import { Dropped } from './dropped.ts';
import { type EventKind, type LineRef, logRecovered, type SessionOpen, sessionOpen } from './event.ts';
import { inTime } from './failure.ts';
import type { RootSigner } from './key.ts';
import type { AuditSink, Recovered } from './sink.ts';

export interface LogInit extends Pick<SessionOpen, 'lib' | 'agent' | 'session' | 'mode' | 'guards' | 'egress'> {
  /** The log of the leash that this one's is a child of. */
  readonly parent: AuditLog | undefined;
  readonly sink: AuditSink;
  readonly clock: Clock;
  /** Name in front of the log's id. */
  readonly originName: string;
  readonly args: ArgsHash;
  readonly key: Uint8Array;
  readonly sign: SignMode;
  readonly signer: RootSigner | undefined;
  /** How many checkpoints a session key signs before another one takes over. */
  readonly rotateEvery: number;
  readonly onError: 'deny' | 'allow';
  readonly onCheckpoint: ((note: string) => void) | undefined;
  readonly timeoutMs: number;
}

/** How many open logs use a sink; the last one closes it. */
const users = new WeakMap<AuditSink, number>();

/** One session's chain of lines: numbers them, links them, signs them, and has them delivered in order. */
export class AuditLog {
  readonly id: string = randomUUID();
  /** `<name>/<log>`. */
  readonly origin: string;
  /** Stands for arguments in the event that is written next. */
  readonly commit: (canonical: string) => string;
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #delivery: Delivery;
  readonly #checkpoints: Checkpoints | undefined;
  readonly #allows: boolean;
  readonly #head: string;
  #seq = 0;
  #prev = GENESIS;
  #lastSeq = 0;
  #lastHash = GENESIS;
  #millisecond = Number.NaN;
  #timestamp = '';
  readonly #dropped: Dropped = new Dropped();
  /** Where somebody was told that the next event will stand. */
  #promised = -1;
  #opening: Promise<void> | undefined;
  /** The last events are being written: one checkpoint follows them all, and no other key. */
  #closing = false;
  #closed = false;

  constructor(init: LogInit) {
    this.#sink = init.sink;
    this.#clock = init.clock;
    this.#allows = init.onError === 'allow';
    this.#delivery = new Delivery(init.sink, init.timeoutMs);
    this.#head = `{"v":1,"log":"${this.id}","seq":`;
    this.origin = `${init.originName}/${this.id}`;
    const commit: Commit = createCommit(init.args, init.key, this.id);
    this.commit = (canonical) => commit(canonical, this.next().seq);
    if (init.sign !== 'none') {
      this.#checkpoints = new Checkpoints(
        { mode: init.sign, origin: this.origin, rotateEvery: init.rotateEvery, onCheckpoint: init.onCheckpoint },
        () => this.#checkpoint(),
      );
    }
    const others = users.get(init.sink) ?? 0;
    try {
      const answer = ownWork(() => this.#checkpoints?.certify(init.signer));
      const cert = isPromiseLike(answer) ? inTime(answer, init.timeoutMs, 'the signer') : answer;
      if (isPromiseLike(cert) || init.parent?.opening !== undefined) this.#opening = this.#openLater(init, cert);
      else this.#open(init, cert);
    } catch (error) {
      // No log would ever close it.
      if (others === 0) void this.#closeSink().catch(() => {});
      throw unavailable(error);
    }
    users.set(init.sink, others + 1);
  }

  /** Until the root signer has certified the session key no event can be written; undefined once it can. */
  get opening(): Promise<void> | undefined {
    return this.#opening;
  }

  /** The last event that was written, which a checkpoint and a change of keys may already follow. */
  get last(): LineRef {
    return { log: this.id, seq: this.#lastSeq, hash: this.#lastHash };
  }

  /** The last line. */
  get head(): LineRef {
    return { log: this.id, seq: this.#seq - 1, hash: this.#prev };
  }

  /** Where the next event will stand, unless it cannot be recorded: that place is kept for it. */
  next(): EventRef {
    this.#tellDropped();
    this.#promised = this.#seq;
    return { log: this.id, seq: this.#seq };
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Signs proof tokens of this session; undefined where the log is not signed. */
  get checkpoints(): Checkpoints | undefined {
    return this.#checkpoints;
  }

  #open(init: LogInit, cert: string | undefined): void {
    const recovered: Recovered | undefined = ownWork(() => this.#sink.recover?.());
    const { lib, agent, session, mode, guards, egress, args: hash, parent } = init;
    // The line that this one names comes before it.
    parent?.catchUp();
    const open = { origin: this.origin, lib, agent, session, mode, hash, guards, egress, parent: parent?.head };
    const key = this.#checkpoints?.publicKey;
    let lines = this.#link('session_open', sessionOpen({ ...open, key, cert, prior: recovered?.prior }));
    const first = this.#prev;
    const { torn } = recovered ?? {};
    if (torn !== undefined) lines += this.#link('log_recovered', logRecovered(torn.bytes, torn.sha256));
    void this.#delivery.deliver(lines, 0, this.#seq - 1);
    // A checkpoint may follow at once, and covers both.
    if (torn !== undefined) this.#checkpoints?.pushQuietly(first);
    this.#checkpoints?.push(this.#prev);
  }

  /** When the root signer and the parent's log are ready. Until then every decision waits. */
  #openLater(init: LogInit, cert: MaybePromise<string | undefined>): Promise<void> {
    const opening = Promise.all([cert, init.parent?.opening])
      .then(([certificate]) => {
        this.#open(init, certificate);
        this.#opening = undefined;
      })
      .catch((error: unknown) => {
        throw unavailable(error);
      });
    // Each decision that waits hears of it.
    opening.catch(() => {});
    return opening;
  }

  /** Makes the next line and moves the chain on. */
  #link(kind: EventKind, body: string): string {
    const line = `${this.#head}${this.#seq},"ts":"${this.#now()}","kind":"${kind}"${body},"prev":"${this.#prev}"}`;
    this.#prev = lineHash(line);
    // A change of keys may follow an event at once, and is not what `last` is asked about.
    if (kind !== 'key_rotated') {
      this.#lastHash = this.#prev;
      this.#lastSeq = this.#seq;
    }
    this.#seq++;
    return `${line}\n`;
  }

  #now(): string {
    const ms = Math.floor(this.#clock.wall());
    if (ms !== this.#millisecond) {
      this.#millisecond = ms;
      this.#timestamp = new Date(ms).toISOString();
    }
    return this.#timestamp;
  }

  /**
   * Records an event that something waits for: a call that is about to run, a refusal that is about to be told.
   *
   * @throws {AuditUnavailableError} the sink did not take it, and calls are not allowed to go on without it; the chain is
   * as if the event had never been.
   */
  write(kind: EventKind, body: string): MaybePromise<void> {
    if (this.#closed) throw new AuditUnavailableError('the audit log is closed, so no call runs');
    if (this.#allows) return this.#writeOrDrop(kind, body);
    const seq = this.#seq;
    const prev = this.#prev;
    const lastSeq = this.#lastSeq;
    const lastHash = this.#lastHash;
    const line = this.#link(kind, body);
    let written: MaybePromise<void>;
    try {
      written = this.#delivery.deliver(line, seq, seq);
    } catch (error) {
      this.#seq = seq;
      this.#prev = prev;
      this.#lastSeq = lastSeq;
      this.#lastHash = lastHash;
      throw error;
    }
    this.#checkpoints?.push(this.#prev);
    return written;
  }

  /** Records what has already happened. If the sink fails the line is kept, and `write` refuses until it is recorded. */
  note(kind: EventKind, body: string): void {
    // After the close nothing may follow; only the end of a call that was forfeited at the close comes here.
    if (this.#closed) return;
    if (this.#opening !== undefined) {
      const whenOpen = (): void => this.note(kind, body);
      this.#opening.then(whenOpen, () => {});
      return;
    }
    if (this.#allows) this.#writeOrDrop(kind, body);
    else this.#keep(kind, body);
  }

  /** Calls go on whether or not the sink takes their events. What cannot be kept for it is counted, and told of later. */
  #writeOrDrop(kind: EventKind, body: string): undefined {
    this.#tellDropped();
    this.#promised = -1;
    if (this.#dropped.any || this.#isFull()) {
      this.#dropped.add(Math.floor(this.#clock.wall()));
      return undefined;
    }
    this.#keep(kind, body);
    return undefined;
  }

  #isFull(): boolean {
    return this.#delivery.broken || (this.#delivery.full && !this.#delivery.flush());
  }

  /** It takes a place of its own, so not between somebody being told of the next one and the event that goes there. */
  #tellDropped(): void {
    if (this.#dropped.any && this.#promised !== this.#seq && !this.#isFull())
      this.#keep('events_dropped', this.#dropped.take());
  }

  #keep(kind: EventKind, body: string): void {
    const seq = this.#seq;
    this.#delivery.keep(this.#link(kind, body), seq, seq);
    this.#checkpoints?.push(this.#prev);
  }

  /**
   * For a step that needs the log but has nothing to write yet.
   *
   * @throws {AuditUnavailableError} what was to be recorded before is not recorded.
   */
  check(): void {
    if (!this.#allows) this.#delivery.check();
  }

  /** Hands over what was kept, before somebody names a line of it. @throws {AuditUnavailableError} as `check`. */
  catchUp(): void {
    if (this.#allows) this.#delivery.flush();
    else this.#delivery.check();
  }

  /** Writes the statement that signs every line so far, and names the next key when it is time. */
  #checkpoint(): void {
    const checkpoints = this.#checkpoints;
    if (checkpoints === undefined || this.#closing || this.#closed || this.#delivery.broken) return;
    this.#sign(checkpoints);
    const rotated = checkpoints.rotate();
    if (rotated === undefined) return;
    const seq = this.#seq;
    this.#delivery.keep(this.#link('key_rotated', rotated), seq, seq);
    checkpoints.pushQuietly(this.#prev);
  }

  #sign(checkpoints: Checkpoints): void {
    const seq = this.#seq;
    const line = checkpoints.line(this.#head, seq, this.#prev);
    this.#prev = lineHash(line);
    this.#seq++;
    checkpoints.pushQuietly(this.#prev);
    this.#delivery.keep(`${line}\n`, seq, seq);
    checkpoints.tell();
  }

  /** Writes the last lines; the sink is closed if no other log uses it. @throws {AuditUnavailableError} */
  async close(body: string): Promise<void> {
    if (this.#closed) return;
    const left = (users.get(this.#sink) ?? 1) - 1;
    users.set(this.#sink, left);
    try {
      // Not in another step than the one that made the body, where nothing has to be waited for: events may come between.
      if (this.#opening !== undefined) await this.#opening;
      this.#closing = true;
      const written = this.write('session_close', body);
      if (this.#checkpoints !== undefined && !this.#delivery.broken) this.#sign(this.#checkpoints);
      this.#closed = true;
      await written;
      // Calls may go on without a log; the close says whether there is one.
      this.#delivery.check();
      await this.#delivery.recorded;
    } finally {
      this.#closed = true;
      this.#checkpoints?.destroy();
      if (left === 0) await this.#closeSink();
    }
  }

  async #closeSink(): Promise<void> {
    try {
      await ownWork(() => this.#sink.close?.());
    } catch (error) {
      throw unavailable(error);
    }
  }
}
