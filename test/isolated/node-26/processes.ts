import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'vitest';

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Waits for the end of a process. */
export async function isGone(pid: number): Promise<void> {
  for (let i = 0; i < 1_000 && runs(pid); i++) await wait(10);
  expect(runs(pid)).toBe(false);
}
