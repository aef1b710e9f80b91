import { describe, expect, expectTypeOf, it } from 'vitest';
import { CallCapExceededError } from '../../src/errors.ts';
import { type CallCapOptions, callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import { FakeClock } from '../helpers/clock.ts';
import { guardContract, type Mistake, NO_NUMBERS, noCounts } from '../helpers/guard-contract.ts';

const made = (options: unknown) => () => callCap(options as CallCapOptions);

/** `callCap(max)` reads an object as its options, so these never come as the count itself. */
const counts = (option: string, make: (value: never) => unknown): Mistake[] =>
  noCounts(option, make).filter(({ name }) => !name.endsWith('an object') && !name.endsWith('an array'));

guardContract({
  name: 'call-cap',
  make: () => callCap(2),
  others: [
    { max: 3 },
    { max: 2, per: 'day' },
    { max: 2, per: 'week' },
    { max: 2, per: 'month' },
    { max: 2, per: '24h' },
    { max: 2, scope: 'org' },
    { max: 2, tools: ['search'] },
  ].map((options) => made(options)),
  allowed: { tool: 'search' },
  first: 2,
  refused: { tool: 'search' },
  code: 'CALL_CAP_REACHED',
  reason: 'exhausted',
  limit: 'call/session',
  mistakes: [
    ...counts('callCap.max', callCap),
    ...noCounts('callCap.max', (max) => callCap({ max })),
    ...NO_NUMBERS.map(({ name, value }) => ({
      name: `per ${name}`,
      make: made({ max: 1, per: value }),
      error: typeof value === 'number' ? RangeError : TypeError,
      message: /^`callCap\.per` must be /,
    })),
    { name: 'nothing', make: made(undefined), error: TypeError, message: /^`callCap\.max` must be an integer >= 0/ },
    { name: 'no count', make: made({}), error: TypeError, message: /^`callCap\.max` must be an integer >= 0/ },
    { name: 'a list', make: made([1]), error: TypeError, message: /^callCap expects an options object, got an array$/ },
    { name: 'an unknown option', make: made({ max: 1, usd: 1 }), error: TypeError, message: /unknown option `usd`/ },
    {
      name: 'a time zone',
      make: made({ max: 1, per: 'day', timeZone: 'UTC' }),
      error: TypeError,
      message: /`timeZone`/,
    },
    { name: 'each call', make: made({ max: 1, per: 'call' }), error: TypeError, message: /^`callCap\.per` must be / },
    { name: 'an empty scope', make: made({ max: 1, scope: '' }), error: RangeError, message: /^`callCap\.scope`/ },
    { name: 'no tools', make: made({ max: 1, tools: [] }), error: RangeError, message: /^`callCap\.tools` is empty/ },
    { name: 'one tool as text', make: made({ max: 1, tools: 'a' }), error: TypeError, message: /^`callCap\.tools`/ },
    { name: 'a tool without a name', make: made({ max: 1, tools: [''] }), error: RangeError, message: /tools\[0\]`/ },
  ],
});

describe('callCap', () => {
  it('is the same by number and by options', () => {
    expect(callCap(3).settings).toEqual(callCap({ max: 3 }).settings);
    expect(callCap({ max: 3, per: 'session' }).settings).toEqual(callCap(3).settings);
    expect(Object.is(callCap(-0).limits?.(undefined)[0]?.cap, 0)).toBe(true);
  });

  it('counts attempts: also those that fail, cost nothing or are refunded', async () => {
    const leash = createLeash({ guards: [callCap(3)] });
    const fail = leash.wrap('fail', () => Promise.reject(new Error('no')), { cost: { usd: 1 }, onError: 'refund' });
    await expect(fail()).rejects.toThrow('no');
    await expect(leash.run({ tool: 'throws' }, () => JSON.parse('{'))).rejects.toThrow(SyntaxError);
    await expect(leash.run({ tool: 'free', cost: 'free' }, () => 1)).resolves.toBe(1);
    expect((await leash.usage()).limits).toMatchObject([{ unit: 'call', cap: 3, spent: 3, held: 0, remaining: 0 }]);
    await expect(leash.run({ tool: 'free' }, () => 1)).rejects.toBeInstanceOf(CallCapExceededError);
  });

  it('counts a call from its admission on, and a ticket that was released not at all', async () => {
    const leash = createLeash({ guards: [callCap(1)], stopOn: 'none' });
    const ticket = await leash.enter({ tool: 'search' });
    expect((await leash.usage()).limits).toMatchObject([{ spent: 1, held: 0, remaining: 0 }]);
    await expect(leash.run({ tool: 'search' }, () => 1)).rejects.toMatchObject({ reason: 'exhausted' });
    await ticket.release();
    await expect(leash.run({ tool: 'search' }, () => 'ran')).resolves.toBe('ran');
    await ticket.release();
    await expect(leash.run({ tool: 'search' }, () => 1)).rejects.toMatchObject({ reason: 'exhausted' });
  });

  it('says what the cap is, not to retry, and ends the session', async () => {
    const leash = createLeash({ guards: [callCap(0)] });
    const error: unknown = await leash.run({ tool: 'search' }, () => 1).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(CallCapExceededError);
    expect(error).toMatchObject({ guard: 'call-cap', tool: 'search', cap: 0, limit: 'call/session' });
    expect(error).toMatchObject({
      reason: 'exceeds_cap',
      message: expect.stringMatching(/cap of 0 calls.*Do not retry\.$/),
    });
    expect(leash.breach).toBe(error);
    await expect(leash.run({ tool: 'search' }, () => 1)).rejects.toMatchObject({ code: 'SESSION_BREACHED' });
  });

  it('counts the tools that it names together, and no spend that is no call', async () => {
    const leash = createLeash({ guards: [callCap({ max: 2, tools: ['a', 'b'] })], stopOn: 'none' });
    const run = (tool: string) => leash.run({ tool }, () => tool);
    for (let i = 0; i < 5; i++) await expect(run('c')).resolves.toBe('c');
    await leash.charge({ usd: 5 });
    await (await leash.hold({ usd: 5 })).settle({ usd: 4 });
    await expect(run('a')).resolves.toBe('a');
    await expect(run('b')).resolves.toBe('b');
    for (const tool of ['a', 'b']) await expect(run(tool)).rejects.toMatchObject({ code: 'CALL_CAP_REACHED' });
    await expect(run('c')).resolves.toBe('c');
  });

  it('starts anew with the calendar in UTC, and with a rolling window', async () => {
    const clock = new FakeClock(0, Date.parse('2026-11-30T23:59:59.999Z'));
    const leash = (per: NonNullable<CallCapOptions['per']>) =>
      createLeash({ guards: [callCap({ max: 1, per })], clock, stopOn: 'none' });
    const leashes = [leash('day'), leash('week'), leash('month'), leash(1)];
    const run = () => Promise.allSettled(leashes.map((each) => each.run({ tool: 'a' }, () => 1)));
    const runs = async () => (await run()).map(({ status }) => status === 'fulfilled');
    expect(await runs()).toEqual([true, true, true, true]);
    expect(await runs()).toEqual([false, false, false, false]);
    clock.advance(1);
    expect(await runs()).toEqual([true, false, true, false]);
    clock.advance(1);
    expect(await runs()).toEqual([false, false, false, true]);
    const [, error] = await run();
    const retryAfterMs = Date.parse('2026-12-07') - clock.wall();
    expect(error).toMatchObject({ reason: { retryAfterMs, limit: 'call/week' } });
  });

  it('takes a number or options with a number', () => {
    expectTypeOf(callCap).parameter(0).toEqualTypeOf<number | CallCapOptions>();
    expectTypeOf<{ max: 1; per: 'call' }>().not.toExtend<CallCapOptions>();
    expectTypeOf<{ max: 1; per: '1h' }>().toExtend<CallCapOptions>();
  });
});
