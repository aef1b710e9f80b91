import { checkOptions, kindOf } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import type { Cost, ToolOptions } from '../../session/tool.ts';
import { withSignal } from './signal.ts';

export type AnyFunction = (...params: never[]) => unknown;

/** What the leash has to know of several tools, by name. `Inputs` has the type of each tool's input. */
export interface ToolTerms<Inputs extends object> {
  /** What a call costs: an upper bound, or a function of the input that gives one. Needed under a budget. */
  readonly costs?: { readonly [Name in keyof Inputs]?: CostOf<Inputs[Name]> | undefined } | undefined;
  /** What the input must match before the body runs; needs `args()` or `jsonSchemaArgs()` in the leash. */
  readonly schemas?: { readonly [Name in keyof Inputs]?: object | undefined } | undefined;
  /** Where the tool will connect to; needs `egress()` in the leash. */
  readonly urls?: { readonly [Name in keyof Inputs]?: UrlOf<Inputs[Name]> | undefined } | undefined;
}

type CostOf<Input> = Cost | ((input: Input) => Cost);
type UrlOf<Input> = NonNullable<ToolOptions<[Input], unknown, Input>['url']>;

export const TERMS = ['costs', 'schemas', 'urls'] as const;

/** The same of tools of any type. */
export type Terms = { readonly [Term in (typeof TERMS)[number]]?: object | undefined };

/**
 * The terms of each tool, as options of `leash.wrap`.
 *
 * @throws {TypeError} a name that is no tool's: what it says would hold nothing.
 */
export function readTerms(where: string, tools: readonly string[], terms: Terms): (tool: string) => ToolOptions {
  for (const term of TERMS) {
    const byTool = terms[term];
    if (byTool !== undefined) checkOptions(`\`${term}\` of ${where}`, byTool, tools);
  }
  const of = (byTool: object | undefined, tool: string): unknown =>
    byTool !== undefined && Object.hasOwn(byTool, tool) ? (byTool as Record<string, unknown>)[tool] : undefined;
  return (tool) =>
    ({ cost: of(terms.costs, tool), schema: of(terms.schemas, tool), url: of(terms.urls, tool) }) as ToolOptions;
}

/**
 * The body of a framework's tool under the leash. Its input is the first parameter and what is checked and hashed; the
 * others reach it as they are, but that the `abortSignal` of the second is aborted by the end of the leash too.
 *
 * @param tool what the body sees as `this`.
 * @throws {TypeError | RangeError} as `leash.wrap`.
 */
export function leashBody(
  leash: Leash,
  name: string,
  tool: object,
  body: unknown,
  options: ToolOptions = {},
): AnyFunction {
  if (typeof body !== 'function') {
    throw new TypeError(`the body of tool "${name}" must be a function, got ${kindOf(body)}`);
  }
  // A bound async generator function still is one, to those who look.
  const bound = body.bind(tool) as (...params: unknown[]) => unknown;
  const held = leash.wrap(name, bound, { ...options, args: options.args ?? inputOf } as ToolOptions<unknown[]>);
  return (input: unknown, context: unknown, ...more: unknown[]) => {
    const hasSignal = 'abortSignal' in Object(context);
    return held(input, hasSignal ? withSignal(context, 'abortSignal', leash.signal) : context, ...more);
  };
}

/** A tool that is called without an input is called without arguments. */
function inputOf(input: unknown): unknown {
  return input === undefined ? [] : input;
}
