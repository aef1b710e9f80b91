import { describe, expect, it } from 'vitest';
import { type IterableLife, settledIterable } from '../../../src/adapters/framework/settled-iterable.ts';
import { rejection } from '../../helpers/refused.ts';

function life(signal = new AbortController().signal): IterableLife & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    signal,
    part: (part) => void told.push(`part ${part}`),
    ended: () => void told.push('ended'),
    unsent: () => void told.push('unsent'),
    failed: () => void told.push('failed'),
    cut: () => void told.push('cut'),
  };
}

/** These parts, and what was done to their source. */
async function* parts(left: string[], error?: Error): AsyncGenerator<number> {
  try {
    yield 1;
    yield 2;
    if (error !== undefined) throw error;
  } finally {
    left.push('left');
  }
}

describe('settledIterable', () => {
  it('opens nothing once the signal has aborted', async () => {
    const reason = new Error('no longer needed');
    const of = life(AbortSignal.abort(reason));
    const stream = settledIterable(() => expect.unreachable('it was opened'), of);
    expect(await rejection(stream.next())).toBe(reason);
    expect(of.told).toEqual(['unsent']);
  });

  it('hands on every part, and tells the end before the reader has it', async () => {
    const of = life();
    const read: number[] = [];
    for await (const part of settledIterable(() => parts([]), of)) read.push(part);
    expect([read, of.told]).toEqual([
      [1, 2],
      ['part 1', 'part 2', 'ended'],
    ]);
  });

  it('asks for nothing before somebody reads', async () => {
    const of = life();
    const source = { [Symbol.asyncIterator]: () => expect.unreachable('it was read') };
    await settledIterable(() => source as never, of).return(undefined);
    expect(of.told).toEqual([]);
  });

  it.each([
    {
      name: 'throws',
      open: () => {
        throw new TypeError('none');
      },
    },
    { name: 'gives nothing', open: () => undefined as never },
  ])('tells that it failed where the source $name', async ({ open }) => {
    const of = life();
    expect(await rejection(settledIterable(open, of).next())).toBeInstanceOf(TypeError);
    expect(of.told[0]).toBe('failed');
  });

  it('tells that it was cut when its reader leaves, and leaves the source', async () => {
    const of = life();
    const left: string[] = [];
    for await (const _ of settledIterable(() => parts(left), of)) break;
    await new Promise(setImmediate);
    expect([of.told, left]).toEqual([['part 1', 'cut'], ['left']]);
  });

  it('tells that it was cut when it fails midway, and that it failed when there was no part', async () => {
    const error = new Error('lost');
    const midway = life();
    const reading = settledIterable(() => parts([], error), midway);
    await reading.next();
    await reading.next();
    expect(await rejection(reading.next())).toBe(error);
    expect(midway.told).toEqual(['part 1', 'part 2', 'cut']);
    const atOnce = life();
    const failing = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
    expect(await rejection(settledIterable(() => failing, atOnce).next())).toBe(error);
    expect(atOnce.told).toEqual(['failed', 'cut']);
  });

  const whatever = new Error('whatever');
  it.each([
    { when: 'before it begins', parts: 0, leave: () => Promise.reject(whatever) },
    { when: 'midway', parts: 1, leave: () => Promise.reject(whatever) },
    {
      when: 'midway',
      parts: 1,
      leave: () => {
        throw whatever;
      },
    },
  ])('is broken off by the signal $when, though its source heeds none', async ({ parts, leave }) => {
    const controller = new AbortController();
    const of = life(controller.signal);
    let given = 0;
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => (given++ < parts ? Promise.resolve({ done: false, value: given }) : new Promise<never>(() => {})),
        return: leave,
      }),
    };
    const reading = settledIterable(() => source, of);
    for (let i = 0; i < parts; i++) await reading.next();
    const next = rejection(reading.next());
    await new Promise(setImmediate);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await next).toBe(reason);
    expect(of.told.at(-1)).toBe('cut');
    expect(of.told).not.toContain('failed');
  });
});
