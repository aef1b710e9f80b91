import type { Line, Reserve, Settle } from './store.ts';

/** Part of every store's contract (S6): a number that is no amount never reaches a counter. */
export function checkReserve({ id, lines, leaseMs, keepMs }: Reserve): void {
  if (typeof id !== 'string' || id === '') throw new TypeError('a reservation needs an id');
  checkUnits('leaseMs', leaseMs);
  if (keepMs !== undefined) checkUnits('keepMs', keepMs);
  for (let i = 0; i < lines.length; i++) {
    checkUnits('amount', (lines[i] as Line).amount);
    checkUnits('cap', (lines[i] as Line).cap);
  }
}

/** @param lines how many lines the hold has, where there is one. */
export function checkSettle({ actual }: Settle, lines: number | undefined): void {
  if (actual === 'void' || actual === 'forfeit') return;
  if (!Array.isArray(actual)) throw new TypeError("`actual` must be an array of units, 'void' or 'forfeit'");
  for (let i = 0; i < actual.length; i++) checkUnits('actual', actual[i]);
  if (lines !== undefined && actual.length !== lines) {
    throw new RangeError(`\`actual\` has ${actual.length} amounts for ${lines} lines`);
  }
}

function checkUnits(name: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new RangeError(`\`${name}\` must be a safe integer >= 0, got ${String(value)}`);
  }
}
