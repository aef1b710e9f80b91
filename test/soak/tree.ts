import type { Guard } from '../../src/guard.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { rateLimit } from '../../src/guards/rate-limit.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash, Summary } from '../../src/leash-contract.ts';
import type { LeashOptions } from '../../src/leash-options.ts';
import type { SeededRandom } from '../helpers/random.ts';
import { decimal, type Entry, type Unit } from './ledger.ts';
import { FaultySink, type SinkKind } from './sinks.ts';
import { STORE_TIMEOUT_MS, type Wire } from './wire.ts';

/** A counter as the store names it, told here once more and not asked of the library. */
export interface Counter {
  readonly scope: string;
  readonly meter: string;
  readonly unit: Unit | 'call';
  /** Inclusive; undefined where it is not to be reached. */
  readonly cap: number | undefined;
  /** For rates: how many ms a window has. */
  readonly perMs?: number;
}

/** A leash of a tree, and what it was asked to do. */
export interface Node {
  readonly leash: Leash;
  readonly parent: Node | undefined;
  readonly tree: Tree;
  /** Its own; those of its ancestors count too. */
  readonly counters: readonly Counter[];
  readonly children: Node[];
  readonly entries: Entry[];
  /** Orders that were asked for under it, and their amounts: by the names of their holds. */
  readonly asked: Map<string, number>;
  closing: Promise<unknown> | undefined;
  /** The close is through. */
  closed: boolean;
  summary?: Summary;
}

export interface Tree {
  readonly root: Node;
  readonly sink: FaultySink;
  readonly traits: Traits;
}

export interface Traits {
  readonly sink: SinkKind;
  /** Ends at the first budget or cap that is reached; streams are then not told what ends them. */
  readonly latches: boolean;
  /** Goes on without the store for a while, beyond caps. */
  readonly allowance: boolean;
}

const HUGE_USD = 1_000_000;
const HUGE_SAT = 1_000_000_000;
/** Leaves are reached only where the traits say so. */
const RATE = { max: 60, perMs: 1_000 };

/** A shared wallet in nano-USD, which runs out. */
export interface Wallet {
  readonly name: string;
  readonly cap: number;
}

export function plantTree(path: string, wire: Wire, wallet: Wallet, traits: Traits, random: SeededRandom): Tree {
  const sink = new FaultySink(traits.sink, path, random);
  const id = crypto.randomUUID();
  const capped = !traits.allowance;
  const own = `session:${id}`;
  const usd = capped && random.happens(2) ? random.integer(1, 40) * 100_000_000 : undefined;
  const calls = capped && random.happens(3) ? random.integer(50, 2_000) : undefined;
  const guards: Guard[] = [
    budget({ usd: usd === undefined ? HUGE_USD : decimal('usd', usd) }),
    budget({ sat: HUGE_SAT }),
    callCap({ max: calls ?? 1_000_000 }),
    budget({ usd: HUGE_USD, per: '30d', scope: 'org' }),
    budget({ sat: HUGE_SAT, per: 'month', scope: 'org' }),
    callCap({ max: 1_000_000_000, scope: 'org' }),
  ];
  const counters: Counter[] = [
    { scope: own, meter: 'usd/session', unit: 'usd', cap: usd },
    { scope: own, meter: 'sat/session', unit: 'sat', cap: undefined },
    { scope: own, meter: 'call/session', unit: 'call', cap: calls },
    { scope: 'shared:org', meter: 'usd/2592000000ms', unit: 'usd', cap: undefined },
    { scope: 'shared:org', meter: 'sat/month', unit: 'sat', cap: undefined },
    { scope: 'shared:org', meter: 'call/session', unit: 'call', cap: undefined },
  ];
  if (capped) {
    guards.push(budget({ usd: decimal('usd', wallet.cap), scope: wallet.name }));
    counters.push({ scope: `shared:${wallet.name}`, meter: 'usd/session', unit: 'usd', cap: wallet.cap });
    guards.push(rateLimit({ max: RATE.max, per: RATE.perMs }));
    counters.push({ scope: own, meter: `call/${RATE.perMs}ms`, unit: 'call', cap: RATE.max, perMs: RATE.perMs });
  }
  const options: LeashOptions = {
    id,
    guards,
    store: wire.store,
    storeTimeoutMs: STORE_TIMEOUT_MS,
    audit: { sink, sign: random.happens(2) ? 'checkpoint' : 'none' },
    ...(traits.latches ? {} : { stopOn: 'none' as const }),
    ...(traits.allowance ? { onStoreError: { allowUpTo: { usd: 1_000, sat: 1_000_000, calls: 1_000_000 } } } : {}),
  };
  const tree = { sink, traits } as { root: Node; sink: FaultySink; traits: Traits };
  tree.root = nodeOf(createLeash(options), undefined, tree, counters);
  return tree;
}

/** A sub-agent under a node, with rules of its own or none. */
export function addChild(parent: Node, random: SeededRandom): Node {
  const id = crypto.randomUUID();
  const scope = `session:${id}`;
  const guards: Guard[] = [];
  const counters: Counter[] = [];
  if (random.happens(2)) {
    const usd = parent.tree.traits.allowance ? undefined : random.integer(1, 20) * 50_000_000;
    guards.push(budget({ usd: usd === undefined ? HUGE_USD : decimal('usd', usd) }), budget({ sat: HUGE_SAT }));
    counters.push({ scope, meter: 'usd/session', unit: 'usd', cap: usd });
    counters.push({ scope, meter: 'sat/session', unit: 'sat', cap: undefined });
  }
  const node = nodeOf(parent.leash.child({ id, guards }), parent, parent.tree, counters);
  parent.children.push(node);
  return node;
}

function nodeOf(leash: Leash, parent: Node | undefined, tree: Tree, counters: readonly Counter[]): Node {
  return {
    leash,
    parent,
    tree,
    counters,
    children: [],
    entries: [],
    asked: new Map(),
    closing: undefined,
    closed: false,
  };
}

export function nodesOf(node: Node): readonly Node[] {
  return [node, ...node.children.flatMap(nodesOf)];
}

/** The node and those above it. */
export function lineOf(node: Node): readonly Node[] {
  return node.parent === undefined ? [node] : [node, ...lineOf(node.parent)];
}

export function isClosing(node: Node): boolean {
  return lineOf(node).some(({ closing, closed }) => closing !== undefined && !closed);
}

export function isClosed(node: Node): boolean {
  return lineOf(node).some(({ closing }) => closing !== undefined);
}

/** Waits until no close is under way: what ends in the middle of one is told to end in either of two ways. */
export async function gate(node: Node): Promise<void> {
  while (isClosing(node)) await Promise.all(lineOf(node).map(({ closing }) => closing));
}

/** Streams end with their session, at once. */
export function abortStreams(node: Node): void {
  for (const entry of nodesOf(node).flatMap(({ entries }) => entries)) {
    if (entry.streams && entry.booked === undefined) entry.booked = entry.estimate;
  }
}

/** Closes a node with all below it. To be called when nothing else happens: from a timer. @returns what went wrong. */
export function closeNode(node: Node): Promise<unknown> {
  abortStreams(node);
  for (const entry of nodesOf(node).flatMap(({ entries }) => entries)) {
    if (entry.booked === undefined) entry.forfeited = true;
  }
  const closing = node.leash.close().then(
    (summary) => {
      node.summary = summary;
      return undefined;
    },
    (error: unknown) => error,
  );
  node.closing ??= closing.finally(() => {
    node.closed = true;
  });
  return closing;
}
