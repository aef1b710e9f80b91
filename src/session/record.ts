import { type EventKind, egress } from '../audit/event.ts';
import type { AuditLog } from '../audit/log.ts';
import type { LeashError } from '../errors.ts';
import type { Target } from '../guard.ts';
import { after, type MaybePromise, quietly } from '../internal/maybe-promise.ts';
import type { Ending } from './ending.ts';
import type { Counter } from './plan.ts';
import {
  type Attempt,
  type RecordedAttempt,
  type Refusal,
  refusalError,
  refusalEvent,
  sessionEnded,
} from './refusal.ts';

/** An option of a tool whose function gave nothing usable for a call. */
export interface Misdeclared {
  readonly option: string;
  readonly error: unknown;
}

export interface SessionRecordInit {
  readonly log: AuditLog;
  readonly ending: Ending;
  /** Which codes of denials end the session. */
  readonly stopsOn: (code: string) => boolean;
  /** A scope that the session counts on was stopped for all. */
  readonly scopeStopped: (counter: Counter) => void;
}

/** What a session puts on record, and how it refuses: never before the record has it. */
export class SessionRecord {
  denied = 0;
  readonly #init: SessionRecordInit;

  constructor(init: SessionRecordInit) {
    this.#init = init;
  }

  get opening(): Promise<void> | undefined {
    return this.#init.log.opening;
  }

  refusalOfEnded(): Refusal | undefined {
    const { over } = this.#init.ending;
    return over === undefined ? undefined : sessionEnded(over.code, over.detail);
  }

  /** Records refusals that are not carried out. */
  observe(attempt: Attempt, refusal: Refusal): void {
    this.note(...refusalEvent(refusal, this.#recorded(attempt), true));
  }

  #recorded({ id, quoted, canonical, raw }: Attempt): RecordedAttempt {
    return { id, quoted, raw, args: canonical === undefined ? undefined : this.#init.log.commit(canonical) };
  }

  /**
   * Records a refusal and throws its error. A closed session has a closed log: what comes later is refused without a
   * line.
   */
  refuse(attempt: Attempt, refusal: Refusal): MaybePromise<never> {
    const { error, written } = this.#denied(attempt, refusal);
    return after(written, () => {
      throw error;
    });
  }

  /** The same for what cannot wait: the error of a refusal that is on its way to the log. */
  deny(attempt: Attempt, refusal: Refusal): LeashError {
    try {
      const { error, written } = this.#denied(attempt, refusal);
      quietly(() => written);
      return error;
    } catch (failure) {
      return failure as LeashError;
    }
  }

  /** Puts on record what code has reached. @returns why it could not be. */
  reached(attempt: Attempt | undefined, target: Target): Error | undefined {
    const { log } = this.#init;
    if (log.closed) return undefined;
    try {
      const call = attempt === undefined ? undefined : { call: attempt.id, tool: attempt.quoted };
      const written = log.write('egress_ok', egress({ ...call, ...target }));
      quietly(() => written);
      return undefined;
    } catch (failure) {
      return failure as Error;
    }
  }

  #denied(attempt: Attempt, refusal: Refusal): { readonly error: LeashError; readonly written: MaybePromise<void> } {
    const { log, ending, stopsOn, scopeStopped } = this.#init;
    this.denied++;
    if (refusal.stopped !== undefined) scopeStopped(refusal.stopped);
    const event = log.closed ? log.head : log.next();
    const ends = !refusal.code.startsWith('SESSION_') && stopsOn(refusal.code);
    const error = refusalError(refusal, attempt.name, attempt.id, { log: event.log, seq: event.seq }, ends);
    const written = log.closed ? undefined : log.write(...refusalEvent(refusal, this.#recorded(attempt), false));
    if (ends) ending.breakOff(error);
    return { error, written };
  }

  /** A declaration that gives no amount, URL or key is the developer's mistake: the call is refused, with their error. */
  misdeclared(attempt: Attempt, { option, error }: Misdeclared): MaybePromise<never> {
    const { log } = this.#init;
    this.denied++;
    const refusal: Refusal = { guard: 'session', code: 'CALL_INVALID', reason: option, message: '' };
    const written = log.closed ? undefined : log.write(...refusalEvent(refusal, this.#recorded(attempt), false));
    return after(written, () => {
      throw error;
    });
  }

  note(kind: EventKind, body: string): void {
    this.#init.log.note(kind, body);
  }
}
