import { setTimeout as pause } from 'node:timers/promises';
import { currentCall } from '../../src/call.ts';
import { findLeashError } from '../../src/errors.ts';
import { holdOf } from '../../src/session/idempotency.ts';
import type { SeededRandom } from '../helpers/random.ts';
import { type Entry, moneyOf, type Unit } from './ledger.ts';
import { isBrittle, type Plan, planFor, took } from './plan.ts';
import { gate, isClosed, type Node, nodesOf, type Tree } from './tree.ts';
import { LEASE_MS } from './wire.ts';

/** What may happen to an agent: everything else is a finding. */
const EXPECTED: ReadonlySet<string> = new Set([
  'BUDGET_EXCEEDED',
  'CALL_CAP_REACHED',
  'RATE_LIMITED',
  'SESSION_CLOSED',
  'SESSION_STOPPED',
  'SESSION_BREACHED',
  'AUDIT_UNAVAILABLE',
  'STORE_UNAVAILABLE',
  'CONFLICT',
]);

export class ToolFailed extends Error {}

/** Counts what agents have seen. */
export interface Tally {
  calls: number;
  streams: number;
  holds: number;
  charges: number;
  refused: Record<string, number>;
  unexpected: string[];
}

export function noted(tally: Tally, error: unknown): void {
  if (error instanceof ToolFailed) return;
  const code = findLeashError(error)?.code ?? '';
  if (EXPECTED.has(code)) tally.refused[code] = (tally.refused[code] ?? 0) + 1;
  else if (tally.unexpected.length < 10) tally.unexpected.push(String((error as Error)?.stack ?? error));
}

const ON_ERROR = ['forfeit', 'refund', 'reported'] as const;

export class Agent {
  readonly #random: SeededRandom;
  readonly #treeOf: () => Tree;
  readonly #tally: Tally;
  /** Work that goes on when the agent has turned to something else. */
  readonly late: Set<Promise<unknown>>;
  readonly #keys: string;

  constructor(random: SeededRandom, treeOf: () => Tree, tally: Tally, late: Set<Promise<unknown>>, keys: string) {
    this.#random = random;
    this.#treeOf = treeOf;
    this.#tally = tally;
    this.late = late;
    this.#keys = keys;
  }

  async work(until: () => boolean): Promise<void> {
    const random = this.#random;
    while (!until()) {
      const node = random.pick(nodesOf(this.#treeOf().root));
      try {
        await this.#act(node);
      } catch (error) {
        noted(this.#tally, error);
        // Whoever is refused at once must not keep the others from their turn.
        await pause(isClosed(node) ? 5 : random.integer(0, 2));
      }
      if (random.happens(8)) await pause(random.integer(0, 4));
    }
  }

  #act(node: Node): Promise<unknown> {
    const random = this.#random;
    const what = random.integer(0, 99);
    if (what < 45) return this.#call(node);
    if (what < 55) return this.#ticket(node);
    if (what < 70 && !node.tree.traits.latches) return this.#stream(node);
    if (what < 78) return this.#keyed(node);
    if (what < 84) return this.#free(node);
    if (what < 94) return this.#hold(node);
    return this.#charge(node);
  }

  #entry(node: Node, kind: Entry['kind'], id: string, unit: Unit, estimate: number, more: Partial<Entry> = {}): Entry {
    const entry: Entry = { kind, id, unit, estimate, ...more };
    node.entries.push(entry);
    return entry;
  }

  #call(node: Node): Promise<unknown> {
    const { leash } = node;
    const plan = planFor(node, this.#random);
    const onError = isBrittle(node) ? 'forfeit' : this.#random.pick(ON_ERROR);
    const tool = async (): Promise<Plan> => {
      const call = currentCall();
      if (call === undefined) throw new Error('a tool is not in its call');
      this.#tally.calls++;
      const entry = this.#entry(node, 'call', call.id, plan.unit, plan.estimate);
      const throws = (await took(plan, call.signal)) || plan.throws;
      if (plan.reported > 0) call.charge(moneyOf(plan.unit, plan.reported));
      await gate(node);
      if (!throws) {
        entry.booked = plan.actual;
        return plan;
      }
      const told = plan.reported > 0 ? plan.reported : undefined;
      entry.booked =
        onError === 'forfeit' ? plan.estimate : onError === 'refund' ? (told ?? 0) : (told ?? plan.estimate);
      throw new ToolFailed('failed');
    };
    const done = leash.wrap('pay', tool, {
      args: () => ({ amount: plan.estimate }),
      cost: moneyOf(plan.unit, plan.estimate),
      actualCost: ({ unit, actual }) => moneyOf(unit, actual),
      onError,
    })();
    // Some do not wait for their tools.
    if (!this.#random.happens(6)) return done;
    this.#leave(done);
    return pause(1);
  }

  #leave(work: Promise<unknown>): void {
    const left = work.catch((error: unknown) => noted(this.#tally, error)).finally(() => this.late.delete(left));
    this.late.add(left);
  }

  async #free(node: Node): Promise<unknown> {
    return node.leash.run({ tool: 'look', args: { at: 1 }, cost: 'free' }, () => {
      this.#tally.calls++;
      this.#entry(node, 'call', currentCall()?.id ?? '', 'usd', 0, { booked: 0 });
      return 'seen';
    });
  }

  async #ticket(node: Node): Promise<void> {
    const plan = planFor(node, this.#random);
    const cost = moneyOf(plan.unit, plan.estimate);
    const ticket = await node.leash.enter({ tool: 'entered', args: { amount: plan.estimate }, cost });
    this.#tally.calls++;
    const entry = this.#entry(node, 'call', ticket.call.id, plan.unit, plan.estimate);
    const end = async (): Promise<void> => {
      await pause(plan.takesMs);
      await gate(node);
      if (entry.booked !== undefined) throw new Error('an entry has ended twice');
      if (plan.throws && plan.actual === plan.estimate) {
        entry.booked = plan.estimate;
        return ticket.fail(new ToolFailed('failed'));
      }
      if (plan.throws && !isBrittle(node)) {
        entry.booked = 0;
        entry.released = true;
        return ticket.release();
      }
      entry.booked = plan.actual;
      return ticket.settle(moneyOf(plan.unit, plan.actual));
    };
    if (!this.#random.happens(4)) return end();
    this.#leave(end());
  }

  async #stream(node: Node): Promise<void> {
    const plan = planFor(node, this.#random);
    const parts = this.#random.integer(1, 5);
    const leavesAfter = this.#random.happens(3) ? this.#random.integer(1, parts) : undefined;
    // What is told is never more than what was held: a session that ends in the middle books the one or the other.
    const each = plan.reported > 0 ? Math.floor(plan.estimate / parts) : 0;
    let entry: Entry | undefined;
    let told = 0;
    const end = (booked: number): void => {
      if (entry !== undefined) entry.booked ??= booked;
    };
    const tally = this.#tally;
    const make = (id: string): Entry => this.#entry(node, 'call', id, plan.unit, plan.estimate, { streams: true });
    async function* feed(): AsyncGenerator<number> {
      const call = currentCall();
      if (call === undefined) throw new Error('a stream is not in its call');
      tally.streams++;
      entry = make(call.id);
      for (let part = 0; part < parts; part++) {
        if (plan.takesMs > 0) await pause(plan.takesMs / parts);
        if (entry.booked !== undefined) return;
        if (each > 0) {
          call.charge(moneyOf(plan.unit, each));
          told += each;
        }
        yield part;
      }
      await gate(node);
      if (plan.throws) {
        end(plan.estimate);
        throw new ToolFailed('failed');
      }
      end(told > 0 ? told : plan.estimate);
    }
    const wrapped = node.leash.wrap('feed', feed, {
      args: () => ({ amount: plan.estimate }),
      cost: moneyOf(plan.unit, plan.estimate),
    });
    let seen = 0;
    for await (const _ of wrapped()) {
      seen++;
      if (seen !== leavesAfter) continue;
      await gate(node);
      end(told > 0 ? told : plan.estimate);
      break;
    }
  }

  /** A payment that its provider makes once, however often it is asked for. */
  #keyed(node: Node): Promise<unknown> {
    const random = this.#random;
    const amount = random.integer(1, 3) * 1_000_000;
    const args = { order: `${this.#keys} ${random.integer(1, 12)}`, amount };
    const key = holdOf(node.leash.id, 'order', args.order, JSON.stringify({ amount: args.amount, order: args.order }));
    node.asked.set(key, amount);
    const order = node.leash.wrap(
      'order',
      async (_: typeof args): Promise<void> => {
        this.#tally.calls++;
        const entry = this.#entry(node, 'call', currentCall()?.id ?? '', 'usd', amount, { key });
        await pause(random.integer(0, 5));
        await gate(node);
        entry.booked = amount;
      },
      { cost: (given) => moneyOf('usd', given.amount), leaseMs: LEASE_MS, idempotencyKey: (given) => given.order },
    );
    return order(args);
  }

  async #hold(node: Node): Promise<void> {
    const plan = planFor(node, this.#random);
    const hold = await node.leash.hold(moneyOf(plan.unit, plan.estimate), 'model');
    this.#tally.holds++;
    const entry = this.#entry(node, 'hold', hold.id, plan.unit, plan.estimate);
    // Nobody ends it but the close.
    if (this.#random.happens(15)) return;
    const end = async (): Promise<void> => {
      await pause(plan.takesMs);
      await gate(node);
      if (plan.throws) {
        entry.booked = 0;
        entry.released = true;
        return hold.release();
      }
      entry.booked = plan.actual;
      return hold.settle(moneyOf(plan.unit, plan.actual));
    };
    if (!this.#random.happens(4)) return end();
    this.#leave(end());
  }

  async #charge(node: Node): Promise<void> {
    if (isClosed(node)) return;
    const unit = this.#random.happens(3) ? 'sat' : 'usd';
    const amount = this.#random.integer(1, 10_000_000);
    this.#tally.charges++;
    // Booked whatever comes of it: it has been spent.
    this.#entry(node, 'charge', '', unit, 0, { booked: amount });
    await node.leash.charge(moneyOf(unit, amount), 'after the fact');
  }
}
