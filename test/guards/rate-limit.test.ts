import { describe, expect, expectTypeOf, it } from 'vitest';
import { RateLimitedError } from '../../src/errors.ts';
import { type RateLimitOptions, rateLimit } from '../../src/guards/rate-limit.ts';
import { createLeash } from '../../src/leash.ts';
import { FakeClock } from '../helpers/clock.ts';
import { guardContract, NO_NUMBERS, noCounts } from '../helpers/guard-contract.ts';

const made = (options: unknown) => () => rateLimit(options as RateLimitOptions);

guardContract({
  name: 'rate-limit',
  make: () => rateLimit({ max: 2, per: '1m' }),
  others: [
    { max: 3, per: '1m' },
    { max: 2, per: '2m' },
    { max: 2, per: 1 },
    { max: 2, per: '1m', scope: 'org' },
    { max: 2, per: '1m', tools: ['search'] },
  ].map((options) => made(options)),
  allowed: { tool: 'search' },
  first: 2,
  refused: { tool: 'search' },
  code: 'RATE_LIMITED',
  reason: 'exhausted',
  limit: 'call/60000ms',
  mistakes: [
    ...noCounts('rateLimit.max', (max) => rateLimit({ max, per: '1m' })),
    ...[
      ...NO_NUMBERS,
      { name: '0', value: 0 },
      { name: '1.5', value: 1.5 },
      { name: "'day'", value: 'day' },
      { name: "'session'", value: 'session' },
      { name: "'1'", value: '1' },
      { name: "'1.5h'", value: '1.5h' },
    ].map(({ name, value }) => ({
      name: `per ${name}`,
      make: made({ max: 1, per: value }),
      error: typeof value === 'number' ? RangeError : TypeError,
      message: /^`rateLimit\.per` must be milliseconds or a duration/,
    })),
    { name: 'no time', make: made({ max: 1, per: '0s' }), error: RangeError, message: /^`rateLimit\.per`/ },
    { name: 'too long', make: made({ max: 1, per: '104249991375d' }), error: RangeError, message: /^`rateLimit\.per`/ },
    { name: 'no window', make: made({ max: 1 }), error: TypeError, message: /^`rateLimit\.per` must be / },
    { name: 'no count', make: made({ per: 1 }), error: TypeError, message: /^`rateLimit\.max` must be an integer/ },
    { name: 'nothing', make: made(undefined), error: TypeError, message: /^rateLimit expects an options object/ },
    { name: 'a number', make: made(5), error: TypeError, message: /^rateLimit expects an options object, got 5$/ },
    { name: 'a burst', make: made({ max: 1, per: 1, burst: 2 }), error: TypeError, message: /unknown option `burst`/ },
    {
      name: 'an empty scope',
      make: made({ max: 1, per: 1, scope: '' }),
      error: RangeError,
      message: /rateLimit\.scope`/,
    },
    {
      name: 'no tools',
      make: made({ max: 1, per: 1, tools: [] }),
      error: RangeError,
      message: /`rateLimit\.tools` is/,
    },
    { name: 'no list', make: made({ max: 1, per: 1, tools: 'a' }), error: TypeError, message: /^`rateLimit\.tools`/ },
  ],
});

describe('rateLimit', () => {
  it.each([{ per: '1m' }, { per: '60s' }, { per: '60000ms' }, { per: 60_000 }] as const)(
    'reads $per as a minute',
    ({ per }) => {
      expect(rateLimit({ max: 1, per }).settings).toEqual(rateLimit({ max: 1, per: '1m' }).settings);
    },
  );

  it('says how long to wait, to the millisecond, and does not end the session', async () => {
    const clock = new FakeClock(1_000);
    const leash = createLeash({ guards: [rateLimit({ max: 2, per: 360 })], clock });
    const run = () => leash.run({ tool: 'search' }, () => 'ran');
    await run();
    clock.advance(200);
    await run();
    clock.advance(50);
    const error: unknown = await run().catch((thrown) => thrown);
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error).toMatchObject({ code: 'RATE_LIMITED', guard: 'rate-limit', limit: 'call/360ms', retryAfterMs: 111 });
    expect(error).toMatchObject({
      message: 'Tool "search" was refused: the rate limit of 2 calls is used up. Wait 1 s before the next call.',
    });
    expect(leash.breach).toBeUndefined();
    clock.advance(110);
    await expect(run()).rejects.toMatchObject({ retryAfterMs: 1 });
    clock.advance(1);
    await expect(run()).resolves.toBe('ran');
    await expect(run()).rejects.toMatchObject({ retryAfterMs: 200 });
  });

  it('does not say when, where no wait helps', async () => {
    const leash = createLeash({ guards: [rateLimit({ max: 0, per: '1s' })] });
    const call = leash.run({ tool: 'search' }, () => 1);
    await expect(call).rejects.toMatchObject({ code: 'RATE_LIMITED', reason: 'exceeds_cap' });
    await expect(call).rejects.not.toHaveProperty('retryAfterMs');
  });

  it('ends the session where stopOn says so', async () => {
    const leash = createLeash({ guards: [rateLimit({ max: 0, per: '1s' })], stopOn: ['RATE_LIMITED'] });
    await expect(leash.run({ tool: 'a' }, () => 1)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    await expect(leash.run({ tool: 'a' }, () => 1)).rejects.toMatchObject({ code: 'SESSION_BREACHED' });
  });

  it('lets a released ticket go, and no other one', async () => {
    const clock = new FakeClock(0);
    const leash = createLeash({ guards: [rateLimit({ max: 1, per: 100 })], clock });
    const first = await leash.enter({ tool: 'a' });
    clock.advance(101);
    const second = await leash.enter({ tool: 'a' });
    await first.release();
    expect((await leash.usage()).limits).toMatchObject([{ spent: 1 }]);
    await second.release();
    expect((await leash.usage()).limits).toMatchObject([{ spent: 0 }]);
  });

  it('counts the tools that it names', async () => {
    const leash = createLeash({ guards: [rateLimit({ max: 1, per: '1h', tools: ['a'] })] });
    const run = (tool: string) => leash.run({ tool }, () => tool);
    await run('a');
    await expect(run('a')).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    await expect(run('b')).resolves.toBe('b');
  });

  it('needs a count and a window', () => {
    expectTypeOf<{ max: 1; per: '1s' }>().toExtend<RateLimitOptions>();
    expectTypeOf<{ max: 1; per: 500 }>().toExtend<RateLimitOptions>();
    expectTypeOf<{ max: 1 }>().not.toExtend<RateLimitOptions>();
    expectTypeOf<{ max: 1; per: 'day' }>().not.toExtend<RateLimitOptions>();
  });
});
