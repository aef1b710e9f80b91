/** A part of the library, and the tests that must notice whatever is changed in it. */
export interface Area {
  /** Globs of the sources, from the root of the repository. */
  readonly mutate: readonly string[];
  /** Globs of test files that run in one process, without a database, and take seconds at most. */
  readonly tests: readonly string[];
  /**
   * Leaves alone what runs while a module loads, each mutant of which needs all the tests: for areas whose tests take
   * half a minute or more. Default: false.
   */
  readonly ignoreStatic?: boolean;
}

export const AREAS: Readonly<Record<string, Area>> = {
  money: {
    mutate: ['src/money.ts'],
    tests: ['test/money*.test.ts', 'test/guards/budget.test.ts'],
  },
  guards: {
    mutate: ['src/guards/**/*.ts'],
    tests: ['test/guards/*.test.ts', 'test/adapters/ajv.test.ts', 'test/leash-args.test.ts'],
  },
  stores: {
    mutate: ['src/stores/*.ts', '!src/stores/{sqlite,postgres,redis}.ts'],
    tests: ['test/stores/{compared,linearizability,memory,meter,rolling}.test.ts'],
  },
  sqlite: {
    mutate: ['src/stores/sqlite.ts', 'src/stores/sqlite/*.ts'],
    tests: ['test/stores/sqlite{,-failures,-forgets,-model}.test.ts'],
  },
  audit: {
    mutate: ['src/audit/*.ts'],
    tests: ['test/audit/*.test.ts', '!test/audit/process.test.ts'],
    ignoreStatic: true,
  },
  egress: {
    mutate: ['src/egress/*.ts'],
    tests: ['test/egress/*.test.ts', '!test/egress/attacks.test.ts'],
    ignoreStatic: true,
  },
};
