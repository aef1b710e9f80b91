/** What came of the checks of one runtime, or of one compiler. */
export interface Outcome {
  readonly name: string;
  readonly version: string;
  readonly checks: Readonly<Record<string, Check>>;
}

export interface Check {
  /** In a word: `'works'`, `'refuses'` … */
  readonly result: string;
  /** What was otherwise than it is pinned. */
  readonly problems: readonly string[];
}
