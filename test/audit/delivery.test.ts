import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Delivery, unavailable } from '../../src/audit/delivery.ts';
import { AuditUnavailableError } from '../../src/errors.ts';
import { budget } from '../../src/guards/budget.ts';
import { createLeash } from '../../src/leash.ts';
import { ScriptedSink } from '../helpers/scripted-sink.ts';

const FULL = Object.assign(new Error('no space left on secret device'), { code: 'ENOSPC' });
const refused = expect.objectContaining({ code: 'AUDIT_UNAVAILABLE' });
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A sink that throws until it is told not to. */
const failing = (): ScriptedSink => {
  const sink = new ScriptedSink();
  sink.answer = () => {
    throw FULL;
  };
  return sink;
};
const works = (sink: ScriptedSink): void => {
  sink.answer = () => undefined;
};

describe('Delivery', () => {
  it('hands over lines with their numbers, in order', () => {
    const sink = new ScriptedSink();
    const delivery = new Delivery(sink, 1000);
    void delivery.deliver('0\n1\n', 0, 1);
    delivery.keep('2\n', 2, 2);
    void delivery.deliver('3\n', 3, 3);
    expect(sink.taken).toEqual([
      { lines: '0\n1\n', first: 0, last: 1 },
      { lines: '2\n', first: 2, last: 2 },
      { lines: '3\n', first: 3, last: 3 },
    ]);
    expect([delivery.recorded, delivery.broken]).toEqual([undefined, false]);
  });

  it('keeps what the sink did not take, and hands it over before the next line, once', () => {
    const sink = failing();
    const delivery = new Delivery(sink, 1000);
    delivery.keep('1\n', 1, 1);
    delivery.keep('2\n3\n', 2, 3);
    // A line that something waits for is refused, and is not kept.
    expect(() => delivery.deliver('4\n', 4, 4)).toThrow(refused);
    expect(() => delivery.check()).toThrow(refused);
    expect(delivery.flush()).toBe(false);
    expect(sink.offered.at(-1)).toEqual({ lines: '1\n2\n3\n', first: 1, last: 3 });
    works(sink);
    void delivery.deliver('5\n', 4, 4);
    void delivery.deliver('6\n', 5, 5);
    expect(sink.taken).toEqual([
      { lines: '1\n2\n3\n5\n', first: 1, last: 4 },
      { lines: '6\n', first: 5, last: 5 },
    ]);
  });

  it.each([
    { name: 'check', act: (delivery: Delivery) => delivery.check() },
    { name: 'flush', act: (delivery: Delivery) => expect(delivery.flush()).toBe(true) },
    { name: 'the next kept line', act: (delivery: Delivery) => delivery.keep('', 7, 7) },
  ])('hands over what was kept at $name', ({ name, act }) => {
    const sink = failing();
    const delivery = new Delivery(sink, 1000);
    delivery.keep('7\n', 7, 7);
    works(sink);
    act(delivery);
    act(delivery);
    expect(sink.taken, name).toEqual([{ lines: '7\n', first: 7, last: 7 }]);
  });

  it('is full with 10 000 lines, and empty again after they are taken', () => {
    const sink = failing();
    const delivery = new Delivery(sink, 1000);
    for (let i = 0; i < 9_999; i++) delivery.keep('x\n', 5 + i, 5 + i);
    expect(delivery.full).toBe(false);
    delivery.keep('x\n', 10_004, 10_004);
    expect(delivery.full).toBe(true);
    works(sink);
    expect([delivery.flush(), delivery.full]).toEqual([true, false]);
    expect(sink.taken).toEqual([{ lines: 'x\n'.repeat(10_000), first: 5, last: 10_004 }]);
  });

  it('counts a line as recorded only once all before it are', async () => {
    const sink = new ScriptedSink();
    const answers: (() => void)[] = [];
    sink.answer = () => new Promise((resolve) => answers.push(resolve));
    const delivery = new Delivery(sink, 1000);
    const done: number[] = [];
    void delivery.deliver('0\n', 0, 0)?.then(() => done.push(0));
    delivery.keep('1\n', 1, 1);
    void delivery.deliver('2\n', 2, 2)?.then(() => done.push(2));
    answers[2]?.();
    answers[0]?.();
    await tick();
    expect(done).toEqual([0]);
    answers[1]?.();
    await delivery.recorded;
    await tick();
    expect(done).toEqual([0, 2]);
  });

  it.each([
    {
      name: 'a line that was waited for',
      hand: (delivery: Delivery) => void Promise.resolve(delivery.deliver('0\n', 0, 0)).catch(() => {}),
    },
    { name: 'one that was kept', hand: (delivery: Delivery) => delivery.keep('0\n', 0, 0) },
  ])('hands over nothing after an asynchronous sink has lost $name', async ({ hand }) => {
    const sink = new ScriptedSink();
    sink.answer = () => Promise.reject(FULL);
    const delivery = new Delivery(sink, 1000);
    hand(delivery);
    expect(delivery.broken).toBe(false);
    await tick();
    expect(delivery.broken).toBe(true);
    works(sink);
    expect(() => delivery.deliver('1\n', 1, 1)).toThrow(refused);
    expect(() => delivery.check()).toThrow(refused);
    delivery.keep('1\n', 1, 1);
    expect(delivery.flush()).toBe(false);
    await expect(delivery.recorded).rejects.toEqual(refused);
    expect(sink.offered).toHaveLength(1);
  });

  describe('with a sink that never answers', () => {
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it('fails after the time that it was given, and not before', async () => {
      const sink = new ScriptedSink();
      sink.answer = () => new Promise(() => {});
      const delivery = new Delivery(sink, 250);
      let error: unknown;
      void Promise.resolve(delivery.deliver('0\n', 0, 0)).catch((thrown: unknown) => {
        error = thrown;
      });
      await vi.advanceTimersByTimeAsync(249);
      expect([error, delivery.broken]).toEqual([undefined, false]);
      await vi.advanceTimersByTimeAsync(1);
      expect(error).toMatchObject({ code: 'AUDIT_UNAVAILABLE', message: expect.stringContaining('(ETIMEDOUT)') });
      expect(delivery.broken).toBe(true);
    });

    it('leaves no timer behind for one that answers', async () => {
      const sink = new ScriptedSink();
      sink.answer = () => Promise.resolve();
      const delivery = new Delivery(sink, 250);
      await delivery.deliver('0\n', 0, 0);
      sink.answer = () => Promise.reject(FULL);
      await Promise.resolve(delivery.deliver('1\n', 1, 1)).catch(() => {});
      expect(vi.getTimerCount()).toBe(0);
    });

    it('lets no tool run, and gives back what the call held', async () => {
      const sink = new ScriptedSink();
      const audit = { sink, timeoutMs: 250, sign: 'none' } as const;
      const leash = createLeash({ guards: [budget({ usd: 1 })], audit });
      sink.answer = () => new Promise(() => {});
      const tool = vi.fn();
      const running = leash.run({ tool: 'tool', cost: '$0.4' }, tool).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(249);
      expect((await leash.usage()).limits[0]).toMatchObject({ held: '0.4', spent: '0' });
      await vi.advanceTimersByTimeAsync(1);
      expect(await running).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
      expect((await leash.usage()).limits[0]).toMatchObject({ held: '0', spent: '0' });
      works(sink);
      await expect(leash.run({ tool: 'tool', cost: '$0.4' }, tool)).rejects.toEqual(refused);
      await expect(leash.close()).rejects.toEqual(refused);
      expect(tool).not.toHaveBeenCalled();
      expect(sink.offered).toHaveLength(2);
    });
  });
});

describe('unavailable', () => {
  it.each([
    { name: 'a code of the system', error: FULL, word: ' (ENOSPC)' },
    { name: 'no code', error: new Error('secret'), word: '' },
    { name: 'a code that may hold anything', error: { code: 'secret' }, word: '' },
    { name: 'a code that is too long', error: { code: 'E'.repeat(65) }, word: '' },
    { name: 'a number', error: { code: 5 }, word: '' },
    { name: 'text', error: 'ESECRET', word: '' },
    { name: 'nothing', error: undefined, word: '' },
    { name: 'null', error: null, word: '' },
  ])('says no more than the word for it: $name', ({ error, word }) => {
    const told = unavailable(error);
    expect(told.message).toBe(`the audit log cannot be written${word}, so no call runs`);
    expect(told.cause).toBe(error);
  });

  it('leaves an error that says it already', () => {
    const error = new AuditUnavailableError('the audit log is closed');
    expect(unavailable(error)).toBe(error);
  });
});
