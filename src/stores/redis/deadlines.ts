/** Something that must be over by a time. */
export interface Awaited {
  readonly isOver: boolean;
  /** Its time is over, and it was not. */
  expire(): void;
}

/** Lets everything that is added expire after the same time, with one timer for all. */
export class Deadlines {
  readonly #ms: number;
  /** Oldest first, from `#first` on. */
  readonly #added: { readonly awaited: Awaited; readonly at: number }[] = [];
  #first = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number) {
    this.#ms = ms;
  }

  add(awaited: Awaited): void {
    this.#added.push({ awaited, at: performance.now() + this.#ms });
    if (this.#timer === undefined) this.#schedule(this.#ms);
    else if (this.#added.length === this.#first + 1) this.#timer.ref();
  }

  /** To be called when something that was added is over. While nothing is waited for, the timer keeps no process alive. */
  tidy(): void {
    while (this.#added[this.#first]?.awaited.isOver === true) this.#first++;
    if (this.#first === this.#added.length) {
      this.#added.length = 0;
      this.#first = 0;
      this.#timer?.unref();
    } else if (this.#first > 1_024 && this.#first * 2 > this.#added.length) {
      this.#added.splice(0, this.#first);
      this.#first = 0;
    }
  }

  #schedule(ms: number): void {
    this.#timer = setTimeout(() => this.#look(), Math.ceil(ms));
  }

  #look(): void {
    this.#timer = undefined;
    this.tidy();
    const now = performance.now();
    for (;;) {
      const oldest = this.#added[this.#first];
      if (oldest === undefined) return;
      if (oldest.at > now) {
        this.#schedule(oldest.at - now);
        return;
      }
      oldest.awaited.expire();
      this.tidy();
    }
  }
}
