import type { MaybePromise } from '../internal/maybe-promise.ts';

/** The end of a file that holds no complete line: what a crash in the middle of a write leaves. */
export interface TornTail {
  readonly bytes: number;
  /** Hex SHA-256 of the fragment. */
  readonly sha256: string;
}

/** Where the lines of a log go. Every sink receives the same bytes, so every copy verifies. */
export interface AuditSink {
  readonly name: string;
  /**
   * Takes complete lines, each with its LF, numbered `first` to `last` in their log. Called in order; several logs may
   * share a sink. Throwing or rejecting means that the lines are not recorded, and stops the calls that need them.
   */
  write(lines: string, first: number, last: number): MaybePromise<void>;
  /** Resolves once everything written before is as durable as the sink can make it. */
  sync?(): Promise<void>;
  /** Called when no open log uses the sink any more; a later log may write again. */
  close?(): MaybePromise<void>;
  /** Called before the first line of each log: tells of a torn line that this log is to put on record. */
  recover?(): TornTail | undefined;
}
