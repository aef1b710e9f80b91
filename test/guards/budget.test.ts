import { describe, expect, expectTypeOf, it } from 'vitest';
import { BudgetExceededError } from '../../src/errors.ts';
import { type BudgetOptions, budget } from '../../src/guards/budget.ts';
import { createLeash } from '../../src/leash.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import { FakeClock } from '../helpers/clock.ts';
import { guardContract, type Mistake, NO_NUMBERS } from '../helpers/guard-contract.ts';

const made = (options: unknown) => () => budget(options as BudgetOptions);

/** Amounts that are none, also in both units' own writing. */
const noAmounts: Mistake[] = (['usd', 'sat'] as const).flatMap((unit) =>
  [
    ...NO_NUMBERS,
    { name: "'$'", value: '$' },
    { name: "'$-1'", value: '$-1' },
    { name: "'$1e3'", value: '$1e3' },
    { name: "'1,000'", value: '1,000' },
    { name: "' 1'", value: ' 1' },
    { name: 'the other unit', value: unit === 'usd' ? '5 sat' : '$5' },
  ].map(({ name, value }) => ({
    name: `${unit} ${name}`,
    make: made({ [unit]: value }),
    error: ['number', 'string', 'bigint'].includes(typeof value) ? RangeError : TypeError,
    message: new RegExp(`^\`budget\\.${unit}\` must be an amount such as `),
  })),
);

const noPeriods: Mistake[] = NO_NUMBERS.map(({ name, value }) => ({
  name: `per ${name}`,
  make: made({ usd: 1, per: value }),
  error: typeof value === 'number' ? RangeError : TypeError,
  message: /^`budget\.per` must be /,
}));

guardContract({
  name: 'budget',
  make: () => budget({ usd: 1 }),
  others: [
    { usd: 2 },
    { usd: '0.999999999' },
    { sat: 1 },
    { usd: 1, per: 'call' },
    { usd: 1, per: 'day' },
    { usd: 1, per: 'day', timeZone: 'Europe/Berlin' },
    { usd: 1, per: 'day', timeZone: 'Asia/Tokyo' },
    { usd: 1, per: 'week' },
    { usd: 1, per: 'month' },
    { usd: 1, per: '24h' },
    { usd: 1, per: '30d' },
    { usd: 1, scope: 'org:acme' },
    { usd: 1, scope: 'session' },
    { usd: 1, tools: ['pay'] },
    { usd: 1, tools: ['pay', 'buy'] },
    { usd: 1, unpriced: 'free' },
  ].map((options) => made(options)),
  allowed: { tool: 'pay', cost: { usd: 0.3 } },
  first: 3,
  refused: { tool: 'pay', cost: { usd: 0.3 } },
  code: 'BUDGET_EXCEEDED',
  reason: 'exhausted',
  limit: 'usd/session',
  mistakes: [
    ...noAmounts,
    ...noPeriods,
    { name: 'nothing', make: made(undefined), error: TypeError, message: /^budget expects an options object/ },
    { name: 'a number', make: made(5), error: TypeError, message: /^budget expects an options object, got 5$/ },
    { name: 'no amount', make: made({}), error: TypeError, message: /exactly one of `usd` and `sat`/ },
    { name: 'both units', make: made({ usd: 1, sat: 1 }), error: TypeError, message: /exactly one of `usd` and `sat`/ },
    { name: 'another unit', make: made({ eur: 1 }), error: TypeError, message: /unknown option `eur`/ },
    {
      name: 'a misspelt option',
      make: made({ usd: 1, perr: 'day' }),
      error: TypeError,
      message: /unknown option `perr`/,
    },
    { name: 'an unknown period', make: made({ usd: 1, per: 'year' }), error: TypeError, message: /^`budget\.per`/ },
    { name: 'a month by length', make: made({ usd: 1, per: '1mo' }), error: TypeError, message: /^`budget\.per`/ },
    { name: 'no time', make: made({ usd: 1, per: 0 }), error: RangeError, message: /^`budget\.per`/ },
    {
      name: 'a time zone without a calendar',
      make: made({ usd: 1, per: '24h', timeZone: 'UTC' }),
      error: TypeError,
      message: /^budget: `timeZone` goes with per: 'day', 'week' or 'month'/,
    },
    {
      name: 'an unknown time zone',
      make: made({ usd: 1, per: 'day', timeZone: 'Mars/Olympus' }),
      error: TypeError,
      message: /^`budget\.timeZone` must be /,
    },
    { name: 'an empty scope', make: made({ usd: 1, scope: '' }), error: RangeError, message: /^`budget\.scope`/ },
    {
      name: 'a scope that is no text',
      make: made({ usd: 1, scope: 7 }),
      error: TypeError,
      message: /^`budget\.scope`/,
    },
    { name: 'no tools', make: made({ usd: 1, tools: [] }), error: RangeError, message: /^`budget\.tools` is empty/ },
    { name: 'one tool as text', make: made({ usd: 1, tools: 'pay' }), error: TypeError, message: /^`budget\.tools`/ },
    { name: 'a hole', make: made({ usd: 1, tools: new Array(1) }), error: TypeError, message: /^`budget\.tools\[0\]`/ },
    {
      name: 'another word for unpriced',
      make: made({ usd: 1, unpriced: true }),
      error: TypeError,
      message: /^`budget\.unpriced` must be 'deny' or 'free', got true$/,
    },
  ],
});

describe('budget', () => {
  it.each<{ options: BudgetOptions; cap: number; setting: object }>([
    { options: { usd: 0 }, cap: 0, setting: { usd: '0' } },
    { options: { usd: -0 }, cap: 0, setting: { usd: '0' } },
    { options: { usd: 0.1 + 0.2 }, cap: 300_000_000, setting: { usd: '0.3' } },
    { options: { usd: '$0.0000000019' }, cap: 1, setting: { usd: '0.000000001' } },
    { options: { usd: 1e-10 }, cap: 0, setting: { usd: '0' } },
    { options: { usd: 5n }, cap: 5e9, setting: { usd: '5' } },
    { options: { usd: '9007199.254740991' }, cap: Number.MAX_SAFE_INTEGER, setting: { usd: '9007199.254740991' } },
    { options: { sat: 5000 }, cap: 5_000_000, setting: { sat: '5000' } },
    { options: { sat: '250 msat' }, cap: 250, setting: { sat: '0.25' } },
    { options: { sat: '0.9999 sat' }, cap: 999, setting: { sat: '0.999' } },
  ])('caps at $setting for $options, never above', ({ options, cap, setting }) => {
    const guard = budget(options);
    expect(guard.limits?.(undefined)[0]?.cap).toBe(cap);
    expect(guard.settings).toMatchObject({ ...setting, per: 'session', unpriced: 'deny' });
  });

  it.each(['9007199.254740992', 9_007_199.3, 9_007_200, 10_000_000n])(
    'refuses %s USD, which no counter holds',
    (usd) => {
      expect(() => budget({ usd })).toThrow(RangeError);
    },
  );

  it('counts the tools that it names and no others', async () => {
    const guard = budget({ usd: 1, tools: ['pay', 'buy', 'pay'] });
    expect(guard.settings).toMatchObject({ tools: ['buy', 'pay'] });
    const leash = createLeash({ guards: [guard], stopOn: 'none' });
    const run = (tool: string) => leash.run({ tool, cost: { usd: 0.6 } }, () => tool);
    await expect(run('pay')).resolves.toBe('pay');
    await expect(run('look')).resolves.toBe('look');
    await expect(run('buy')).rejects.toMatchObject({ reason: 'exhausted' });
    await expect(run('look')).resolves.toBe('look');
    expect((await leash.usage()).limits).toMatchObject([{ spent: '0.6', tools: ['buy', 'pay'] }]);
    await leash.charge({ usd: 5 });
    expect((await leash.usage()).limits).toMatchObject([{ spent: '0.6' }]);
  });

  it('wants a price of every tool that it counts', async () => {
    const message = /tool "look" has no `cost`, which guard "budget" needs/;
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    expect(() => leash.wrap('look', () => 1)).toThrow(message);
    expect(() => leash.enter({ tool: 'look' })).toThrow(message);
    await expect(leash.run({ tool: 'look' }, () => 1)).rejects.toThrow(message);
    await expect(leash.peek({ tool: 'look' })).rejects.toThrow(message);
    await expect(leash.child({ guards: [] }).run({ tool: 'look' }, () => 1)).rejects.toThrow(message);
    await expect(leash.wrap('look', () => 1, { cost: 'free' })()).resolves.toBe(1);
    const named = createLeash({ guards: [budget({ usd: 1, tools: ['pay'] })] });
    await expect(named.wrap('look', () => 1)()).resolves.toBe(1);
  });

  it("lets a tool without a price run free of charge with unpriced: 'free'", async () => {
    const leash = createLeash({ guards: [budget({ usd: 0, unpriced: 'free' })] });
    await expect(leash.wrap('look', () => 1)()).resolves.toBe(1);
    const both = createLeash({ guards: [budget({ usd: 1, unpriced: 'free' }), budget({ usd: 1 })] });
    expect(() => both.wrap('look', () => 1)).toThrow(/has no `cost`/);
  });

  it('lets a call that fits exactly run, and no unit more', async () => {
    const leash = createLeash({ guards: [budget({ usd: '0.3' })], stopOn: 'none' });
    const pay = leash.wrap('pay', (_usd: string) => 'ran', { cost: (usd) => ({ usd }) });
    await expect(pay('0.300000001')).rejects.toMatchObject({ reason: 'exceeds_cap' });
    await expect(pay('0.1')).resolves.toBe('ran');
    await expect(pay('0.200000001')).rejects.toMatchObject({ reason: 'exhausted', remaining: '0.2' });
    await expect(pay('0.2')).resolves.toBe('ran');
    await expect(pay('0')).resolves.toBe('ran');
    await expect(pay('0.000000001')).rejects.toMatchObject({ reason: 'exhausted', remaining: '0' });
  });

  it.each([
    {
      name: 'more than the cap',
      usd: 1.5,
      reason: 'exceeds_cap',
      remaining: '0.3',
      words: 'more than the whole budget',
    },
    { name: 'more than is left', usd: 0.7, reason: 'exhausted', remaining: '0.3', words: 'has $0.30 left.' },
    { name: 'what is held', usd: 0.4, reason: 'in_flight', remaining: '0.3', words: 'left while other calls run' },
  ])('refuses $name as $reason', async ({ usd, reason, remaining, words }) => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    await leash.run({ tool: 'pay', cost: { usd: 0.4 } }, () => 1);
    await leash.enter({ tool: 'pay', cost: { usd: 0.3 } });
    const error: BudgetExceededError = await leash
      .run({ tool: 'pay', cost: { usd } }, () => 1)
      .then(
        () => Promise.reject(new Error('it ran')),
        (thrown) => thrown,
      );
    expect(error).toBeInstanceOf(BudgetExceededError);
    expect(error).toMatchObject({ code: 'BUDGET_EXCEEDED', unit: 'usd', cap: '1', requested: String(usd) });
    expect(error).toMatchObject({ guard: 'budget', tool: 'pay', limit: 'usd/session', reason, remaining });
    expect(error.message).toContain(words);
    expect(error).not.toHaveProperty('retryAfterMs');
    expect(error).not.toHaveProperty('resetsAt');
    expect(leash.breach).toBe(error);
  });

  it('caps each call by itself', async () => {
    const leash = createLeash({ guards: [budget({ usd: 0.5, per: 'call' })], stopOn: 'none' });
    const run = (usd: number) => leash.run({ tool: 'pay', cost: { usd } }, () => 'ran');
    for (let i = 0; i < 10; i++) await expect(run(0.5)).resolves.toBe('ran');
    const error = { reason: 'exceeds_cap', limit: 'usd/call', cap: '0.5', remaining: '0.5', requested: '0.500000001' };
    await expect(run(0.500000001)).rejects.toMatchObject(error);
    expect((await leash.usage()).limits).toMatchObject([{ per: 'call', cap: '0.5', spent: '0', remaining: '0.5' }]);
  });

  it('says when a calendar budget starts anew, and how long a rolling one needs', async () => {
    const clock = new FakeClock(0, Date.parse('2026-11-20T12:00Z'));
    const leash = createLeash({ guards: [budget({ usd: 1, per: 'day' })], clock, stopOn: 'none' });
    const rolling = createLeash({ guards: [budget({ usd: 1, per: 360 })], clock, stopOn: 'none' });
    for (const each of [leash, rolling]) await each.run({ tool: 'pay', cost: { usd: 1 } }, () => 1);
    clock.advance(100);
    const refused = (each: typeof leash) => each.run({ tool: 'pay', cost: { usd: 1 } }, () => 1);
    const resetsAt = Date.parse('2026-11-21T00:00Z');
    await expect(refused(leash)).rejects.toMatchObject({ resetsAt, retryAfterMs: resetsAt - clock.wall() });
    await expect(refused(rolling)).rejects.toMatchObject({ limit: 'usd/360ms', retryAfterMs: 261 });
    await expect(refused(rolling)).rejects.not.toHaveProperty('resetsAt');
  });

  it('has one unit, and refuses money in another', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })], stopOn: 'none' });
    const refusal = { code: 'BUDGET_EXCEEDED', reason: 'exceeds_cap', limit: 'sat/none', unit: 'sat', cap: '0' };
    await expect(leash.run({ tool: 'zap', cost: { sat: 1 } }, () => 1)).rejects.toMatchObject(refusal);
    await expect(leash.run({ tool: 'zap', cost: { usd: 0.1, sat: 1 } }, () => 1)).rejects.toMatchObject(refusal);
    await expect(leash.run({ tool: 'zap', cost: { sat: 0 } }, () => 1)).resolves.toBe(1);
    const both = createLeash({ guards: [budget({ usd: 1 }), budget({ sat: 10 })] });
    await expect(both.run({ tool: 'zap', cost: { usd: 0.1, sat: 1 } }, () => 1)).resolves.toBe(1);
    expect((await both.usage()).limits).toMatchObject([{ spent: '0.1' }, { spent: '1' }]);
  });

  it('shares a scope between leashes of one store, and the strictest cap decides', async () => {
    const root = createLeash({ guards: [], stopOn: 'none' });
    const [rich, poor] = [10, 1].map((usd) => root.child({ guards: [budget({ usd, scope: 'org' })] }));
    await rich?.run({ tool: 'pay', cost: { usd: 0.8 } }, () => 1);
    await expect(poor?.run({ tool: 'pay', cost: { usd: 0.3 } }, () => 1)).rejects.toMatchObject({
      reason: 'exhausted',
      cap: '1',
      remaining: '0.2',
    });
    await rich?.run({ tool: 'pay', cost: { usd: 0.3 } }, () => 1);
    expect((await poor?.usage())?.limits).toMatchObject([{ scope: 'org', spent: '1.1', remaining: '-0.1' }]);
  });

  it.each(['s', 'session:s', 'shared:s'])('does not take the scope %s for a session called s', async (scope) => {
    const store = memoryStore();
    const leash = createLeash({ guards: [budget({ usd: 10 }), budget({ usd: 10, scope })], id: 's', store });
    await createLeash({ guards: [budget({ usd: 10, scope })], store }).charge({ usd: 3 });
    await leash.charge({ usd: 2 });
    expect((await leash.usage()).limits).toMatchObject([{ spent: '2' }, { spent: '5', scope }]);
  });

  it('takes exactly one of the two units', () => {
    expectTypeOf<{ usd: number }>().toExtend<BudgetOptions>();
    expectTypeOf<{ sat: '5 sat'; per: 'month'; timeZone: 'UTC' }>().toExtend<BudgetOptions>();
    expectTypeOf<{ usd: number; sat: number }>().not.toExtend<BudgetOptions>();
    expectTypeOf<{ per: 'day' }>().not.toExtend<BudgetOptions>();
    expectTypeOf<{ usd: 1; per: 'year' }>().not.toExtend<BudgetOptions>();
  });
});
