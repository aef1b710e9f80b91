import { eventsDropped } from './event.ts';

/** Counts the events that nobody could keep, where calls go on without a log, until the log can say so. */
export class Dropped {
  #count = 0;
  /** Epoch ms of the first and of the last. */
  #from = 0;
  #to = 0;

  get any(): boolean {
    return this.#count > 0;
  }

  add(now: number): void {
    if (this.#count === 0) {
      this.#from = now;
      this.#to = now;
      process.emitWarning('events are being dropped: the audit log cannot be written', 'LeashAuditWarning');
    }
    this.#count++;
    this.#to = Math.max(this.#to, now);
  }

  /** What the log says of them; the next one is a new first. */
  take(): string {
    // Times in the log are whole microseconds.
    const fields = eventsDropped({ count: this.#count, from: this.#from * 1000, to: this.#to * 1000 });
    this.#count = 0;
    return fields;
  }
}
