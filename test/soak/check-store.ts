import { setTimeout as pause } from 'node:timers/promises';
import type { Store } from '../../src/stores/store.ts';
import { countedFor } from './ledger.ts';
import { type Counter, lineOf, type Node } from './tree.ts';
import { type Asked, LEASE_MS, type Wire } from './wire.ts';

/** What each counter must hold, by `scope meter`. Shared ones go on from round to round. */
export type Totals = Map<string, number>;

/** Holds of keyed calls whose end the store was never told end with their lease, of a second, when they are swept. */
const SWEPT_WITHIN_MS = 12_000;
const TOLD_WITHIN_MS = 12_000;

/** What the store counts against what must be booked; and that no cap was passed, and nothing is held any more. */
export async function checkStore(
  raw: Store,
  wire: Wire,
  nodes: readonly Node[],
  totals: Totals,
  paid: ReadonlySet<string>,
): Promise<readonly string[]> {
  const counters = new Map<string, Counter>();
  for (const node of nodes) for (const counter of node.counters) counters.set(keyOf(counter), counter);
  const scopes = [...new Set([...counters.values()].map(({ scope }) => scope))];
  const differences: string[] = [];
  const held = await heldAfterSweeps(raw, scopes);
  if (held !== '') differences.push(`still held: ${held}`);

  /** Beyond what was held for it: no cap can keep it from being booked. */
  const beyond = new Map<string, number>();
  const add = (to: Map<string, number>, node: Node, unit: Counter['unit'], units: number): void => {
    for (const counter of lineOf(node).flatMap((each) => each.counters)) {
      if (counter.unit === unit && counter.perMs === undefined)
        to.set(keyOf(counter), (to.get(keyOf(counter)) ?? 0) + units);
    }
  };
  const orders = await ordersOf(raw, wire);
  const ran = new Map<string, number>();
  for (const node of nodes) {
    for (const entry of node.entries) {
      const { kind, id, unit, estimate, key, released, forfeited } = entry;
      // The hold of the key counts for the one call that it was made for; those that were paid for count by themselves.
      const isOrder = key !== undefined && !paid.has(id);
      if (isOrder) ran.set(key, (ran.get(key) ?? 0) + 1);
      const isFree = key !== undefined || (released === true && !forfeited);
      if (kind === 'call' && !isOrder && !(released === true && !forfeited)) add(totals, node, 'call', 1);
      if (isFree) continue;
      const counted = countedFor(entry);
      add(totals, node, unit, counted);
      add(beyond, node, unit, counted - Math.min(counted, estimate));
    }
    for (const { key, amount } of keysOf(node)) {
      const { booked, unsure } = orders.get(key) ?? { booked: 0, unsure: false };
      const runs = ran.get(key) ?? 0;
      if (runs > 1) differences.push(`an order was paid ${runs} times`);
      if (runs === 1 && booked !== 1) differences.push(`an order that was paid once is booked ${booked} times`);
      if (runs === 0 && booked > (unsure ? 1 : 0)) differences.push('an order that nobody has paid is booked');
      add(totals, node, 'usd', booked * amount);
      add(totals, node, 'call', booked);
      orders.delete(key);
    }
  }
  // Keys whose calls never ran: a reply that was lost, and nobody came back.
  for (const { booked, node, amount, unsure } of unseen(orders, nodes)) {
    if (booked > 0 && !unsure) differences.push('an order that nobody has paid is booked');
    add(totals, node, 'usd', booked * amount);
    add(totals, node, 'call', booked);
  }

  const attempts = await attemptsForfeited(raw, wire, nodes);
  if (attempts.held > 0) differences.push(`${attempts.held} attempts that never ran are held after their leases`);
  for (const counter of attempts.counted) {
    const key = keyOf(counter);
    totals.set(key, (totals.get(key) ?? 0) + 1);
  }

  const compared = [...counters.values()].filter(({ perMs }) => perMs === undefined);
  const readings = await readingsOf(raw, scopes, (read) =>
    compared.every(
      (counter) => (read[counter.scope]?.[counter.meter]?.used ?? 0) === (totals.get(keyOf(counter)) ?? 0),
    ),
  );
  for (const [key, { scope, meter, cap, perMs }] of counters) {
    if (perMs !== undefined) continue;
    const used = readings[scope]?.[meter]?.used ?? 0;
    const expected = totals.get(key) ?? 0;
    if (used !== expected) {
      differences.push(`${key}: the store counts ${used}, and it was ${expected} (${used - expected})`);
      // What goes on is compared from here on.
      totals.set(key, used);
    }
    if (cap !== undefined && expected - (beyond.get(key) ?? 0) > cap)
      differences.push(`${key}: ${expected} spent of ${cap}`);
    if (!scope.startsWith('shared:org')) totals.delete(key);
  }
  for (const node of nodes) differences.push(...ratesOf(node, wire.asked));
  for (const scope of wire.shut) await raw.shut(scope);
  return differences;
}

function keyOf({ scope, meter }: Pick<Counter, 'scope' | 'meter'>): string {
  return `${scope} ${meter}`;
}

async function heldAfterSweeps(raw: Store, scopes: readonly string[]): Promise<string> {
  const until = performance.now() + SWEPT_WITHIN_MS;
  for (;;) {
    while ((await raw.sweep(256)).length > 0);
    const held: string[] = [];
    for (const [scope, meters] of Object.entries(await raw.read(scopes))) {
      for (const [meter, reading] of Object.entries(meters))
        if (reading.held !== 0) held.push(`${scope} ${meter} ${reading.held}`);
    }
    if (held.length === 0 || performance.now() > until) return held.slice(0, 5).join(', ');
    await pause(200);
  }
}

type Readings = Awaited<ReturnType<Store['read']>>;

/** That a call without a cost was given back is told within five seconds, and nothing is held until then that would show it. */
async function readingsOf(
  raw: Store,
  scopes: readonly string[],
  agrees: (read: Readings) => boolean,
): Promise<Readings> {
  const until = performance.now() + TOLD_WITHIN_MS;
  for (;;) {
    const read = await raw.read(scopes);
    if (agrees(read) || performance.now() > until) return read;
    await pause(200);
  }
}

interface Order {
  booked: number;
  unsure: boolean;
}

/** How often the store has booked each key, and whether an answer about it was lost. */
async function ordersOf(raw: Store, wire: Wire): Promise<Map<string, Order>> {
  const orders = new Map<string, Order>();
  const ids = [...wire.brief.keys()].filter((id) => id.startsWith('key:'));
  for (let i = 0; i < ids.length; i += 64) {
    const part = ids.slice(i, i + 64);
    const ends = await raw.settle(part.map((id) => ({ id, actual: 'void' })));
    for (const [j, id] of part.entries()) {
      const key = id.slice(0, id.lastIndexOf('/'));
      const order = orders.get(key) ?? { booked: 0, unsure: false };
      const state = ends[j]?.state;
      if (state === 'settled' || state === 'forfeited') order.booked++;
      if (wire.brief.get(id)?.unsure) order.unsure = true;
      orders.set(key, order);
    }
  }
  return orders;
}

/**
 * Where calls are counted that never ran: attempts to pay again that were given back, of which the store was told too late,
 * so that their leases had ended.
 */
async function attemptsForfeited(
  raw: Store,
  wire: Wire,
  nodes: readonly Node[],
): Promise<{ readonly counted: readonly Pick<Counter, 'scope' | 'meter'>[]; readonly held: number }> {
  const ran = new Set(nodes.flatMap(({ entries }) => entries.map(({ id }) => id)));
  const given = [...wire.brief].filter(([id, { unsure }]) => unsure && !id.startsWith('key:') && !ran.has(id));
  const counted: Pick<Counter, 'scope' | 'meter'>[] = [];
  let held = 0;
  if (given.length > 0) {
    // Then all of them have ended, and to be told so changes nothing.
    await pause(LEASE_MS);
    while ((await raw.sweep(256)).length > 0);
  }
  for (const [id, hold] of given) {
    const [end] = await raw.settle([{ id, actual: 'void' }]);
    if (end?.state === 'forfeited') counted.push(...hold.counted);
    else if (end?.state === 'void' && end.first) held++;
  }
  return { counted, held };
}

/** The keys under which calls of the node ran, each once. */
function keysOf(node: Node): readonly { readonly key: string; readonly amount: number }[] {
  const keys = new Map<string, number>();
  for (const { key, estimate } of node.entries) if (key !== undefined) keys.set(key, estimate);
  return [...keys].map(([key, amount]) => ({ key, amount }));
}

function unseen(
  orders: Map<string, Order>,
  nodes: readonly Node[],
): readonly (Order & { node: Node; amount: number })[] {
  return nodes.flatMap((node) =>
    [...node.asked].flatMap(([key, amount]) => {
      const order = orders.get(key);
      return order === undefined ? [] : [{ ...order, node, amount }];
    }),
  );
}

/** Whether more calls were made in a window than the rate allows, for sure: from the question to the answer of each. */
function ratesOf({ counters, leash, entries, children }: Node, asked: ReadonlyMap<string, Asked>): readonly string[] {
  const rate = counters.find(({ perMs }) => perMs !== undefined);
  if (rate?.perMs === undefined || rate.cap === undefined) return [];
  const below = (node: Node): Node['entries'] => [...node.entries, ...node.children.flatMap(below)];
  const moments = [...entries, ...children.flatMap(below)]
    .flatMap(({ id, released }) => (released === true ? [] : (asked.get(id) ?? [])))
    .sort((a, b) => a.from - b.from);
  for (const [i, { from }] of moments.entries()) {
    // A store counts whole milliseconds.
    const until = from + rate.perMs - 2;
    let count = 0;
    for (let j = i; j < moments.length && (moments[j] as Asked).from < until; j++)
      if ((moments[j] as Asked).to < until) count++;
    if (count > rate.cap)
      return [`session ${leash.id}: ${count} calls within ${rate.perMs} ms, at most ${rate.cap} are allowed`];
  }
  return [];
}
