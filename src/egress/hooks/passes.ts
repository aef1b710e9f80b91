/** An agent may invent names without end. */
const MAX_PLACES = 4_096;

/** What some guards have said of connections: other guards were not asked about them. */
export class Verified {
  /** Those that were found to be what their request asked for, with the place that they were asked for. */
  readonly connections: WeakMap<object, { readonly place: string; readonly address: string }> = new WeakMap();
  /** Unix sockets that may be used. */
  readonly unixSockets: WeakSet<object> = new WeakSet();
}

/**
 * Which places have an allowed HTTP request under way. A client opens connections below the request, where its method and
 * path are not known any more; a connection to a place without one was not asked for by HTTP.
 */
export class Passes {
  readonly #open = new Map<string, number>();
  readonly #refused = new Map<string, Error>();
  readonly #asked = new Set<string>();

  has(place: string): boolean {
    return this.#open.has(place);
  }

  /** Whether a request to this place was allowed, which may have ended. Not of all, where there are very many. */
  had(place: string): boolean {
    return this.#asked.has(place);
  }

  open(place: string): void {
    const count = this.#open.get(place) ?? 0;
    if (count === 0 && this.#open.size >= MAX_PLACES) {
      // The oldest: its connection has long been made.
      for (const oldest of this.#open.keys()) {
        this.#open.delete(oldest);
        break;
      }
    }
    if (this.#asked.size >= MAX_PLACES) this.#asked.clear();
    this.#asked.add(place);
    this.#open.set(place, count + 1);
  }

  close(place: string): void {
    const count = this.#open.get(place);
    if (count === undefined) return;
    if (count > 1) this.#open.set(place, count - 1);
    else this.#open.delete(place);
  }

  /** Remembers for this turn of the event loop that a request was refused, so that its connection is no second refusal. */
  refuse(place: string, error: Error): void {
    this.#refused.set(place, error);
    setImmediate(() => {
      if (this.#refused.get(place) === error) this.#refused.delete(place);
    });
  }

  refusalOf(place: string): Error | undefined {
    return this.#refused.get(place);
  }
}

export function placeOf(tls: boolean, host: string, port: number): string {
  return `${tls ? 'https' : 'http'}://${host}:${port}`;
}
