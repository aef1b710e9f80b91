/** Whether two types are the same, and not merely assignable to one another. */
export type Eq<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** `expectType<Eq<typeof wrapped, typeof plain>>(true)` compiles only where they are. */
export function expectType<T extends true>(_: T): void {}
