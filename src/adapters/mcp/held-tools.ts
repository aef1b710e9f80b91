import { canonicalJson, snapshotJson } from '../../internal/canonical-json.ts';
import type { Leash } from '../../leash-contract.ts';
import type { ToolOptions } from '../../session/tool.ts';
import { type OpenTerms, readOpenTerms } from '../framework/open-terms.ts';
import type { ToolTerms } from '../framework/tool-body.ts';

/** The arguments of an MCP tool call. */
export type McpArguments = Readonly<Record<string, unknown>>;

/** What the leash has to know of tools that a server lists, by name. Names are not compared with what it lists. */
export interface McpTerms extends Omit<ToolTerms<Readonly<Record<string, McpArguments>>>, 'schemas'> {
  /**
   * What the arguments must match before the call is sent: schemas by tool name, or `'listed'` for the `inputSchema` of
   * each tool as the server last listed it, through here (needs `jsonSchemaArgs()` in the leash; a tool that was not
   * listed is an error). That trusts the server with the patterns of its schemas. Default: none.
   */
  readonly schemas?: { readonly [tool: string]: object | undefined } | 'listed' | undefined;
}

/** What one round of a call comes to: its result, or a question to the caller, after whose answer it is entered again. */
interface Outcome {
  readonly value: unknown;
  readonly asks: boolean;
}

/** One round: sends the request or runs the handler, with the arguments as they were checked. */
export type Enter = (args: unknown) => Outcome | Promise<Outcome>;

interface Round {
  readonly args: unknown;
  readonly enter: Enter;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A call that has asked, and the round with the answer that it waits for. */
interface Paused {
  readonly key: string;
  readonly resume: (round: Round) => void;
  readonly abandon: (error: Error) => void;
}

/** Past this many questions that nobody has answered, the oldest call has failed. */
const MAX_PAUSED = 1_000;
/** Past this many rounds the next one is a new call: a caller that always answers is held, too. */
const MAX_ROUNDS = 16;

/** By leash: a server may be made anew for each request. */
const pausedOf = new WeakMap<Leash, Paused[]>();

type Held = (args: unknown, body: (args: unknown) => unknown) => Promise<unknown>;

interface Declared {
  readonly schema: object | undefined;
  readonly held: Held;
}

/** The tools of one client, transport or server under the leash, known by name when they are called. */
export class HeldTools {
  readonly #leash: Leash;
  readonly #where: string;
  readonly #termsOf: OpenTerms['termsOf'];
  readonly #declared = new Map<string, Declared>();
  readonly #listed: Map<string, object> | undefined;
  readonly #paused: Paused[];

  /** @throws {TypeError | RangeError} terms that the leash cannot hold, as `leash.wrap`. */
  constructor(where: string, leash: Leash, { costs, schemas, urls }: McpTerms) {
    this.#leash = leash;
    this.#where = where;
    this.#paused = pausedOf.get(leash) ?? [];
    pausedOf.set(leash, this.#paused);
    this.#listed = schemas === 'listed' ? new Map() : undefined;
    const { named, termsOf } = readOpenTerms(where, {
      costs,
      urls,
      schemas: schemas === 'listed' ? undefined : schemas,
    });
    this.#termsOf = termsOf;
    // What the leash cannot hold is told now, where all is known that there is to know.
    if (this.#listed === undefined) for (const tool of named) this.declare(tool);
  }

  /** Whether the schemas of lists have to be told. */
  get reads(): boolean {
    return this.#listed !== undefined;
  }

  /** Takes the schemas from a result of `tools/list`. */
  list(result: unknown): void {
    const { tools } = (result ?? {}) as { readonly tools?: unknown };
    if (this.#listed === undefined || !Array.isArray(tools)) return;
    for (const tool of tools) {
      // A server may list anything: what is no tool is not known by a schema.
      const { name, inputSchema } = Object(tool);
      if (typeof name !== 'string') continue;
      const known = this.#listed.get(name);
      // The same object as long as it says the same: it is compiled once.
      if (JSON.stringify(known) !== JSON.stringify(inputSchema)) this.#listed.set(name, inputSchema);
    }
  }

  /** @throws {TypeError | RangeError} as `leash.wrap`. */
  declare(tool: string): Held {
    const terms = this.#termsOf(tool);
    const schema = this.#listed === undefined ? terms.schema : this.#listed.get(tool);
    if (this.#listed !== undefined && schema === undefined) {
      throw new TypeError(`tool "${tool}" has no schema: ${this.#where} has seen no list of tools with it`);
    }
    const known = this.#declared.get(tool);
    if (known !== undefined && known.schema === schema) return known.held;
    const held = this.#leash.wrap(tool, (args: unknown, body: (args: unknown) => unknown) => body(args), {
      ...terms,
      ...(schema === undefined ? {} : { schema }),
      args: (args: unknown) => args,
    } as ToolOptions<[unknown, (args: unknown) => unknown]>);
    this.#declared.set(tool, { schema, held });
    return held;
  }

  /**
   * A round of a call. A call that asks for input and is entered again with the answer is one call: it is decided on
   * and reserved once, and it has ended when a round gives a result.
   *
   * @param again the round carries an answer. Without a call of the same arguments that waits for one it is a new call.
   */
  call(tool: string, given: unknown, again: boolean, enter: Enter): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const key = again ? this.#keyOf(tool, given) : undefined;
      const paused = this.#paused.findIndex((waiting) => waiting.key === key);
      if (key !== undefined && paused >= 0) {
        const [{ resume }] = this.#paused.splice(paused, 1) as [Paused];
        return resume({ args: argsOfKey(key), enter, resolve, reject });
      }
      let round: Round = { args: given, enter, resolve, reject };
      this.declare(tool)(given, async (args) => {
        // The tool may change its copy: what a later round must be equal to is kept before.
        const key = this.#keyOf(tool, args);
        round = { ...round, args };
        for (let rounds = 1; ; rounds++) {
          const { value, asks } = await round.enter(round.args);
          if (!asks || key === undefined || rounds === MAX_ROUNDS) return value;
          round.resolve(value);
          round = await this.#answer(key);
        }
      }).then(
        (value) => round.resolve(value),
        (error) => round.reject(error),
      );
    });
  }

  async #answer(key: string): Promise<Round> {
    const round = await new Promise<Round>((resume, abandon) => {
      this.#paused.push({ key, resume, abandon });
      if (this.#paused.length > MAX_PAUSED) this.#paused.shift()?.abandon(new Error('nobody has answered'));
    });
    // The session that allowed the call has ended since.
    if (this.#leash.signal.aborted) {
      round.reject(this.#leash.signal.reason);
      throw this.#leash.signal.reason;
    }
    return round;
  }

  /** What a later round of a call is known by; undefined where its arguments are no JSON. */
  #keyOf(tool: string, args: unknown): string | undefined {
    try {
      return canonicalJson([this.#where, tool, snapshotJson(args)]);
    } catch {
      return undefined;
    }
  }
}

function argsOfKey(key: string): unknown {
  return (JSON.parse(key) as readonly unknown[])[2];
}
