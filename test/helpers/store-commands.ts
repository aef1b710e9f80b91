import fc from 'fast-check';
import type { Span } from '../../src/internal/window.ts';
import type { Decision, Forfeited, HoldState, Line, Reserve, Settle, Settled } from '../../src/stores/store.ts';
import type { FakeClock } from './clock.ts';

/** Random traffic for a store, for every test that compares one with something else. */

/** The first two are open from the beginning. */
export const SCOPES = ['a', 'b', 'c'] as const;
/** Short, so that a few steps of the clock leave it. */
const DAY_MS = 40;

/** What is asked of a store. */
export type Operation =
  | { readonly reserve: readonly Reserve[] }
  | { readonly settle: readonly Settle[] }
  | { readonly sweep: number }
  | { readonly open: string }
  | { readonly shut: string }
  | { readonly stop: string }
  | { readonly resume: string };

/** What happens to the clock. `jump`: either of its sides is corrected, mostly by different amounts. */
export type Move = { readonly advance: number } | { readonly jump: readonly [now: number, wall: number] };

interface PlannedLine {
  readonly scope: (typeof SCOPES)[number];
  readonly kind: Span['kind'];
  readonly amount: number;
  readonly book: Line['book'];
  readonly cap: number;
  /** How many calendar windows from the one of the moment. */
  readonly off: number;
  readonly lost: boolean;
}

interface PlannedReserve {
  readonly id: 'new' | 'again' | 'other';
  /** Counted from the latest backwards, here and below. */
  readonly which: number;
  readonly onto: number | undefined;
  readonly lines: readonly PlannedLine[];
  readonly leaseMs: number;
  readonly keepMs: number | undefined;
  readonly force: true | undefined;
}

interface PlannedSettle {
  readonly id: 'open' | 'hold' | 'sent' | 'never';
  readonly which: number;
  readonly actual: readonly number[] | 'exact' | 'too many' | 'void' | 'forfeit';
}

/** Stores may do many in another way than few. */
function mostlyFew<T>(arbitrary: fc.Arbitrary<T>, minLength: number, few: number, many: number): fc.Arbitrary<T[]> {
  return fc.oneof(
    { weight: 12, arbitrary: fc.array(arbitrary, { minLength, maxLength: few, size: 'max' }) },
    { weight: 1, arbitrary: fc.array(arbitrary, { minLength, maxLength: many, size: 'max' }) },
  );
}

/** An operation that names earlier ones by how long ago they were: it can be left out, and the others still mean something. */
export type Plan =
  | { readonly reserve: readonly PlannedReserve[] }
  | { readonly settle: readonly PlannedSettle[] }
  | Exclude<Operation, { readonly reserve: unknown } | { readonly settle: unknown }>
  | Move;

const lineOf: fc.Arbitrary<PlannedLine> = fc.record({
  scope: fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom('a', 'b') },
    { weight: 2, arbitrary: fc.constant('c' as const) },
  ),
  kind: fc.constantFrom<Span['kind'][]>('total', 'rolling', 'calendar'),
  amount: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 6 }) }, { weight: 1, arbitrary: fc.nat({ max: 14 }) }),
  book: fc.constantFrom<Line['book'][]>('reserve', 'settle'),
  cap: fc.constantFrom(12, 12, 10),
  off: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1) }),
  lost: fc.oneof({ weight: 30, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
const which = fc.nat({ max: 7 });
const reservation: fc.Arbitrary<PlannedReserve> = fc.record({
  id: fc.constantFrom('new', 'new', 'new', 'new', 'again', 'other'),
  which,
  onto: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: which }),
  lines: mostlyFew(lineOf, 0, 3, 9),
  leaseMs: fc.constantFrom(0, 20, 60, 1_000, 1_000),
  keepMs: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constant(100_000) }),
  force: fc.oneof(
    { weight: 12, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant(true as const) },
  ),
});
const ending: fc.Arbitrary<PlannedSettle> = fc.record({
  id: fc.oneof(
    { weight: 5, arbitrary: fc.constant('open' as const) },
    { weight: 2, arbitrary: fc.constant('hold' as const) },
    { weight: 1, arbitrary: fc.constantFrom('sent' as const, 'never' as const) },
  ),
  which,
  actual: fc.oneof(
    { weight: 4, arbitrary: fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.constant([14]) },
    { weight: 2, arbitrary: fc.constantFrom('exact' as const, 'void' as const) },
    { weight: 1, arbitrary: fc.constantFrom('forfeit' as const, 'too many' as const) },
  ),
});
const leap = fc.integer({ min: -90, max: 90 });
const scope = fc.constantFrom(...SCOPES);

export const plans: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 48, arbitrary: fc.record({ reserve: mostlyFew(reservation, 1, 2, 6) }) },
  { weight: 40, arbitrary: fc.record({ settle: mostlyFew(ending, 1, 2, 6) }) },
  { weight: 6, arbitrary: fc.record({ sweep: fc.nat({ max: 3 }) }) },
  { weight: 24, arbitrary: fc.record({ advance: fc.nat({ max: 45 }) }) },
  { weight: 4, arbitrary: fc.record({ jump: fc.tuple(leap, leap) }) },
  { weight: 3, arbitrary: fc.record({ open: fc.constantFrom('a', 'c', 'c') }) },
  { weight: 1, arbitrary: fc.record({ shut: fc.constantFrom('b', 'b', 'b', 'a', 'c') }) },
  { weight: 2, arbitrary: fc.record({ stop: scope }) },
  { weight: 4, arbitrary: fc.record({ resume: scope }) },
);

export function isMove(plan: Plan): plan is Move {
  return 'advance' in plan || 'jump' in plan;
}

/** A hold as the answers have told it. */
interface Known {
  state: HoldState;
  readonly lines: Line[];
  leaseEnd: number;
}

/** What was asked of a store and what it has answered: what later operations can refer to. */
export class Journal {
  readonly clock: FakeClock;
  /** Multiplies every amount: near 2 ** 53 a store must count as exactly as anywhere. */
  readonly scale: number;
  /** Every id that was ever sent. */
  readonly ids: string[] = [];
  readonly sent: Reserve[] = [];
  /** That were granted; ended ones too. */
  readonly holds: Map<string, Known> = new Map();
  generations: Readonly<Record<string, string>> = {};
  /** The latest time that calendars have been asked for. */
  #wall = 0;

  constructor(clock: FakeClock, scale = 1) {
    this.clock = clock;
    this.scale = scale;
  }

  #units(amount: number): number {
    return Math.min(amount * this.scale, Number.MAX_SAFE_INTEGER);
  }

  /** A store whose clock runs back must have been asked for the time before: only then it knows better. */
  move(move: Move): void {
    this.#wall = Math.max(this.#wall, this.clock.wall());
    if ('advance' in move) this.clock.advance(move.advance);
    else this.clock.jump(this.clock.now() + move.jump[0], this.clock.wall() + move.jump[1]);
  }

  /** Fills a plan with what is known only when it is its turn. */
  prepare(plan: Exclude<Plan, Move>): Operation {
    this.#wall = Math.max(this.#wall, this.clock.wall());
    if ('settle' in plan) return { settle: plan.settle.map((each) => this.#settle(each)) };
    if ('reserve' in plan) return { reserve: plan.reserve.map((each) => this.#reserve(each)) };
    return plan;
  }

  #settle({ id: kind, which: back, actual: wanted }: PlannedSettle): Settle {
    const { ids } = this;
    const granted = [...this.holds.keys()];
    const open = granted.filter((id) => this.holds.get(id)?.state === 'held');
    const from = { open: open.length > 0 ? open : granted, hold: granted, sent: ids, never: [] }[kind];
    const id = recent(from, back) ?? `never ${ids.length}`;
    if (!ids.includes(id)) ids.push(id);
    if (wanted === 'void' || wanted === 'forfeit') return { id, actual: wanted };
    const lines = this.holds.get(id)?.lines ?? [];
    const actual = lines.map(({ amount }, i) =>
      typeof wanted === 'string' ? amount : this.#units(wanted[i % wanted.length] ?? 0),
    );
    return { id, actual: wanted === 'too many' ? [...actual, 1] : actual };
  }

  #reserve({ id: kind, which: back, onto, lines, leaseMs, keepMs, force }: PlannedReserve): Reserve {
    const again = recent(this.sent, back);
    if (kind === 'again' && again !== undefined) return again;
    const id = kind === 'other' ? (recent(this.ids, back) ?? 'first') : `r${this.ids.length}`;
    const item: Reserve = {
      id,
      lines: lines.map((line) => this.#line(line)),
      leaseMs,
      onto: onto === undefined ? undefined : (recent([...this.holds.keys()], onto) ?? 'none'),
      keepMs,
      force,
    };
    if (!this.ids.includes(id)) this.ids.push(id);
    this.sent.push(item);
    return item;
  }

  #line({ scope, kind, amount, book, cap, off, lost }: PlannedLine): Line {
    const startMs = (Math.floor(this.#wall / DAY_MS) + off) * DAY_MS;
    const span: Span = {
      total: { kind: 'total' } as const,
      rolling: { kind: 'rolling', ms: 50, stepMs: scope === 'a' ? 7 : 50 } as const,
      calendar: { kind: 'calendar', startMs, endMs: startMs + DAY_MS } as const,
    }[kind];
    const generation = lost ? 'lost' : (this.generations[scope] ?? 'never opened');
    return { scope, generation, meter: kind, span, cap: this.#units(cap), amount: this.#units(amount), book };
  }

  /** Holds whose lease has ended. */
  ended(): string[] {
    const now = this.clock.now();
    return [...this.holds].filter(([, { state, leaseEnd }]) => state === 'held' && leaseEnd <= now).map(([id]) => id);
  }

  reserved(batch: readonly Reserve[], decisions: readonly Decision[]): void {
    for (const [i, { id, onto, lines, leaseMs }] of batch.entries()) {
      const decision = decisions[i];
      if (decision?.ok !== true || decision.repeat !== undefined) continue;
      const leaseEnd = this.clock.now() + leaseMs;
      const hold = onto === undefined ? undefined : this.holds.get(onto);
      if (hold === undefined) this.holds.set(id, { state: 'held', lines: [...lines], leaseEnd });
      else {
        hold.lines.push(...lines);
        hold.leaseEnd = Math.max(hold.leaseEnd, leaseEnd);
      }
    }
  }

  settled(batch: readonly Settle[], answers: readonly Settled[]): void {
    for (const [i, { id }] of batch.entries()) {
      const { state, first } = answers[i] as Settled;
      const hold = this.holds.get(id);
      if (first && hold !== undefined && state !== 'unknown') hold.state = state;
    }
  }

  swept(forfeited: readonly Forfeited[]): void {
    for (const { id } of forfeited) {
      const hold = this.holds.get(id);
      if (hold !== undefined) hold.state = 'forfeited';
    }
  }
}

function recent<T>(list: readonly T[], back: number): T | undefined {
  return list.at(-1 - (back % Math.max(1, list.length)));
}
