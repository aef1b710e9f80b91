import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memorySink } from '../src/audit/memory-sink.ts';
import { type Call, currentCall } from '../src/call.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { createLeash } from '../src/leash.ts';
import type { Leash } from '../src/leash-contract.ts';
import type { LeashOptions } from '../src/leash-options.ts';
import type { Money } from '../src/money.ts';
import type { Cost, ToolOptions } from '../src/session/tool.ts';
import { memoryStore } from '../src/stores/memory.ts';
import type { Store } from '../src/stores/store.ts';
import { FakeClock } from './helpers/clock.ts';
import { NO_NUMBERS } from './helpers/guard-contract.ts';
import { storeWith } from './helpers/store-around.ts';

/** A session on its own store and log, under budgets in both units. */
class Kit {
  readonly sink = memorySink();
  readonly store = memoryStore();
  readonly leash: Leash;

  constructor(more: Partial<LeashOptions> = {}) {
    const guards = [budget({ usd: 1 }), budget({ sat: 1000 }), callCap(100)];
    const audit = { sink: this.sink, sign: 'none' } as const;
    this.leash = createLeash({ guards, id: 's', store: this.store, audit, stopOn: 'none', ...more });
  }

  events(): readonly Readonly<Record<string, unknown>>[] {
    return this.sink.lines.map((line) => JSON.parse(line));
  }

  get last(): Readonly<Record<string, unknown>> | undefined {
    return this.events().at(-1);
  }

  /** What was counted, wherever one may look. */
  async state(): Promise<unknown> {
    const { denied: _, ...usage } = await this.leash.usage();
    const readings = await this.store.read(['session:s']);
    return { counters: readings['session:s'] ?? {}, usage, aborted: this.leash.signal.aborted };
  }
}

/** Everything that is no money, each with the error that it is. */
const NO_MONEY: readonly { readonly name: string; readonly money: never; readonly error: typeof RangeError }[] = [
  ...NO_NUMBERS.flatMap(({ name, value }) => [
    { name: `{ usd: ${name} }`, money: { usd: value }, amount: value },
    { name: `{ sat: ${name} }`, money: { sat: value }, amount: value },
    { name: `{ usd: 0, sat: ${name} }`, money: { usd: 0, sat: value }, amount: value },
  ]),
  ...['', '0x10', '0x10 sat', '$0x10', '$', '$-1', '-1 sat', '$1e400', '1e400 sat', '$NaN', 'Infinity sat'].map(text),
  ...['$9007199.254740992', '9007199254740.992 sat', '9007199254740992 msat', '$1,000', '$ 1', '1sat', '５ sat'].map(
    text,
  ),
  ...[Number.NaN, 1, -1, 5n, true, null, [1], {}, { eur: 1 }, { usd: 1, eur: 1 }].map((money) => ({
    name: typeof money === 'object' ? JSON.stringify(money) : `${String(money)} alone`,
    money,
    amount: undefined,
  })),
].map(({ name, money, amount }) => ({
  name,
  money: money as never,
  error: ['number', 'string', 'bigint'].includes(typeof amount) ? RangeError : TypeError,
}));

function text(money: string): { name: string; money: unknown; amount: string } {
  return { name: `'${money}'`, money, amount: money };
}

function caught(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

function expectRefused(error: unknown, kind: typeof RangeError, where: string, money: unknown): void {
  expect(error).toBeInstanceOf(kind);
  const { message } = error as Error;
  expect(message).toContain(where);
  // It may be made of an argument.
  if (typeof money === 'string' && money.length > 3) expect(message).not.toContain(money);
}

describe.each(NO_MONEY)('$name is no money', ({ money, error }) => {
  it.each<{ name: string; attempt: (leash: Leash) => unknown; where: string }>([
    {
      name: 'cost of a tool',
      attempt: (leash) => leash.wrap('pay', () => 1, { cost: money }),
      where: '`cost` of tool "pay"',
    },
    {
      name: 'cost for enter',
      attempt: (leash) => leash.enter({ tool: 'pay', cost: money }),
      where: '`cost` of tool "pay"',
    },
    { name: 'charge of the leash', attempt: (leash) => leash.charge(money), where: '`cost` of leash.charge' },
    { name: 'estimate of a hold', attempt: (leash) => leash.hold(money), where: '`estimate` of leash.hold' },
  ])('as the $name: it is refused at once, and nothing has changed', async ({ attempt, where }) => {
    const kit = new Kit();
    const state = await kit.state();
    expectRefused(
      caught(() => attempt(kit.leash)),
      error,
      where,
      money,
    );
    expect(await kit.state()).toEqual(state);
    expect((await kit.leash.usage()).denied).toBe(0);
    expect(kit.sink.lines).toHaveLength(1);
  });

  it.each<{ name: string; attempt: (leash: Leash) => Promise<unknown> }>([
    { name: 'run', attempt: (leash) => leash.run({ tool: 'pay', cost: money }, () => expect.unreachable()) },
    { name: 'peek', attempt: (leash) => leash.peek({ tool: 'pay', cost: money }) },
  ])('as the cost for $name: it is refused, and nothing has changed', async ({ attempt }) => {
    const kit = new Kit();
    const state = await kit.state();
    expectRefused(await attempt(kit.leash).catch((thrown) => thrown), error, '`cost` of tool "pay"', money);
    expect(await kit.state()).toEqual(state);
    expect(kit.sink.lines).toHaveLength(1);
  });

  it('from a function for the cost: the call is refused, on record, and nothing has changed', async () => {
    const kit = new Kit();
    const pay = kit.leash.wrap('pay', async () => expect.unreachable(), { cost: () => money });
    const state = await kit.state();
    expectRefused(await pay().catch((thrown: unknown) => thrown), error, '`cost` of tool "pay"', money);
    expect(await kit.state()).toEqual(state);
    expect((await kit.leash.usage()).denied).toBe(1);
    expect(kit.last).toMatchObject({ kind: 'tool_denied', tool: 'pay', code: 'CALL_INVALID', reason: 'cost' });
  });

  it('from convert: the call is refused, on record, and nothing has changed', async () => {
    const kit = new Kit({ guards: [budget({ usd: 1 })], convert: () => money });
    const zap = kit.leash.wrap('zap', async () => expect.unreachable(), { cost: { sat: 1 } });
    const state = await kit.state();
    expectRefused(await zap().catch((thrown: unknown) => thrown), error, 'the result of `convert`', money);
    expect(await kit.state()).toEqual(state);
    expect(kit.last).toMatchObject({ kind: 'tool_denied', tool: 'zap', code: 'CALL_INVALID', reason: 'convert' });
  });

  it('told by the tool: charge throws there, and the estimate is booked where it goes on', async () => {
    const kit = new Kit();
    let thrown: unknown;
    const pay = kit.leash.wrap(
      'pay',
      () => {
        thrown = caught(() => currentCall()?.charge(money));
      },
      { cost: { usd: 0.5 } },
    );
    await pay();
    expectRefused(thrown, error, 'currentCall().charge in tool "pay"', money);
    expect(kit.last).toMatchObject({ kind: 'tool_ok', usd: '0.5' });
    expect(await kit.leash.usage()).toMatchObject({
      usd: '0.5',
      sat: '0',
      limits: [{ spent: '0.5', held: '0' }, {}, {}],
    });
  });

  it.each<{ name: string; where: string; end: (leash: Leash) => Promise<unknown> }>([
    {
      name: 'actualCost',
      where: '`actualCost` of tool "pay"',
      end: async (leash) => leash.wrap('pay', () => 'paid', { cost: { usd: 0.5 }, actualCost: () => money })(),
    },
    {
      name: 'the cost for ticket.settle',
      where: 'the cost of tool "pay"',
      end: async (leash) => (await leash.enter({ tool: 'pay', cost: { usd: 0.5 } })).settle(money),
    },
    {
      name: 'the cost for ticket.fail',
      where: 'the cost of tool "pay"',
      end: async (leash) => (await leash.enter({ tool: 'pay', cost: { usd: 0.5 }, onError: 'refund' })).fail(0, money),
    },
    {
      name: 'the actual cost of a hold',
      where: '`actual` of hold.settle',
      end: async (leash) => (await leash.hold({ usd: 0.5 })).settle(money),
    },
  ])('as $name: it is an error of the call, and the estimate is booked', async ({ name, end, where }) => {
    const kit = new Kit();
    expectRefused(await end(kit.leash).catch((thrown) => thrown), error, where, money);
    const usage = await kit.leash.usage();
    expect(usage).toMatchObject({ usd: '0.5', sat: '0', denied: 0 });
    expect(usage.limits).toMatchObject([
      { spent: '0.5', held: '0', remaining: '0.5' },
      { spent: '0', held: '0' },
      { held: 0 },
    ]);
    const hold = name === 'the actual cost of a hold';
    expect(kit.last).toMatchObject(hold ? { kind: 'charge', usd: '0.5' } : { kind: 'tool_error', error: error.name });
    expect(kit.last).not.toHaveProperty('overrun');
  });
});

describe('a lease', () => {
  it.each([...NO_NUMBERS, { name: '0', value: 0 }, { name: '999', value: 999 }, { name: '1000.5', value: 1000.5 }])(
    'of $name ms is refused with the name of the tool',
    async ({ value }) => {
      const kit = new Kit();
      const error = typeof value === 'number' ? RangeError : TypeError;
      const call = { tool: 'pay', cost: { usd: 0.1 }, leaseMs: value as never };
      const where = '`leaseMs of tool "pay"` must be an integer >= 1000';
      expectRefused(
        caught(() => kit.leash.wrap('pay', () => 1, { leaseMs: value as never, cost: 'free' })),
        error,
        where,
        0,
      );
      expectRefused(
        caught(() => kit.leash.enter(call)),
        error,
        where,
        0,
      );
      expectRefused(await kit.leash.run(call, () => expect.unreachable()).catch((thrown) => thrown), error, where, 0);
      expect(kit.sink.lines).toHaveLength(1);
    },
  );
});

const options: ToolOptions<[], unknown> = { cost: { usd: 1 } };
const tell = (...costs: readonly Money[]): void => {
  for (const cost of costs) (currentCall() as Call).charge(cost);
};
const fail = (): never => {
  throw new RangeError('no');
};

/** Ways in which a call of estimate $1 turns out to cost $3. */
const OVERRUNS: readonly {
  readonly name: string;
  readonly run: (leash: Leash) => Promise<unknown>;
  readonly end: object;
}[] = [
  {
    name: 'actualCost',
    run: (leash) => leash.wrap('pay', () => 3, { ...options, actualCost: (usd) => ({ usd }) })(),
    end: { kind: 'tool_ok', usd: '3', overrun: 1 },
  },
  {
    name: 'one charge',
    run: (leash) => leash.wrap('pay', () => tell('$3'), options)(),
    end: { kind: 'tool_ok', usd: '3', overrun: 1 },
  },
  {
    name: 'many charges, to the last unit',
    run: (leash) =>
      leash.wrap('pay', () => tell({ usd: 0.1 }, { usd: 0.2 }, '$2.699999999', '$0.000000001'), options)(),
    end: { kind: 'tool_ok', usd: '3', overrun: 1 },
  },
  {
    name: 'a charge of a tool that then threw',
    run: (leash) =>
      leash
        .wrap('pay', () => [tell('$3'), fail()], options)()
        .catch(() => 1),
    end: { kind: 'tool_error', error: 'RangeError', usd: '3', overrun: 1 },
  },
  {
    name: 'a charge of a tool that then threw and is refunded',
    run: (leash) =>
      leash
        .wrap('pay', () => [tell('$3'), fail()], { ...options, onError: 'refund' })()
        .catch(() => 1),
    end: { kind: 'tool_error', error: 'RangeError', usd: '3', overrun: 1 },
  },
  {
    name: 'a charge of a tool that then threw and reported',
    run: (leash) =>
      leash
        .wrap('pay', () => [tell('$3'), fail()], { ...options, onError: 'reported' })()
        .catch(() => 1),
    end: { kind: 'tool_error', error: 'RangeError', usd: '3', overrun: 1 },
  },
  {
    name: 'an actualCost that is no money, after a charge',
    run: (leash) =>
      leash
        .wrap('pay', () => tell('$3'), { ...options, actualCost: () => '' as never })()
        .catch(() => 1),
    end: { kind: 'tool_error', error: 'RangeError', usd: '3', overrun: 1 },
  },
  {
    name: 'ticket.settle',
    run: async (leash) => (await leash.enter({ tool: 'pay', cost: '$1' })).settle('$3'),
    end: { kind: 'tool_ok', usd: '3', overrun: 1 },
  },
  {
    name: 'ticket.fail',
    run: async (leash) => (await leash.enter({ tool: 'pay', cost: '$1', onError: 'refund' })).fail(new Error(), '$3'),
    end: { kind: 'tool_error', error: 'Error', usd: '3', overrun: 1 },
  },
  {
    name: 'hold.settle',
    run: async (leash) => (await leash.hold('$1')).settle('$3'),
    end: { kind: 'charge', usd: '3' },
  },
];

describe('a true cost above the estimate', () => {
  it.each(OVERRUNS)('told by $name is booked in full, and the next call is refused', async ({ run, end }) => {
    const kit = new Kit({ stopOn: ['BUDGET_EXCEEDED'] });
    const child = kit.leash.child({ guards: [budget({ usd: 2, per: 'day' })] });
    await run(child);
    expect(kit.leash.breach).toBeUndefined();
    expect(kit.last).toMatchObject(end);
    for (const leash of [kit.leash, child]) {
      const { limits } = await leash.usage();
      const mine = limits.filter(({ unit }) => unit === 'usd');
      expect(mine.map(({ spent, held }) => [spent, held])).toEqual(mine.map(() => ['3', '0']));
      expect(mine.at(-1)?.remaining).toBe('-2');
    }
    expect((await child.usage()).usd).toBe('3');
    await expect(kit.leash.run({ tool: 'look', cost: 'free' }, () => 'ran')).resolves.toBe('ran');
    await expect(kit.leash.run({ tool: 'pay', cost: '$0.000000001' }, () => 1)).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
      reason: 'exhausted',
      remaining: '-2',
      requested: '0.000000001',
      message: 'Tool "pay" was refused: it needs $0.000000001 and the budget of $1.00 has -$2.00 left. Do not retry.',
    });
    expect(kit.leash.breach).toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });

  it('is marked only where it is above what was held', async () => {
    const kit = new Kit();
    await kit.leash.wrap('pay', () => 1, { cost: '$0.3', actualCost: () => '$0.3' })();
    expect(kit.last).toEqual(expect.not.objectContaining({ overrun: 1 }));
    await kit.leash.wrap('pay', () => 1, { cost: { usd: 0.1, sat: 5 }, actualCost: () => ({ usd: 0.05, sat: 6 }) })();
    expect(kit.last).toMatchObject({ usd: '0.05', sat: '6', overrun: 1 });
  });

  it('does not refuse what is running, and holds of others stay held', async () => {
    const kit = new Kit();
    const other = await kit.leash.enter({ tool: 'pay', cost: '$0.4' });
    await kit.leash.wrap('pay', () => tell('$5'), { cost: '$0.5' })();
    expect((await kit.leash.usage()).limits[0]).toMatchObject({ spent: '5', held: '0.4', remaining: '-4.4' });
    await other.settle('$0.2');
    expect((await kit.leash.usage()).limits[0]).toMatchObject({ spent: '5.2', held: '0', remaining: '-4.2' });
  });

  it.each<{ name: string; open: (leash: Leash) => unknown }>([
    { name: 'call', open: (leash) => leash.enter({ tool: 'pay', cost: '$0.5' }) },
    { name: 'hold', open: (leash) => leash.hold('$0.5') },
  ])('of a $name is booked when it comes after the session was closed', async ({ open }) => {
    const store = memoryStore();
    const parent = createLeash({ guards: [budget({ usd: 1 })], store });
    const leash = parent.child({ guards: [budget({ usd: 1, scope: 'org' })] });
    const opened = (await open(leash)) as Awaited<ReturnType<Leash['hold']>>;
    expect(await leash.close()).toMatchObject({ usd: '0.5' });
    const limits = async () => (await parent.child({ guards: [budget({ usd: 1, scope: 'org' })] }).usage()).limits;
    const both = (limit: object) => [limit, limit];
    expect(await limits()).toMatchObject(both({ spent: '0.5', held: '0', remaining: '0.5' }));
    await opened.settle('$3');
    await opened.settle('$4');
    await opened.release();
    expect(await limits()).toMatchObject(both({ spent: '3', held: '0', remaining: '-2' }));
  });

  it.each<{ name: string; open: (leash: Leash) => unknown }>([
    { name: 'call', open: (leash) => leash.enter({ tool: 'pay', cost: '$0.5' }) },
    { name: 'hold', open: (leash) => leash.hold('$0.5') },
  ])('below it that comes after the close frees nothing: a $name', async ({ open }) => {
    const parent = createLeash({ guards: [budget({ usd: 1 })] });
    const leash = parent.child({ guards: [] });
    const opened = (await open(leash)) as Awaited<ReturnType<Leash['hold']>>;
    await leash.close();
    await opened.settle('$0.1');
    expect((await parent.usage()).limits).toMatchObject([{ spent: '0.5', held: '0' }]);
  });
});

describe('what is booked', () => {
  it.each<{ onError: ToolOptions['onError']; told: Cost | undefined; booked: string }>([
    { onError: 'forfeit', told: undefined, booked: '0.5' },
    { onError: 'forfeit', told: '$0.2', booked: '0.5' },
    { onError: 'forfeit', told: '$0.7', booked: '0.7' },
    { onError: 'refund', told: undefined, booked: '0' },
    { onError: 'refund', told: '$0.2', booked: '0.2' },
    { onError: 'refund', told: '$0.7', booked: '0.7' },
    { onError: 'reported', told: undefined, booked: '0.5' },
    { onError: 'reported', told: '$0.2', booked: '0.2' },
    { onError: 'reported', told: '$0', booked: '0' },
    { onError: undefined, told: '$0.2', booked: '0.5' },
  ])('after an error with onError: $onError and charge($told) is $booked', async ({ onError, told, booked }) => {
    for (const how of ['throws', 'rejects', 'fails a ticket'] as const) {
      const kit = new Kit();
      const more = onError === undefined ? {} : { onError };
      const charge = () => told !== undefined && tell(told as Money);
      if (how === 'fails a ticket') {
        const ticket = await kit.leash.enter({ tool: 'pay', cost: '$0.5', ...more });
        ticket.within(charge);
        await ticket.fail(new Error());
      } else {
        const tool = how === 'throws' ? () => [charge(), fail()] : async () => [charge(), fail()];
        await kit.leash
          .wrap('pay', tool, { cost: '$0.5', ...more })()
          .catch(() => 1);
      }
      expect((await kit.leash.usage()).limits[0]).toMatchObject({ spent: booked, held: '0' });
      expect(kit.last).toMatchObject({ kind: 'tool_error', usd: booked });
    }
  });

  it('is exact to the last unit, whatever the costs are', async () => {
    const nano = fc.nat({ max: 2_000_000_000 });
    const written = (units: number) => `${Math.floor(units / 1e9)}.${String(units % 1e9).padStart(9, '0')}`;
    const law = fc.asyncProperty(fc.array(fc.tuple(nano, nano, fc.nat({ max: 3 }))), async (calls) => {
      const kit = new Kit({ guards: [budget({ usd: 1_000_000 })] });
      let spent = 0n;
      for (const [estimate, actual, how] of calls) {
        const [cost, usd] = [{ usd: written(estimate) }, written(actual)];
        if (how === 0) await kit.leash.run({ tool: 'pay', cost }, () => 1);
        else if (how === 1) await kit.leash.wrap('pay', () => tell({ usd }), { cost })();
        else if (how === 2) await kit.leash.charge({ usd });
        else await (await kit.leash.hold(cost)).settle({ usd });
        spent += BigInt(how === 0 ? estimate : actual);
      }
      const { usd, limits } = await kit.leash.usage();
      const [whole = '', fraction = ''] = usd.split('.');
      expect(BigInt(whole + fraction.padEnd(9, '0'))).toBe(spent);
      expect(limits[0]).toMatchObject({ spent: usd, held: '0' });
      expect(await kit.leash.close()).toMatchObject({ usd, sat: '0' });
      expect(kit.last).toMatchObject({ kind: 'session_close', ...(spent === 0n ? {} : { usd }) });
    });
    await fc.assert(law, { numRuns: 60 });
  }, 60_000);

  it.each([
    { name: 'whose requests are lost', applies: false, times: 2, spent: '0.3', held: '0', later: '0.3' },
    { name: 'whose answers are lost', applies: true, times: 2, spent: '0.3', held: '0', later: '0.3' },
    { name: 'that is gone', applies: false, times: 99, spent: '0', held: '0.5', later: '0.5' },
  ])(
    'is booked once by a store $name, and the tool is not disturbed',
    async ({ applies, times, spent, held, later }) => {
      const clock = new FakeClock();
      const memory = memoryStore({ clock });
      for (const fails of [() => fail(), () => Promise.reject(new RangeError('no'))]) {
        let left = times;
        const settle: Store['settle'] = (batch) => {
          if (left-- <= 0) return memory.settle(batch);
          if (applies) void memory.settle(batch);
          return fails();
        };
        const store = storeWith({ settle }, memory);
        const { leash } = new Kit({ clock, store, guards: [budget({ usd: 1 })], id: fails.toString() });
        const pay = leash.wrap('pay', () => 'paid', { cost: '$0.5', actualCost: () => '$0.3' });
        await expect(pay()).resolves.toBe('paid');
        expect((await leash.usage()).limits).toMatchObject([{ spent, held }]);
        clock.advance(300_000);
        await memory.sweep(9);
        expect((await leash.usage()).limits).toMatchObject([{ spent: later, held: '0' }]);
      }
    },
  );

  it('is rounded up to the next unit, where a cap is rounded down', async () => {
    const kit = new Kit({ guards: [budget({ usd: '0.0000000019' }), budget({ sat: '0.0019' })] });
    const cost = { usd: 1e-10, sat: '0.0000001' };
    await kit.leash.run({ tool: 'pay', cost }, () => 1);
    expect(await kit.leash.usage()).toMatchObject({ usd: '0.000000001', sat: '0.001' });
    const more = { reason: 'exhausted', cap: '0.000000001', requested: '0.000000001', remaining: '0' };
    await expect(kit.leash.run({ tool: 'pay', cost }, () => 1)).rejects.toMatchObject(more);
    await kit.leash.wrap('pay', () => tell({ usd: '0.0000000001' }), { cost: 'free' })();
    expect(await kit.leash.usage()).toMatchObject({ usd: '0.000000002', limits: [{ remaining: '-0.000000001' }, {}] });
  });

  it('fills a counter and never turns it over', async () => {
    const most = '9007199.254740991';
    const kit = new Kit({ guards: [budget({ usd: most })] });
    const pay = (usd: string, actual: string) =>
      kit.leash.wrap('pay', () => tell({ usd: actual }), { cost: { usd } })();
    await pay('1', most);
    await expect(pay('0.000000001', '1')).rejects.toMatchObject({ reason: 'exhausted', remaining: '0' });
    await pay('0', most);
    expect(await kit.leash.usage()).toMatchObject({ usd: most, limits: [{ spent: most, remaining: '0' }] });
    await expect(async () => kit.leash.charge({ usd: most })).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(await kit.leash.usage()).toMatchObject({ usd: most, limits: [{ spent: most, remaining: '0' }] });
  });

  it('is all of a charge, where two of them are more than a counter can hold', async () => {
    const kit = new Kit({ guards: [budget({ usd: '9007199.254740991' })] });
    await kit.leash.charge({ usd: 5_000_000 });
    await expect(async () => kit.leash.charge({ usd: 5_000_000 })).rejects.toMatchObject({ reason: 'exhausted' });
    expect((await kit.leash.usage()).limits).toMatchObject([{ spent: '9007199.254740991', remaining: '0' }]);
    await expect(kit.leash.run({ tool: 'pay', cost: '$1' }, () => 1)).rejects.toMatchObject({ remaining: '0' });
  });

  it('never is a charge in a unit that no budget accounts for', async () => {
    const kit = new Kit({ guards: [budget({ usd: 1 })] });
    let thrown: unknown;
    const tool = kit.leash.wrap('pay', () => (thrown = caught(() => tell({ sat: 1 }))), { cost: '$0.5' });
    await tool();
    expectRefused(
      thrown,
      RangeError,
      'currentCall().charge in tool "pay" is in sat, for which the leash has no budget',
      0,
    );
    const actual = kit.leash.wrap('pay', () => 1, { cost: '$0.1', actualCost: () => ({ sat: 1 }) });
    expectRefused(
      await actual().catch((error: unknown) => error),
      RangeError,
      '`actualCost` of tool "pay" is in sat',
      0,
    );
    const hold = await kit.leash.hold('$0.1');
    expectRefused(
      caught(() => hold.settle('1 sat')),
      RangeError,
      '`actual` of hold.settle is in sat',
      0,
    );
    expect(await kit.leash.usage()).toMatchObject({ usd: '0.7', sat: '0', limits: [{ spent: '0.7', held: '0' }] });
  });
});
