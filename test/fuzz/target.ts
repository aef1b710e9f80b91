import { isLeashError } from '../../src/errors.ts';

/** A parser, and what must hold whatever it is given. */
export interface Target {
  readonly name: string;
  /** How inputs are changed: byte by byte, or as JSON that stays JSON (`values.ts`) half of the time. */
  readonly form: 'text' | 'bytes' | 'json';
  /** What inputs of this kind are made of, put in here and there. */
  readonly tokens: readonly string[];
  /**
   * @returns a few words for how the input was taken: what gives others is worth keeping.
   * @throws what breaks a promise of the parser.
   */
  readonly check: (input: Buffer) => string | Promise<string>;
  /** Ends what belongs to the target. */
  readonly close?: () => void;
}

/** A promise that a parser broke. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

export function need(condition: unknown, promise: string): asserts condition {
  if (!condition) throw new Broken(promise);
}

/** Put into inputs, and looked for in messages: what stands there instead of it may be anything. */
export const CANARY = 'sk_live_4242';

export interface Refusals {
  readonly kinds: readonly (typeof TypeError)[];
  /** What a developer wrote may be shown, what came with a call may not. Default: `false`. */
  readonly shows?: boolean;
}

/** What an action gave, or the name of the kind of error with which it refused. */
export function outcomeOf<T>(action: () => T, refusals: Refusals): { readonly value: T } | string {
  try {
    return { value: action() };
  } catch (error) {
    return refusal(error, refusals);
  }
}

/** The name of the kind of a refusal. @throws {Broken} it is none that may come, or tells what it must not. */
export function refusal(error: unknown, { kinds, shows = false }: Refusals): string {
  if (!(error instanceof Error) || !kinds.some((kind) => Object.getPrototypeOf(error) === kind.prototype)) {
    throw new Broken(`another error than ${kinds.map(({ name }) => name).join(' or ')}`, { cause: error });
  }
  if (!shows && error.message.includes(CANARY)) {
    throw new Broken('the message of an error repeats the input', { cause: error });
  }
  return isLeashError(error) ? error.code : error.name;
}

/** Of the text of a UTF-8 file: what is no UTF-8 becomes U+FFFD, as it does on its way to most parsers. */
export function textOf(input: Buffer): string {
  return input.toString('utf8');
}
