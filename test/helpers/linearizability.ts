/** What a single copy of something does when it is asked one thing after the other. States are never changed in place. */
export interface Specification<State, Input, Output> {
  readonly initial: State;
  step(state: State, input: Input): readonly [State, Output];
  /** Two states with one key are the same. */
  key(state: State): string;
  same(one: Output, other: Output): boolean;
}

/** A question, asked and answered at moments of one clock. */
export interface Operation<Input, Output> {
  readonly input: Input;
  /** Undefined where no answer came. */
  readonly output: Output | undefined;
  readonly asked: number;
  /** Infinity where no answer came: it may take effect at any time from `asked` on, or never. */
  readonly answered: number;
}

/**
 * An order of the operations, each at one moment between its question and its answer, in which the answers are those of the
 * specification; undefined if there is none. The search of Wing and Gong, with the states that it has been in remembered
 * as Lowe does. It may take exponential time: keep histories below sixty operations.
 */
export function linearization<State, Input, Output>(
  history: readonly Operation<Input, Output>[],
  specification: Specification<State, Input, Output>,
): readonly Operation<Input, Output>[] | undefined {
  const required = history.reduce(
    (mask, { output }, i) => (output === undefined ? mask : mask | (1n << BigInt(i))),
    0n,
  );
  const seen = new Set<string>();
  const order: Operation<Input, Output>[] = [];

  const search = (done: bigint, state: State): boolean => {
    if ((done & required) === required) return true;
    const place = `${done} ${specification.key(state)}`;
    if (seen.has(place)) return false;
    seen.add(place);
    const open = history
      .map((operation, i) => ({ operation, bit: 1n << BigInt(i) }))
      .filter(({ bit }) => !(done & bit));
    // What was asked after the answer to another question comes after it.
    const until = Math.min(...open.map(({ operation }) => operation.answered));
    for (const { operation, bit } of open) {
      if (operation.asked > until) continue;
      const [next, output] = specification.step(state, operation.input);
      if (operation.output !== undefined && !specification.same(operation.output, output)) continue;
      order.push(operation);
      if (search(done | bit, next)) return true;
      order.pop();
    }
    return false;
  };
  return search(0n, specification.initial) ? order : undefined;
}
