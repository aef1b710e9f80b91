/** Names of keys: all have one hash tag, so that a cluster keeps them together. */
export class Keys {
  /** The sorted sets of open holds: those that are kept, and those on temporary scopes alone. The scripts take the rest from it. */
  readonly leases: readonly [string, string];
  /** Says that somebody has made the store. */
  readonly marker: string;
  readonly #base: string;

  constructor(prefix: string) {
    this.#base = `leash:{${prefix}}:`;
    this.leases = [`${this.#base}x`, `${this.#base}y`];
    this.marker = `${this.#base}i`;
  }

  hold(id: string): string {
    return `${this.#base}h:${id}`;
  }

  scope(name: string): string {
    return `${this.#base}s:${name}`;
  }
}
