/** What came, for an error about an option that a developer wrote. Never used on arguments or costs of a call. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 80 ? `${value.slice(0, 80)}…` : value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  // A function would show its source.
  if (typeof value === 'function') return 'a function';
  return value === null || typeof value !== 'object' ? String(value) : Array.isArray(value) ? 'an array' : 'an object';
}

/** What came, without its content: for values that may hold an argument, or be made of one. */
export function kindOf(value: unknown): string {
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (typeof value === 'number' && value < 0) return 'a negative number';
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** The options object itself: a plain record without keys that nobody reads. @throws {TypeError} otherwise. */
export function checkOptions(where: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`${where} expects an options object, got ${shown(options)}`);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new TypeError(`${where}: unknown option \`${key}\`; known options are ${known.join(', ')}`);
    }
  }
}

/** A safe integer >= `min`. @throws {TypeError} not a number; @throws {RangeError} any other number. */
export function checkInteger(option: string, value: unknown, min: number): number {
  if (typeof value !== 'number') {
    throw new TypeError(`\`${option}\` must be an integer >= ${min}, got ${shown(value)}`);
  }
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(`\`${option}\` must be an integer >= ${min}, got ${shown(value)}`);
  }
  return value === 0 ? 0 : value; // -0 is 0
}

/** A string that fits into a log field: 1 to 256 characters of well-formed Unicode. */
export function checkName(option: string, value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`\`${option}\` must be a string, got ${shown(value)}`);
  if (value.length === 0 || value.length > 256 || !value.isWellFormed()) {
    throw new RangeError(`\`${option}\` must be 1 to 256 characters of well-formed Unicode, got ${value.length}`);
  }
  return value;
}

/** A list of tool names that a limit counts; a limit on no tool would be a limit that nobody feels. */
export function checkTools(option: string, tools: unknown): readonly string[] | undefined {
  if (tools === undefined) return undefined;
  if (!Array.isArray(tools)) throw new TypeError(`\`${option}\` must be an array of tool names, got ${shown(tools)}`);
  if (tools.length === 0) throw new RangeError(`\`${option}\` is empty: name a tool or leave the option out`);
  // Unlike map(), Array.from() does not step over holes.
  return Object.freeze([...new Set(Array.from(tools, (tool, i) => checkName(`${option}[${i}]`, tool)))].sort());
}

/** One of a few words. @throws {TypeError} otherwise. */
export function checkOneOf<const T extends string>(option: string, value: unknown, words: readonly T[]): T {
  if (!words.includes(value as T)) {
    throw new TypeError(`\`${option}\` must be ${words.map((w) => `'${w}'`).join(' or ')}, got ${shown(value)}`);
  }
  return value as T;
}
