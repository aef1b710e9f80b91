import { quote } from '../audit/event.ts';
import { checkInteger, checkName, checkOneOf, checkOptions, kindOf } from '../internal/options.ts';
import { type ExactMoney, FREE, type Money, parseMoney } from '../money.ts';
import type { Misdeclared } from './record.ts';

/**
 * What of a function's parameters is checked and hashed: the one parameter that a call gives, or all of them as an
 * array. Where a call may give one or several it is either; one that is left out, or given as undefined, is none.
 */
export type ArgsOf<Params extends readonly unknown[]> = Params extends readonly []
  ? readonly []
  : Params extends readonly [(infer One)?]
    ? undefined extends Params[0]
      ? Exclude<One, undefined> | readonly []
      : One
    : [Exclude<Params[0], undefined>] extends Params
      ? Exclude<Params[0], undefined> | Params
      : Params;

/** Money, or an explicit nothing. */
export type Cost = Money | 'free';

export type Urls = string | URL | readonly (string | URL)[];

/** What happens to the estimate when the tool throws. */
export type OnError = 'forfeit' | 'refund' | 'reported';

/** What `wrap` is told of a tool: its cost, its schema, where it connects to, and what a failure costs. */
export interface ToolOptions<
  Params extends readonly unknown[] = readonly unknown[],
  Result = unknown,
  Args = ArgsOf<Params>,
> {
  /**
   * Schema of the arguments: a Standard Schema validator (needs `args()` in the leash) or a JSON Schema (needs
   * `jsonSchemaArgs()` from `leashkit/ajv`). Default: none, which is an error where such a guard has none for the tool.
   */
  readonly schema?: object;
  /**
   * The estimate that is held while the tool runs: an upper bound. A function gets the checked arguments, frozen. Default:
   * none, which is an error under a budget that is not `unpriced: 'free'`.
   */
  readonly cost?: Cost | ((args: NoInfer<Args>) => Cost);
  /** What is booked when the tool has succeeded. Default: what `currentCall().charge` told, else the estimate. */
  readonly actualCost?: (result: Result, args: NoInfer<Args>) => Cost;
  /** Where the tool will connect to; needs an egress guard. Every one is checked before the tool runs. Default: none. */
  readonly url?: (args: NoInfer<Args>) => Urls;
  /**
   * The tool threw: `'forfeit'` keeps the estimate as spent, or more if `charge` told more; `'refund'` frees all that
   * `charge` did not tell; `'reported'` books what `charge` told, and the estimate if it told nothing. Default: `'forfeit'`.
   * A stream that the end of the session aborts did not throw: it keeps the estimate, or more if `charge` tells more, also on
   * its way out.
   */
  readonly onError?: OnError;
  /**
   * What of the parameters is checked and hashed. An object parameter that it returns, whole or as a direct member,
   * reaches the tool as the checked copy; others reach it as they are. Default: the one parameter, or all as an array.
   * TypeScript infers what the other functions get from here if this one stands before them.
   */
  readonly args?: (...params: Params) => Args;
  /** How long the hold lives if this process dies, in ms. Integer >= 1000. Default: 300 000. */
  readonly leaseMs?: number;
  /**
   * A call with the key and the arguments of one that was paid for already is not paid again, whatever it tells; it
   * counts as a call all the same. While the first one runs, or with another cost, it is refused (`CONFLICT`). A call that
   * in the end cost nothing has paid for nothing; a key is good for 256 of them. Without a limit that counts the tool a key
   * has no effect. Keys are those of one session `id`, for 24 hours from the end of the first call. Default: none.
   */
  readonly idempotencyKey?: (args: NoInfer<Args>) => string;
}

const OPTIONS = ['schema', 'cost', 'actualCost', 'url', 'onError', 'args', 'leaseMs', 'idempotencyKey'];
export const DEFAULT_LEASE_MS = 300_000;

/** A tool's declaration, checked once. */
export interface Tool {
  readonly name: string;
  /** The name as a JSON string, for the log. */
  readonly quoted: string;
  readonly schema: object | undefined;
  readonly priced: boolean;
  readonly hasUrls: boolean;
  readonly onError: OnError;
  readonly leaseMs: number;
  /** @throws {TypeError | RangeError} no amount; undefined where the tool names no cost. */
  costOf(args: unknown): ExactMoney | undefined;
  /** @throws {TypeError | RangeError} no amount; undefined where the tool leaves it to the estimate. */
  actualCostOf(result: unknown, args: unknown): ExactMoney | undefined;
  urlsOf(args: unknown): readonly string[];
  keyOf(args: unknown): string | undefined;
  readonly project: ((...params: readonly unknown[]) => unknown) | undefined;
}

const NO_URLS: readonly string[] = Object.freeze([]);

/** @throws {TypeError | RangeError} naming the tool and the option. */
export function declareTool(name: unknown, options: ToolOptions<never, never> = {}): Tool {
  const tool = checkName('tool name', name);
  const where = `tool "${tool}"`;
  checkOptions(where, options, OPTIONS);
  const {
    schema,
    cost,
    actualCost,
    url,
    onError = 'forfeit',
    args,
    leaseMs,
    idempotencyKey,
  } = options as object as ToolOptions;
  for (const [option, value] of Object.entries({ actualCost, url, args, idempotencyKey })) {
    if (value !== undefined && typeof value !== 'function') {
      throw new TypeError(`\`${option}\` of ${where} must be a function, got ${kindOf(value)}`);
    }
  }
  if (schema !== undefined && schema !== null && typeof schema !== 'object' && typeof schema !== 'function') {
    throw new TypeError(
      `\`schema\` of ${where} must be a JSON Schema object or a Standard Schema, got ${kindOf(schema)}`,
    );
  }
  const costName = `\`cost\` of ${where}`;
  const priced = cost !== undefined;
  const fixed = typeof cost === 'function' || !priced ? undefined : parseCost(costName, cost);
  return {
    name: tool,
    quoted: quote(tool),
    schema,
    priced,
    hasUrls: url !== undefined,
    onError: checkOneOf(`onError of ${where}`, onError, ['forfeit', 'refund', 'reported']),
    leaseMs: leaseMs === undefined ? DEFAULT_LEASE_MS : checkInteger(`leaseMs of ${where}`, leaseMs, 1000),
    costOf: typeof cost === 'function' ? (given) => parseCost(costName, cost(given as never)) : () => fixed,
    actualCostOf: (result, given) =>
      actualCost === undefined
        ? undefined
        : parseCost(`\`actualCost\` of ${where}`, actualCost(result, given as never)),
    urlsOf: (given) => (url === undefined ? NO_URLS : urlList(where, url(given as never))),
    keyOf: (given) => (idempotencyKey === undefined ? undefined : checkKey(where, idempotencyKey(given as never))),
    project: args as Tool['project'],
  };
}

/** What a tool says of a call with these arguments. */
export interface Estimate {
  readonly cost: ExactMoney | undefined;
  readonly urls: readonly string[];
  /**
   * What could not be computed. That is often the fault of arguments that a guard is about to refuse, which is the better
   * answer; so it waits until the guards have spoken.
   */
  readonly problem: Misdeclared | undefined;
}

export function estimateOf(tool: Tool, args: unknown): Estimate {
  let problem: Misdeclared | undefined;
  let cost: ExactMoney | undefined;
  let urls = NO_URLS;
  try {
    cost = tool.costOf(args);
  } catch (error) {
    problem = { option: 'cost', error };
  }
  try {
    urls = tool.urlsOf(args);
  } catch (error) {
    problem ??= { option: 'url', error };
  }
  return { cost, urls, problem };
}

/** Money of a call, where `'free'` is a way to say nothing at all on purpose. */
export function parseCost(where: string, cost: unknown): ExactMoney {
  return cost === 'free' ? FREE : parseMoney(where, cost);
}

/** Each URL as text, read once. */
function urlList(where: string, urls: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(urls) ? urls : [urls];
  return list.map((url) => {
    if (typeof url === 'string') return url;
    if (url instanceof URL) return String(url);
    throw new TypeError(`\`url\` of ${where} must give a string, a URL or an array of them, got ${kindOf(url)}`);
  });
}

function checkKey(where: string, key: unknown): string {
  if (typeof key === 'string' && key !== '') return key;
  throw new TypeError(`\`idempotencyKey\` of ${where} must give a string that is not empty, got ${kindOf(key)}`);
}

/** What is checked and hashed, before it is copied. */
export function argsOf(tool: Tool, params: readonly unknown[]): unknown {
  if (tool.project !== undefined) return tool.project(...params);
  if (params.length === 1 && params[0] !== undefined) return params[0];
  let length = params.length;
  while (length > 0 && params[length - 1] === undefined) length--;
  return length === params.length ? params : params.slice(0, length);
}

/** The parameters that the tool receives: what was checked in place of what came. */
export function checkedParams(
  tool: Tool,
  params: readonly unknown[],
  given: unknown,
  checked: unknown,
): readonly unknown[] {
  if (tool.project === undefined) {
    return params.length === 1 && params[0] !== undefined ? [checked] : (checked as readonly unknown[]);
  }
  return params.map((param) => {
    if (typeof param !== 'object' || param === null) return param;
    if (param === given) return checked;
    if (typeof given !== 'object' || given === null) return param;
    const key = Object.keys(given).find((name) => (given as Record<string, unknown>)[name] === param);
    return key === undefined ? param : (checked as Record<string, unknown>)[key];
  });
}

/** A tool that does not say what it costs, under a budget that has to know. */
export function unpriced(tool: string, guard: string): TypeError {
  return new TypeError(
    `tool "${tool}" has no \`cost\`, which guard "${guard}" needs: give an estimate or 'free', or make the budget unpriced: 'free'`,
  );
}
