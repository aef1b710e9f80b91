import type { MaybePromise } from '../internal/maybe-promise.ts';

/** The end of a file that holds no complete line: what a crash in the middle of a write leaves. */
export interface TornTail {
  readonly bytes: number;
  /** Hex SHA-256 of the fragment. */
  readonly sha256: string;
}

/** The last line of an earlier log beside this one. */
export interface PriorHead {
  readonly log: string;
  /** How many lines it has. */
  readonly size: number;
  /** Hex hash of the last one. */
  readonly hash: string;
}

/** What stands where a log is about to begin. */
export interface Recovered {
  /** A torn line, which this log is to put on record. */
  readonly torn?: TornTail | undefined;
  /** Heads of earlier logs, which this log is to name, so that cutting off their ends shows. */
  readonly prior?: readonly PriorHead[] | undefined;
}

/** Where the lines of a log go. Every sink receives the same bytes, so every copy verifies. */
export interface AuditSink {
  readonly name: string;
  /**
   * Takes complete lines, each with its LF, numbered `first` to `last` in their log. Called in order; several logs may
   * share a sink. Throwing or rejecting stops the calls that need the lines.
   *
   * Throwing says that nothing of them was recorded: the same numbers are handed over again, with other lines. A sink
   * that cannot know, because a part may have been taken, must undo that part or fail from then on. Rejecting says that
   * nobody knows, and ends the log. A sink must not use the log that it writes: that ends the log too.
   */
  write(lines: string, first: number, last: number): MaybePromise<void>;
  /** Resolves once everything written before is as durable as the sink can make it. */
  sync?(): Promise<void>;
  /** Called when no open log uses the sink any more; a later log may write again. */
  close?(): MaybePromise<void>;
  /** Called before the first line of each log: what of the place it must tell. */
  recover?(): Recovered | undefined;
}
