import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  isOwnWork,
  notOwnStep,
  notOwnWork,
  ownStep,
  ownWork,
  ownWorkIsHeldWhere,
} from '../../src/internal/own-work.ts';

let held: boolean;
beforeEach(() => {
  held = true;
  ownWorkIsHeldWhere(() => held);
});
afterEach(() => ownWorkIsHeldWhere(() => false));

const later = async (): Promise<boolean> => {
  await null;
  return isOwnWork();
};

describe('own work', () => {
  it('goes on in what it starts', async () => {
    expect(ownWork(() => isOwnWork())).toBe(true);
    expect(await ownWork(later)).toBe(true);
    expect(isOwnWork()).toBe(false);
  });

  it('is nothing where nothing is held', () => {
    held = false;
    expect(ownWork(() => isOwnWork())).toBe(false);
  });

  it('ends in what is not', async () => {
    expect(ownWork(() => notOwnWork(() => isOwnWork()))).toBe(false);
    expect(await ownWork(() => notOwnWork(later))).toBe(false);
    expect(notOwnWork(() => ownWork(() => isOwnWork()))).toBe(true);
  });
});

describe('a step', () => {
  it('is own work alone, and not in what it starts', async () => {
    let inside: Promise<boolean> | undefined;
    expect(
      ownStep(() => {
        inside = later();
        return isOwnWork();
      }),
    ).toBe(true);
    expect(isOwnWork()).toBe(false);
    expect(await inside).toBe(false);
  });

  it('ends own work alone, and not in what it starts', async () => {
    let inside: Promise<boolean> | undefined;
    const seen = ownWork(() => {
      const during = notOwnStep(() => {
        inside = later();
        return isOwnWork();
      });
      return [during, isOwnWork()];
    });
    expect(seen).toEqual([false, true]);
    expect(await inside).toBe(true);
  });

  it('is what the innermost says', () => {
    expect(ownStep(() => notOwnStep(() => isOwnWork()))).toBe(false);
    expect(notOwnStep(() => ownStep(() => isOwnWork()))).toBe(true);
    expect(notOwnStep(() => ownWork(() => isOwnWork()))).toBe(true);
    expect(ownStep(() => notOwnWork(() => isOwnWork()))).toBe(false);
    expect(ownStep(() => ownStep(() => isOwnWork()) && isOwnWork())).toBe(true);
  });

  it('ends with what it throws', () => {
    expect(() =>
      ownStep(() => {
        throw new Error('thrown');
      }),
    ).toThrow('thrown');
    expect(isOwnWork()).toBe(false);
  });
});
