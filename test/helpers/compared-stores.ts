import fc from 'fast-check';
import { expect } from 'vitest';
import { memoryStore } from '../../src/stores/memory.ts';
import type { Decision, Reserve, Settled, Store } from '../../src/stores/store.ts';
import { FakeClock } from './clock.ts';
import { isMove, Journal, type Operation, type Plan, plans, SCOPES } from './store-commands.ts';
import type { Fresh } from './tries.ts';

/** Where the one clock begins that both stores go by. */
const START = Date.UTC(2026, 10, 20, 12);

/** An odd number of units, twelve of which are just below 2 ** 53. */
const BIG = 750_599_937_895_081;

/** Everything that can be seen of a store: `[used, held]` of each counter that is not at zero. */
async function seen(store: Store): Promise<Record<string, [used: number, held: number]>> {
  const all: Record<string, [number, number]> = {};
  for (const [scope, meters] of Object.entries(await store.read(SCOPES))) {
    for (const [meter, { used, held }] of Object.entries(meters)) {
      if (used !== 0 || held !== 0) all[`${scope} ${meter}`] = [used, held];
    }
  }
  return Object.fromEntries(Object.entries(all).sort());
}

/** A store beside the memory store, which tells what is right. Both are asked the same; all answers and all counters must agree. */
class ComparedStores {
  readonly #store: Store;
  readonly #memory: Store;
  readonly #journal: Journal;
  readonly #shut = new Set<string>();
  /** Each store has its own tokens. */
  #generations: Readonly<Record<string, string>> = {};

  constructor(store: Store, clock: FakeClock, scale: number) {
    this.#store = store;
    this.#memory = memoryStore({ clock });
    this.#journal = new Journal(clock, scale);
  }

  async open(scopes: readonly string[]): Promise<void> {
    // A store may use the occasion to forfeit what has ended.
    await this.#sweep(Number.MAX_SAFE_INTEGER);
    const expected = await this.#memory.open(scopes);
    const generations = await this.#store.open(scopes);
    expect(Object.keys(generations).sort()).toEqual(Object.keys(expected).sort());
    for (const scope of scopes) {
      const [known, now] = [this.#generations[scope], generations[scope]];
      if (known !== undefined) expect(now).toBe(known);
    }
    this.#generations = { ...this.#generations, ...generations };
    this.#journal.generations = { ...this.#journal.generations, ...expected };
  }

  async step(plan: Plan): Promise<void> {
    if (isMove(plan)) {
      // One clock, and no time runs back that a store has seen.
      if ('jump' in plan) await Promise.all([this.#store.read(SCOPES), this.#memory.read(SCOPES)]);
      this.#journal.move('jump' in plan ? { jump: [plan.jump[0], plan.jump[0]] } : plan);
    } else await this.#perform(this.#journal.prepare(plan));
    same(await seen(this.#store), await seen(this.#memory), 'the counters');
  }

  async #perform(operation: Operation): Promise<void> {
    if ('reserve' in operation) {
      const decisions = await this.#memory.reserve(operation.reserve);
      const own = operation.reserve.map((item) => this.#translated(item));
      const answers = await this.#store.reserve(own);
      const told = (all: readonly Decision[]): unknown => all.map((each, i) => this.#told(each, own[i] as Reserve));
      same(told(answers), told(decisions), operation);
      this.#journal.reserved(operation.reserve, decisions);
    } else if ('settle' in operation) {
      const expected = await answerOf(() => this.#memory.settle(operation.settle));
      same(await answerOf(() => this.#store.settle(operation.settle)), expected, operation);
      if (typeof expected !== 'string') this.#journal.settled(operation.settle, expected);
    } else if ('sweep' in operation) await this.#sweep(operation.sweep);
    else if ('open' in operation) await this.open([operation.open]);
    else if ('shut' in operation) {
      this.#shut.add(operation.shut);
      await Promise.all([this.#memory.shut(operation.shut), this.#store.shut(operation.shut)]);
    } else if ('stop' in operation)
      await Promise.all([this.#memory.stop(operation.stop), this.#store.stop(operation.stop)]);
    else await Promise.all([this.#memory.resume(operation.resume), this.#store.resume(operation.resume)]);
  }

  /** Of those that have ended a store may choose; the memory store then forfeits the same. */
  async #sweep(limit: number): Promise<void> {
    const ended = this.#journal.ended();
    const forfeited = await this.#store.sweep(Math.min(limit, 1_000));
    const ids = forfeited.map(({ id }) => id);
    expect(ended, 'what a sweep forfeits has ended').toEqual(expect.arrayContaining(ids));
    expect(new Set(ids).size, 'as many as asked, or all').toBe(Math.min(limit, ended.length));
    for (const id of ids) await this.#memory.settle([{ id, actual: 'forfeit' }]);
    this.#journal.swept(forfeited);
  }

  /** What of a decision is promised. What is left of a counter that is gone with its scope is not. */
  #told(decision: Decision, { lines }: Reserve): unknown {
    if (!decision.ok) return plain(decision);
    const left = decision.left.map((units, i) => (this.#shut.has(lines[i]?.scope ?? '') ? 'gone' : exact(units)));
    return { ...decision, left };
  }

  #translated(item: Reserve): Reserve {
    const { generations } = this.#journal;
    const lines = item.lines.map((line) => {
      const known = line.generation === generations[line.scope];
      return known ? { ...line, generation: this.#generations[line.scope] ?? '' } : line;
    });
    return { ...item, lines };
  }
}

/** Overruns can leave less than a number can tell. */
function exact(left: number): number | string {
  return Number.isSafeInteger(left) ? left : 'far below nothing';
}

/** Without the parts of a refusal that need not be there. */
function plain(decision: Decision): unknown {
  if (decision.ok) return decision;
  const { ok, why, line } = decision;
  if ('left' in decision) return { ok, why, line, left: exact(decision.left), retryMs: decision.retryMs ?? 'never' };
  return why === 'stale' ? decision : { ok, why, line };
}

async function answerOf(settle: () => readonly Settled[] | Promise<readonly Settled[]>): Promise<Settled[] | string> {
  try {
    return (await settle()).map((settled) => {
      return settled.overrun.some((units) => units > 0) ? settled : { ...settled, overrun: [] };
    });
  } catch (error) {
    return (error as Error).name;
  }
}

function same(actual: unknown, expected: unknown, about: unknown): void {
  // A fast way to say yes; the slow one knows how to show a difference.
  if (JSON.stringify(actual) === JSON.stringify(expected)) return;
  expect(actual, typeof about === 'string' ? about : JSON.stringify(about)).toEqual(expected);
}

class Step implements fc.AsyncCommand<ComparedStores, unknown> {
  readonly #plan: Plan;
  constructor(plan: Plan) {
    this.#plan = plan;
  }
  check(): boolean {
    return true;
  }
  run(stores: ComparedStores): Promise<void> {
    return stores.step(this.#plan);
  }
  toString(): string {
    return JSON.stringify(this.#plan);
  }
}

/**
 * That a store does what the memory store does, step by step, by random traffic.
 *
 * @param fresh gives an empty store that goes by the clock, for each try.
 * @returns a law for fast-check, which tells seed and path of what breaks it.
 */
export function sameAsMemory(
  fresh: Fresh,
): fc.IAsyncProperty<[number, Iterable<fc.AsyncCommand<ComparedStores, unknown>>]> {
  const commands = fc.commands([plans.map((plan) => new Step(plan))], { maxCommands: 60, size: 'max' });
  const scale = fc.constantFrom(1, 1, 1, BIG);
  return fc.asyncProperty(scale, commands, async (units, steps) => {
    const clock = new FakeClock(START, START);
    const {
      stores: [store],
      close,
    } = await fresh(clock);
    try {
      const stores = new ComparedStores(store as Store, clock, units);
      await stores.open(['a', 'b']);
      await fc.asyncModelRun(() => ({ model: stores, real: undefined }), steps);
    } finally {
      await close();
    }
  });
}
