import type { Decision, HoldState, Line, Reserve, Settle, Settled } from '../store.ts';
import { checkText } from '../store-input.ts';
import type { Shape, Shapes } from './shapes.ts';

/** A reservation or settlement as the script takes it. */
export interface Item {
  readonly id: string;
  readonly kind: 'reserve' | 'extend' | 'settle' | 'void' | 'forfeit';
  /** Of a reservation. */
  readonly shape: Shape | undefined;
  readonly onto: string | undefined;
  readonly amounts: readonly number[];
}

export function reserveItem(item: Reserve, shapes: Shapes): Item {
  const { id, lines, onto } = item;
  checkText('the id of a reservation', id);
  if (onto !== undefined) checkText('the id of a hold', onto);
  const amounts: number[] = [];
  for (let i = 0; i < lines.length; i++) amounts.push((lines[i] as Line).amount);
  return { id, kind: onto === undefined ? 'reserve' : 'extend', shape: shapes.of(item), onto, amounts };
}

export function settleItem({ id, actual }: Settle): Item {
  checkText('the id of a settlement', id);
  if (typeof actual === 'string') return { id, kind: actual, shape: undefined, onto: undefined, amounts: [] };
  return { id, kind: 'settle', shape: undefined, onto: undefined, amounts: [...actual] };
}

/** The integers that the script answers, one after the other. */
export class Reply {
  readonly #integers: readonly unknown[];
  #next = 0;

  constructor(answer: unknown) {
    this.#integers = Array.isArray(answer) ? answer : [];
  }

  /** @throws {Error} there is none: the answer is not one of the script. */
  next(): number {
    return integerOf(this.#integers[this.#next++]);
  }

  /** @throws {Error} there is more than was asked for. */
  end(): void {
    if (this.#next !== this.#integers.length) throw new Error('Redis answered something else than the script');
  }

  list(length: number): number[] {
    const list: number[] = [];
    for (let i = 0; i < length; i++) list.push(this.next());
    return list;
  }
}

/** An integer as scripts tell it: as text where a client would round it, or makes text of all. @throws {Error} it is none. */
export function integerOf(told: unknown): number {
  if (Number.isInteger(told)) return told as number;
  if (typeof told === 'string' && /^-?\d{1,17}$/.test(told)) return Number(told);
  throw new Error('Redis answered something else than the script');
}

const REPEATS: readonly (HoldState | undefined)[] = [undefined, 'held', 'settled', 'forfeited'];
const SHORT = ['exceeds_cap', 'exhausted', 'in_flight'] as const;
const OTHERS = ['closed', 'stopped', 'conflict', 'terminal', 'stale', 'state_lost'] as const;
const STATES = ['settled', 'void', 'forfeited', 'unknown'] as const;
const NOTHING: readonly number[] = Object.freeze([]);

export function readDecision(reply: Reply, lines: number): Decision {
  const code = reply.next();
  if (code >= 0 && code < REPEATS.length) return { ok: true, repeat: REPEATS[code], left: reply.list(lines) };
  const line = reply.next();
  const short = SHORT[code - 10];
  if (short !== undefined) {
    const left = reply.next();
    const retryMs = reply.next();
    return { ok: false, why: short, line, left, retryMs: retryMs < 0 ? undefined : retryMs };
  }
  const why = OTHERS[code - 13];
  if (why === undefined) throw new Error('Redis answered something else than the script');
  return { ok: false, why, line, nowMs: reply.next() };
}

/** @throws {RangeError} the settlements were refused as a whole: one had a wrong number of amounts. */
export function readSettled(reply: Reply, batch: readonly Item[]): Settled[] {
  const settled: Settled[] = [];
  for (let i = 0; i < batch.length; i++) {
    const code = reply.next();
    if (code === 0) {
      const { amounts } = batch[reply.next()] as Item;
      throw new RangeError(`\`actual\` has ${amounts.length} amounts for ${reply.next()} lines`);
    }
    const state = STATES[code - 1];
    if (state === undefined) throw new Error('Redis answered something else than the script');
    const first = reply.next() === 1;
    const overrun = reply.next();
    settled.push({ state, first, overrun: overrun === 0 ? NOTHING : reply.list(overrun) });
  }
  return settled;
}
