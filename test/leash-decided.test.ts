import { hash } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { budget, callCap, createLeash, type Guard, memorySink, memoryStore, type Verdict } from '../src/index.ts';
import { canonicalJson } from '../src/internal/canonical-json.ts';

const events = (lines: readonly string[]): { kind: string; [key: string]: unknown }[] =>
  lines.map((line) => JSON.parse(line));

/** What a session decided on stays what it decided on, whatever options and guards do with what they are shown. */
describe('what is decided on', () => {
  const sorting = (args: { items: number[] }): void => {
    try {
      args.items.sort();
    } catch {
      // Frozen.
    }
  };
  const sortingCost = (args: { items: number[] }): '$1' => {
    sorting(args);
    return '$1';
  };
  const sortingKey = (args: { items: number[] }): string => {
    sorting(args);
    return 'key';
  };

  it.each([
    { name: 'cost', options: { cost: sortingCost } },
    { name: 'idempotencyKey', options: { cost: '$1', idempotencyKey: sortingKey } },
  ] as const)('is not changed by the function for $name', async ({ options }) => {
    const sink = memorySink();
    const leash = createLeash({ guards: [budget({ usd: 5 })], audit: { sink, args: 'sha256', sign: 'none' } });
    const got = vi.fn();
    await leash.wrap('t', async (args: { items: number[] }) => got([...args.items]), options)({ items: [3, 1, 2] });
    expect(got).toHaveBeenCalledWith([3, 1, 2]);
    const committed = `sha256:${hash('sha256', canonicalJson({ items: [3, 1, 2] }))}`;
    expect(events(sink.lines)).toMatchObject([{}, { kind: 'tool_start', args: committed }, { kind: 'tool_ok' }]);
  });

  it.each(['cost', 'args', 'tool', 'urls'])('has a %s that no guard can set', async (field) => {
    const setting: Guard = {
      name: 'setting',
      check(call): Verdict {
        (call as unknown as Record<string, unknown>)[field] = { usd: 0, sat: 0 };
        return { allow: true };
      },
    };
    const leash = createLeash({ guards: [setting, budget({ usd: 1 })], stopOn: 'none' });
    const ran = vi.fn();
    await expect(leash.wrap('t', ran, { cost: '$5' })('x')).rejects.toMatchObject({ code: 'GUARD_FAILED' });
    expect(ran).not.toHaveBeenCalled();
  });

  it('is the tool’s own to change', async () => {
    const leash = createLeash({ guards: [] });
    const push = leash.wrap('t', async (args: { items: number[] }) => args.items.push(4));
    expect(await push({ items: [1, 2, 3] })).toBe(4);
  });
});

describe('an idempotency key', () => {
  const paying = (store = memoryStore()) => {
    const leash = createLeash({ guards: [budget({ usd: 5 }), callCap(9)], store, stopOn: 'none' });
    const pay = leash.wrap(
      'pay',
      async (to: string) => {
        if (to === 'fails') throw new Error('down');
        return to;
      },
      { cost: '$5', onError: 'refund', idempotencyKey: () => 'same' },
    );
    const spent = async () => (await leash.usage()).limits.map((limit) => limit.spent);
    return { leash, pay, spent };
  };

  it('has not paid where the first call was refunded; its attempt counts', async () => {
    const { pay, spent } = paying();
    await expect(pay('fails')).rejects.toThrow('down');
    expect(await spent()).toEqual(['0', 1]);
    await expect(pay('fails')).rejects.toThrow('down');
    expect(await spent()).toEqual(['0', 2]);
  });

  it('pays anew for other arguments', async () => {
    const { pay, spent } = paying();
    await pay('alice');
    await pay('alice');
    expect(await spent()).toEqual(['5', 2]);
    await expect(pay('mallory')).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });
});

describe('a guard’s verdict', () => {
  const CANARY = 'canary-7f3a';
  it.each<{ name: string; verdict: () => unknown }>([
    {
      name: 'throws when it is looked at',
      verdict: () => ({
        get allow() {
          throw new Error(CANARY);
        },
      }),
    },
    { name: 'has a message that is no text', verdict: () => ({ allow: false, code: 'X', reason: 'r', message: {} }) },
    { name: 'waits for NaN', verdict: () => ({ allow: false, code: 'X', reason: 'r', retryAfterMs: Number.NaN }) },
  ])('that $name refuses, with a line', async ({ verdict }) => {
    for (const late of [false, true]) {
      const sink = memorySink();
      const check = (): Verdict => (late ? Promise.resolve(verdict()) : verdict()) as Verdict;
      const leash = createLeash({ guards: [{ name: 'odd', check }], audit: { sink, sign: 'none' }, stopOn: 'none' });
      const ran = vi.fn();
      const refused = leash.run({ tool: 't' }, ran);
      await expect(refused).rejects.toMatchObject({ code: 'GUARD_FAILED' });
      await expect(refused).rejects.not.toThrow(CANARY);
      expect(ran).not.toHaveBeenCalled();
      expect(events(sink.lines)).toMatchObject([{}, { kind: 'tool_denied', guard: 'odd', code: 'GUARD_FAILED' }]);
    }
  });
});

describe('a leash', () => {
  it('refuses a child with its own id, which would share its counters and shut them', () => {
    const leash = createLeash({ guards: [callCap(1)], id: 'one' });
    expect(() => leash.child({ guards: [], id: 'one' })).toThrow(/leash\.child\.id/);
    expect(() => leash.child({ guards: [], id: 'two' }).child({ guards: [], id: 'one' })).toThrow(RangeError);
  });

  it('opens no child once it is closed', async () => {
    const leash = createLeash({ guards: [] });
    await leash.close();
    expect(() => leash.child({ guards: [] })).toThrow(expect.objectContaining({ code: 'SESSION_CLOSED' }));
  });

  it('books nothing for a run without a function', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    await expect(leash.run({ tool: 't', cost: '$1' }, undefined as never)).rejects.toThrow(TypeError);
    expect((await leash.usage()).limits[0]?.spent).toBe('0');
  });

  it('does not send a model waiting where the denial ended the session', async () => {
    for (const [stopOn, advice] of [
      ['any', 'Do not retry.'],
      ['none', 'Wait until running calls have ended.'],
    ] as const) {
      const leash = createLeash({ guards: [budget({ usd: 1 })], stopOn });
      const work = leash.wrap('t', () => new Promise(() => {}), { cost: '$0.60' });
      void work().catch(() => {});
      const { message } = (await work().catch((error: unknown) => error)) as Error;
      expect(message.endsWith(advice), message).toBe(true);
    }
  });
});
