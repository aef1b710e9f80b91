import { setMaxListeners } from 'node:events';
import type { LeashError, SessionEndedCode } from '../errors.ts';

export interface Over {
  readonly code: SessionEndedCode;
  readonly detail: string;
}

/**
 * Whether and how a session has ended. What ends a leash ends its descendants; what ends one of them leaves its
 * ancestors and siblings alone.
 */
export class Ending {
  readonly #parent: Ending | undefined;
  readonly #children = new Set<Ending>();
  #over: Over | undefined;
  #breach: LeashError | undefined;
  #abortedBy: LeashError | undefined;
  #controller: AbortController | undefined;

  constructor(parent: Ending | undefined) {
    this.#parent = parent;
    if (parent === undefined) return;
    parent.#children.add(this);
    this.#abortedBy = parent.#abortedBy;
  }

  /** Why no call may run any more, here or above; undefined while calls may run. */
  get over(): Over | undefined {
    const above = this.#parent?.over;
    if (this.#over === undefined) return above;
    // A breach lets run what was there before it. What ends an ancestor by hand does not, and must not hide behind it.
    const byHand = above !== undefined && above.code !== 'SESSION_BREACHED';
    return this.#over.code === 'SESSION_BREACHED' && byHand ? above : this.#over;
  }

  get breach(): LeashError | undefined {
    return this.#breach ?? this.#parent?.breach;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      // Every open stream listens; that is no leak.
      setMaxListeners(0, this.#controller.signal);
      if (this.#abortedBy !== undefined) this.#controller.abort(this.#abortedBy);
    }
    return this.#controller.signal;
  }

  /** The first denial that ends the session; later ones change nothing. */
  breakOff(error: LeashError): void {
    if (this.#over !== undefined) return;
    this.#over = { code: 'SESSION_BREACHED', detail: `ended by ${error.code}` };
    this.#breach = error;
    this.#abort(error);
  }

  /** By hand. Also says so after a breach. */
  stop(error: LeashError): void {
    if (this.#over?.code === 'SESSION_STOPPED' || this.#over?.code === 'SESSION_CLOSED') return;
    this.#over = { code: 'SESSION_STOPPED', detail: 'stopped' };
    this.#breach ??= error;
    this.#abort(error);
  }

  /** @param abort what calls that still run are told; undefined where none does. */
  close(abort: LeashError | undefined): void {
    this.#over = { code: 'SESSION_CLOSED', detail: 'closed' };
    if (this.#parent !== undefined) this.#parent.#children.delete(this);
    if (abort !== undefined) this.#abort(abort);
  }

  #abort(error: LeashError): void {
    if (this.#abortedBy !== undefined) return;
    this.#abortedBy = error;
    for (const child of this.#children) child.#abort(error);
    this.#controller?.abort(error);
  }
}
