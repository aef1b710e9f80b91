import fc from 'fast-check';
import { type MemorySink, memorySink } from '../../src/audit/memory-sink.ts';
import { isLeashError } from '../../src/errors.ts';
import type { Guard } from '../../src/guard.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import type { AuditOptions } from '../../src/leash-options.ts';
import { FakeClock } from './clock.ts';

export const LOG_KEY: Uint8Array = Buffer.from('a key of the log that tests know');
const ALLOWED = 'https://allowed.test';

export type Action =
  | { readonly do: 'call'; readonly end: 'ok' | 'throw' | 'later' | 'never'; readonly cents: number }
  | { readonly do: 'deny'; readonly by: 'guard' | 'budget' | 'egress' | 'args' }
  | { readonly do: 'charge' | 'hold'; readonly cents: number; readonly note: string | undefined }
  | { readonly do: 'fetch' | 'stop' | 'resolve' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'child'; readonly observe: boolean; readonly actions: readonly Action[] };

export const name: fc.Arbitrary<string> = fc
  .oneof(
    fc.constantFrom('"},"prev":"', '\n{"v":1}', '\u2028', '\\', '__proto__', '\u0000', '😀'.repeat(99), 'é'),
    fc.string({ unit: 'binary', maxLength: 200 }),
  )
  .map((text) => text.slice(0, 200).toWellFormed());
const cents = fc.integer({ min: 0, max: 120 });

export const action: fc.Arbitrary<Action> = fc.letrec<{ action: Action }>((tie) => ({
  action: fc.oneof(
    { maxDepth: 3 },
    fc.record({ do: fc.constant('call' as const), end: fc.constantFrom('ok', 'throw', 'later', 'never'), cents }),
    fc.record({ do: fc.constant('deny' as const), by: fc.constantFrom('guard', 'budget', 'egress', 'args') }),
    fc.record({
      do: fc.constantFrom('charge', 'hold'),
      cents,
      note: fc.option(name.filter(Boolean), { nil: undefined }),
    }),
    fc.record({ do: fc.constantFrom('fetch', 'resolve', 'resolve', 'resolve', 'resolve', 'resolve', 'stop') }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: -5000, max: 5000 }) }),
    fc.record({
      do: fc.constant('child' as const),
      observe: fc.boolean(),
      actions: fc.array(tie('action'), { maxLength: 6 }),
    }),
  ) as fc.Arbitrary<Action>,
})).action;

/** Refuses what the arguments ask it to refuse. */
const picky: Guard = {
  name: 'picky "},"prev":"',
  check: ({ args }) =>
    (args as { refuse?: boolean }).refuse
      ? { allow: false, code: 'PICKY', reason: '"},"prev":"\n\ud800' }
      : { allow: true },
};

/** Lets a random session happen; the log is in the sink when it is over. */
export class Scenario {
  readonly sink: MemorySink = memorySink();
  readonly clock: FakeClock = new FakeClock();
  readonly prefix: string;
  readonly #resolvers: (() => void)[] = [];
  readonly #running: Promise<unknown>[] = [];
  #calls = 0;

  readonly #audit: Partial<AuditOptions>;

  constructor(prefix: string, audit: Partial<AuditOptions> = {}) {
    this.prefix = prefix;
    this.#audit = audit;
  }

  async play(actions: readonly Action[]): Promise<string> {
    const leash = createLeash({
      guards: [egress({ allow: [ALLOWED] }), picky, budget({ usd: 10 }), budget({ usd: 2, per: 'call' }), callCap(30)],
      agent: this.prefix || 'agent',
      stopOn: ['CALL_CAP_REACHED'],
      clock: this.clock,
      audit: { sink: this.sink, key: LOG_KEY, ...this.#audit },
    });
    await this.#act(leash, actions);
    this.#resolve();
    // Refused calls, and those whose leash is closed before they end.
    const ended = Promise.allSettled(this.#running);
    await Promise.race([ended, new Promise(setImmediate)]);
    await leash.close();
    return this.sink.lines.map((line) => `${line}\n`).join('');
  }

  async #act(leash: Leash, actions: readonly Action[]): Promise<void> {
    for (const action of actions) {
      try {
        await this.#do(leash, action);
      } catch (error) {
        if (!isLeashError(error)) throw error;
      }
    }
  }

  async #do(leash: Leash, action: Action): Promise<unknown> {
    switch (action.do) {
      case 'call':
        return this.#call(leash, action.end, action.cents);
      case 'deny':
        return this.#deny(leash, action.by);
      case 'charge':
        return leash.charge({ usd: action.cents / 100 }, action.note);
      case 'hold': {
        const hold = await leash.hold({ usd: action.cents / 100 }, action.note);
        return action.cents % 3 === 0 ? hold.release() : action.cents % 3 === 1 ? hold.settle('$0.5') : undefined;
      }
      case 'fetch':
        return leash.fetch('https://elsewhere.test/secret');
      case 'stop':
        return leash.stop(`${this.prefix} by hand`);
      case 'resolve':
        return this.#resolve();
      case 'wait':
        return this.clock.advance(action.ms);
      case 'child': {
        const mode = action.observe ? 'observe' : 'enforce';
        const child = leash.child({ guards: [budget({ usd: 1 }), picky], mode, agent: `${this.prefix}child` });
        await this.#act(child, action.actions);
        return action.actions.length % 2 === 0 ? child.close() : undefined;
      }
    }
  }

  /** The number at the end of its name is in its arguments. */
  #tool(): { readonly tool: string; readonly n: number } {
    const n = this.#calls++;
    return { tool: `${this.prefix}#${n}`, n };
  }

  async #call(leash: Leash, end: string, cents: number): Promise<void> {
    const { tool, n } = this.#tool();
    const running = leash.run({ tool, args: { n }, cost: { usd: cents / 100 } }, async () => {
      if (end === 'throw') throw new TypeError('a secret');
      if (end === 'later') await new Promise<void>((resolve) => this.#resolvers.push(resolve));
      if (end === 'never') await new Promise(() => {});
      return n;
    });
    running.catch(() => {});
    this.#running.push(running);
    if (end === 'ok') await running;
    // One that is refused or throws has its line before the next action.
    else await new Promise(setImmediate);
  }

  #deny(leash: Leash, by: 'guard' | 'budget' | 'egress' | 'args'): Promise<unknown> {
    const { tool, n } = this.#tool();
    const bad: unknown = by === 'args' ? { n, secret: Number.NaN } : { n, ...(by === 'guard' ? { refuse: true } : {}) };
    const url = by === 'egress' ? 'https://elsewhere.test/secret' : `${ALLOWED}/`;
    return leash.run({ tool, args: bad, url, cost: by === 'budget' ? '$2.01' : 'free' }, () => n);
  }

  #resolve(): void {
    for (const resolve of this.#resolvers.splice(0)) resolve();
  }
}
