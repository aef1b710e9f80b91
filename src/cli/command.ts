import { parseArgs } from 'node:util';
import type { Terminal } from './terminal.ts';

/** The command cannot be run like this, or on this input. Ends it with exit code 2; the message is for people. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Option {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  /** May be given more than once. */
  readonly multiple?: boolean;
  /** What its value is called. */
  readonly argument?: string;
  readonly help: string;
}

export interface Command {
  readonly name: string;
  /** Half a line for the list of commands. */
  readonly summary: string;
  /** What stands behind its name, such as `FILE... [--json]`. */
  readonly usage: string;
  readonly description: string;
  readonly options: Readonly<Record<string, Option>>;
  /** A command line that works, without `leash`. */
  readonly example: string;
  /** @returns the exit code. */
  run(input: Input, terminal: Terminal): Promise<number>;
}

const COMMON: Readonly<Record<string, Option>> = {
  help: { type: 'boolean', short: 'h', help: 'this text' },
};

/** The arguments of a command as it declared them. */
export class Input {
  readonly files: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(files: readonly string[], values: Readonly<Record<string, unknown>>) {
    this.files = files;
    this.#values = values;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  value(name: string): string | undefined {
    return this.#values[name] as string | undefined;
  }

  list(name: string): readonly string[] {
    return (this.#values[name] as readonly string[] | undefined) ?? [];
  }

  /** @throws {UsageError} it was not given. */
  required(name: string): string {
    const value = this.value(name);
    if (value === undefined) throw new UsageError(`--${name} is missing`);
    return value;
  }

  /** An integer >= 0. @throws {UsageError} anything else. */
  count(name: string): number | undefined {
    const text = this.value(name);
    if (text === undefined) return undefined;
    const count = Number(text);
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(count)) {
      throw new UsageError(`--${name} must be a whole number, got ${text}`);
    }
    return count;
  }

  /** One of a few words. @throws {UsageError} any other. */
  oneOf<const T extends string>(name: string, words: readonly T[]): T | undefined {
    const value = this.value(name);
    if (value === undefined || words.includes(value as T)) return value as T | undefined;
    throw new UsageError(`--${name} must be ${words.join(', ')}, got ${value}`);
  }

  /** @throws {UsageError} one of these was given, beside an option with which they have no meaning. */
  without(names: readonly string[], option: string): void {
    for (const name of names) {
      if (this.value(name) !== undefined) throw new UsageError(`--${name} has no meaning with --${option}`);
    }
  }

  /** The one file that the command takes. @throws {UsageError} none, or more. */
  get file(): string {
    const [file, ...more] = this.files;
    if (file === undefined) throw new UsageError('FILE is missing');
    if (more.length > 0) throw new UsageError(`one FILE is expected, got ${this.files.length}`);
    return file;
  }

  /** At least one. @throws {UsageError} none. */
  get someFiles(): readonly string[] {
    if (this.files.length === 0) throw new UsageError('FILE is missing');
    return this.files;
  }
}

/** @throws {UsageError} an unknown option, one without its value, or one given twice that counts once. */
export function parseInput({ options }: Pick<Command, 'options'>, args: readonly string[]): Input {
  const known = { ...options, ...COMMON };
  const config = Object.fromEntries(
    Object.entries(known).map(([name, { type, short, multiple = false }]) => [
      name,
      { type, multiple, ...(short === undefined ? {} : { short }) },
    ]),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options: config, allowPositionals: true, strict: true, tokens: true });
  } catch (error) {
    // Node's text goes on with advice that fits its own options.
    throw new UsageError((error as Error).message.split('. ')[0] ?? '');
  }
  const seen = new Set<string>();
  for (const token of parsed.tokens ?? []) {
    if (token.kind === 'positional' && token.value === '') throw new UsageError('FILE is empty');
    if (token.kind !== 'option') continue;
    if (token.value === '') throw new UsageError(`--${token.name} is empty`);
    if (seen.has(token.name) && known[token.name]?.multiple !== true) {
      throw new UsageError(`--${token.name} is given twice`);
    }
    seen.add(token.name);
  }
  return new Input(parsed.positionals, parsed.values);
}

/** Texts in columns, indented by two. */
export function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}

export function helpOf({ name, usage, description, options, example }: Command): string {
  const rows = Object.entries({ ...options, ...COMMON }).map(([option, { short, argument, help }]) => {
    const flag = `${short === undefined ? '    ' : `-${short}, `}--${option}`;
    return [argument === undefined ? flag : `${flag} ${argument}`, help] as const;
  });
  return `Usage: leash ${name} ${usage}\n\n${description}\n\nOptions:\n${columns(rows)}\nExample:\n  leash ${example}\n`;
}
