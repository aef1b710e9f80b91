import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { memorySink } from '../src/audit/memory-sink.ts';
import type { Guard } from '../src/guard.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { createLeash } from '../src/leash.ts';
import type { Leash } from '../src/leash-contract.ts';
import type { LeashOptions } from '../src/leash-options.ts';
import { resumeScope, stopScope } from '../src/scope-stop.ts';
import { memoryStore } from '../src/stores/memory.ts';
import type { Store, Decision as StoreDecision } from '../src/stores/store.ts';
import { FakeClock } from './helpers/clock.ts';
import { lateStore } from './helpers/late-store.ts';
import { rejection, thrownBy } from './helpers/refused.ts';
import { storeWith } from './helpers/store-around.ts';

const ORG = 'org:acme';
const inOrg = (usd = 9): Guard => budget({ usd, scope: ORG });
const STOPPED = { name: 'SessionEndedError', code: 'SESSION_STOPPED' };
const UNAVAILABLE = { name: 'StoreUnavailableError', code: 'STORE_UNAVAILABLE' };

function on(store: Store, guards: readonly Guard[] = [inOrg()], options: Partial<LeashOptions> = {}) {
  const sink = memorySink();
  const leash = createLeash({ guards, store, audit: { sink, sign: 'none' }, ...options });
  const events = () => sink.lines.map((line) => JSON.parse(line) as Record<string, unknown>).slice(1);
  return { leash, events };
}

const run = (leash: Leash) => leash.run({ tool: 't', cost: '$1' }, () => 'ran');
const reasons = (events: () => Record<string, unknown>[]) =>
  events().flatMap(({ kind, reason, code }) =>
    kind === 'kill_switch' ? [reason] : kind === 'tool_denied' ? [code] : [],
  );

const failing: readonly { name: string; fails: () => never | Promise<never> }[] = [
  {
    name: 'throws',
    fails: () => {
      throw new Error('secret');
    },
  },
  { name: 'rejects', fails: () => Promise.reject(new Error('secret')) },
  { name: 'never answers', fails: () => new Promise<never>(() => {}) },
];

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

describe.each([
  { name: 'a store that answers at once', around: (store: Store) => store },
  { name: 'a store that answers later', around: lateStore },
])('stopping a scope in $name', ({ around }) => {
  const made = () => around(memoryStore());

  it('ends this leash at once, and every other at its next decision', async () => {
    const store = made();
    const [one, two, free] = [on(store), on(store, [callCap({ max: 9, scope: ORG })]), on(store, [budget({ usd: 9 })])];
    for (const { leash } of [one, two, free]) await run(leash);
    const stopping = one.leash.stop('runaway', { scope: ORG });
    expect(one.leash.signal.aborted).toBe(true);
    expect(one.leash.breach).toMatchObject(STOPPED);
    await stopping;
    expect(two.leash.signal.aborted).toBe(false);
    const error = await rejection(run(two.leash));
    expect(error).toMatchObject(STOPPED);
    expect(two.leash.signal.reason).toBe(two.leash.breach);
    expect(two.leash.breach).toMatchObject(STOPPED);
    expect(await rejection(run(two.leash))).toMatchObject({ ...STOPPED, reason: 'stopped' });
    expect(await run(free.leash)).toBe('ran');
    expect(reasons(one.events)).toEqual(['scope org:acme: runaway']);
    expect(reasons(two.events)).toEqual(['scope org:acme was stopped', 'SESSION_STOPPED', 'SESSION_STOPPED']);
    // The refusal says where it stands itself.
    expect((error as unknown as { event: { seq: number } }).event.seq).toBe(two.events().at(-2)?.['seq']);
  });

  it('reaches calls under an idempotency key that has been paid for', async () => {
    const store = made();
    const { leash } = on(store);
    const call = { tool: 't', cost: '$1', idempotencyKey: 'k' } as const;
    for (let i = 0; i < 2; i++) expect(await leash.run(call, () => 'ran')).toBe('ran');
    await stopScope(store, ORG);
    expect(await rejection(leash.run(call, () => 'ran'))).toMatchObject(STOPPED);
    expect((await leash.usage()).limits).toMatchObject([{ spent: '1', held: '0' }]);
  });

  it('reaches calls that run, by the first refusal of another', async () => {
    const store = made();
    const { leash } = on(store);
    let reason: unknown;
    const waiting = leash.run(
      { tool: 't', cost: '$1' },
      () =>
        new Promise((resolve) => {
          leash.signal.addEventListener('abort', () => {
            reason = leash.signal.reason;
            resolve('aborted');
          });
        }),
    );
    await vi.advanceTimersByTimeAsync(0);
    await stopScope(store, ORG);
    expect(await rejection(run(leash))).toMatchObject(STOPPED);
    expect(await waiting).toBe('aborted');
    expect(reason).toMatchObject(STOPPED);
    // What has happened is booked all the same.
    expect((await leash.usage()).limits).toMatchObject([{ spent: '1', held: '0' }]);
  });

  it('reaches such a call also where the clock of its process is in another calendar window', async () => {
    const store = made();
    const clock = new FakeClock(0, Date.UTC(2020, 1, 1));
    const { leash } = on(store, [budget({ usd: 9, per: 'day', scope: 'other' }), inOrg()], { clock });
    await leash.enter({ tool: 't', cost: '$1', leaseMs: 30_000 });
    await stopScope(store, ORG);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(leash.breach).toMatchObject(STOPPED);
  });

  it('reaches a call that runs alone, when its lease is renewed', async () => {
    const memory = memoryStore();
    const asked: unknown[] = [];
    const reserve: Store['reserve'] = (batch) => {
      const decisions = memory.reserve(batch) as readonly StoreDecision[];
      asked.push(decisions.map(({ ok }) => ok));
      return decisions;
    };
    const store = around(storeWith({ reserve }, memory));
    const { leash, events } = on(store, [budget({ usd: 9 }), inOrg(), budget({ usd: 9, per: 'day', scope: 'other' })]);
    const options = { tool: 't', cost: '$1', leaseMs: 30_000 } as const;
    const ticket = await leash.enter(options);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(leash.signal.aborted).toBe(false);
    // Asking leaves nothing behind.
    const usage = { spent: '0', held: '1', remaining: '8' };
    expect((await leash.usage()).limits).toMatchObject([usage, usage, usage]);
    expect(asked).toEqual([[true], ...Array(3).fill([true, false])]);
    await stopScope(store, 'other');
    await vi.advanceTimersByTimeAsync(9_000);
    expect(leash.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(leash.signal.aborted).toBe(true);
    expect(reasons(events)).toEqual(['scope other was stopped']);
    // The hold lives on, and is settled as it would have been.
    await ticket.settle('$2');
    expect((await leash.usage()).limits).toMatchObject([{ spent: '2' }, { spent: '2' }, { spent: '2' }]);
  });

  it('is undone for leashes that come later', async () => {
    const store = made();
    const { leash } = on(store);
    await run(leash);
    await stopScope(store, ORG);
    const idle = on(store);
    expect(await rejection(run(leash))).toMatchObject(STOPPED);
    expect(await rejection(run(on(store).leash))).toMatchObject(STOPPED);
    await resumeScope(store, ORG);
    expect(await run(on(store).leash)).toBe('ran');
    // One that never heard of it goes on, one that did has ended.
    expect(await run(idle.leash)).toBe('ran');
    expect(await rejection(run(leash))).toMatchObject(STOPPED);
    expect((await idle.leash.usage()).limits).toMatchObject([{ spent: '3', remaining: '6' }]);
  });

  it('ends the outermost leash that counts on the scope, and its children with it', async () => {
    const store = made();
    const root = on(store, [budget({ usd: 9 })]);
    const team = root.leash.child({ guards: [inOrg()] });
    const worker = team.child({ guards: [budget({ usd: 5, scope: ORG })] });
    const sibling = team.child({ guards: [] });
    await stopScope(store, ORG);
    expect(await rejection(run(worker))).toMatchObject(STOPPED);
    expect([root.leash, team, worker, sibling].map(({ signal }) => signal.aborted)).toEqual([false, true, true, true]);
    expect(reasons(root.events)).toEqual(['scope org:acme was stopped', 'SESSION_STOPPED']);
    expect(await run(root.leash)).toBe('ran');
  });

  it('ends a child alone that alone counts on the scope', async () => {
    const store = made();
    const { leash } = on(store, [budget({ usd: 9 })]);
    const child = leash.child({ guards: [inOrg()] });
    const sibling = leash.child({ guards: [budget({ usd: 9, scope: 'org:other' })] });
    await stopScope(store, ORG);
    expect(await thrownOrRejected(() => child.hold('$1'))).toMatchObject(STOPPED);
    expect(child.signal.aborted).toBe(true);
    expect(await run(sibling)).toBe('ran');
    expect(await run(leash)).toBe('ran');
  });

  it('ends what only observes, too', async () => {
    const store = made();
    const { leash } = on(store, [inOrg()], { mode: 'observe' });
    await stopScope(store, ORG);
    expect(await rejection(run(leash))).toMatchObject(STOPPED);
    expect(leash.signal.aborted).toBe(true);
  });

  it('does not keep spend that has happened from being booked', async () => {
    const store = made();
    const { leash } = on(store);
    const open = await leash.enter({ tool: 't', cost: '$1' });
    await stopScope(store, ORG);
    await leash.charge('$2');
    await open.settle('$3');
    expect((await leash.usage()).limits).toMatchObject([{ spent: '5', held: '0' }]);
    expect(leash.signal.aborted).toBe(false);
  });

  it('is found by a leash that ran on its allowance meanwhile', async () => {
    const memory = memoryStore();
    let down = false;
    const reserve: Store['reserve'] = (batch) => {
      if (down) throw new Error('down');
      return memory.reserve(batch);
    };
    const store = around(storeWith({ reserve }, memory));
    const { leash } = on(store, [inOrg()], { onStoreError: { allowUpTo: { usd: 5 } } });
    down = true;
    await stopScope(store, ORG);
    expect(await run(leash)).toBe('ran');
    down = false;
    expect(await rejection(run(leash))).toMatchObject(STOPPED);
    expect((await leash.usage()).limits).toMatchObject([{ spent: '1' }]);
  });
});

async function thrownOrRejected(action: () => unknown): Promise<unknown> {
  try {
    await action();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('leash.stop with a scope', () => {
  it.each(failing)('ends the leash also when the store $name, and says so', async ({ fails }) => {
    const store = storeWith({ stop: fails });
    const { leash } = on(store, undefined, { storeTimeoutMs: 50 });
    const stopping = rejection(leash.stop('runaway', { scope: ORG }));
    expect(leash.signal.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(50);
    expect(await stopping).toMatchObject(UNAVAILABLE);
    expect((await stopping).message).not.toContain('secret');
  });

  it('asks the store again when it is called again, also after the end', async () => {
    const asked: string[] = [];
    const { leash, events } = on(storeWith({ stop: (scope) => void asked.push(scope) }));
    await leash.stop('runaway', { scope: ORG });
    await leash.stop('again', { scope: ORG });
    await leash.close();
    await leash.stop('and again', { scope: ORG });
    expect(asked).toEqual(Array(3).fill('shared:org:acme'));
    expect(reasons(events)).toEqual(['scope org:acme: runaway']);
  });

  it('may name a scope that the leash does not count on', async () => {
    const store = memoryStore();
    await on(store, []).leash.stop('runaway', { scope: ORG });
    expect(await rejection(run(on(store).leash))).toMatchObject(STOPPED);
  });

  it.each([
    { name: 'no options object', options: null, error: TypeError, says: 'leash.stop expects an options object' },
    { name: 'another option', options: { scop: ORG }, error: TypeError, says: 'unknown option `scop`' },
    { name: 'no scope', options: {}, error: TypeError, says: '`leash.stop.scope` must be a string' },
    { name: 'an empty scope', options: { scope: '' }, error: RangeError, says: '`leash.stop.scope`' },
  ])('refuses $name, and stops nothing', ({ options, error, says }) => {
    const { leash } = on(memoryStore());
    expect(() => leash.stop('runaway', options as never)).toThrow(error);
    expect(() => leash.stop('runaway', options as never)).toThrow(says);
    expect(() => leash.stop('', { scope: ORG })).toThrow('`reason`');
    expect(leash.signal.aborted).toBe(false);
  });

  it('without one answers nothing', () => {
    expect(on(memoryStore()).leash.stop('by hand')).toBeUndefined();
  });
});

describe.each([
  { name: 'stopScope', change: stopScope, method: 'stop' },
  { name: 'resumeScope', change: resumeScope, method: 'resume' },
] as const)('$name', ({ change, method }) => {
  it.each(failing)('rejects when the store $name', async ({ fails }) => {
    const changing = rejection(change(storeWith({ [method]: fails }), ORG));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await changing).toMatchObject(UNAVAILABLE);
    expect((await changing).message).toBe('The store did not take the change of the scope.');
  });

  it.each([
    { scope: '', error: RangeError },
    { scope: undefined, error: TypeError },
  ])('refuses $scope as the scope', async ({ scope, error }) => {
    await expect(change(memoryStore(), scope as never)).rejects.toThrow(error);
  });
});

describe('usage of a shared scope', () => {
  it('tells what all leashes on the store have spent', async () => {
    const store = memoryStore();
    const [one, two] = [on(store), on(store, [inOrg(), budget({ usd: 9 })])];
    await run(one.leash);
    await run(two.leash);
    await two.leash.enter({ tool: 't', cost: '$2' });
    const fleet = { scope: ORG, spent: '2', held: '2', remaining: '5' };
    expect(await one.leash.usage()).toMatchObject({ usd: '1', limits: [fleet] });
    expect(await two.leash.usage()).toMatchObject({ usd: '1', limits: [fleet, { spent: '1', held: '2' }] });
    expect(thrownBy(() => one.leash.hold('$6'))).toMatchObject({ code: 'BUDGET_EXCEEDED', remaining: '5' });
  });
});
