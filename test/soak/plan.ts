import { setTimeout as pause } from 'node:timers/promises';
import type { SeededRandom } from '../helpers/random.ts';
import type { Unit } from './ledger.ts';
import type { Node } from './tree.ts';

/** What is about to happen in a call, decided before it begins: its arguments. */
export interface Plan {
  readonly unit: Unit;
  readonly estimate: number;
  readonly actual: number;
  /** Told with `charge` while it runs; 0: nothing is. */
  readonly reported: number;
  readonly throws: boolean;
  /** It listens to the signal of its session. */
  readonly listens: boolean;
  readonly takesMs: number;
}

/** Whether its log may break in the middle: what becomes of a call cannot be read there then, and must not matter. */
export function isBrittle(node: Node): boolean {
  return node.tree.sink.kind === 'breaks' || node.tree.sink.kind === 'short disk';
}

export function planFor(node: Node, random: SeededRandom): Plan {
  const unit = random.happens(4) ? 'sat' : 'usd';
  const estimate = random.integer(1, 30_000_000);
  const isFixed = isBrittle(node);
  const share = isFixed ? 0 : random.integer(0, 9);
  const more = estimate + random.integer(1, 5_000_000);
  const actual = share < 5 ? estimate : share < 9 ? random.integer(0, estimate) : more;
  const reported = isFixed || random.happens(2) ? 0 : random.integer(1, estimate);
  const takesMs = random.happens(4) ? 0 : random.happens(30) ? random.integer(100, 800) : random.integer(0, 12);
  return { unit, estimate, actual, reported, throws: random.happens(8), listens: random.happens(2), takesMs };
}

/** Waits as long as the work takes. @returns whether its session has ended meanwhile, and it has noticed. */
export async function took({ takesMs, listens }: Plan, signal: AbortSignal): Promise<boolean> {
  if (takesMs === 0) return false;
  try {
    await pause(takesMs, undefined, listens ? { signal } : {});
    return false;
  } catch {
    return true;
  }
}
