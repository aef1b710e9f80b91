import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findLeashError } from '../../src/errors.ts';
import type { Store } from '../../src/stores/store.ts';
import type { SeededRandom } from '../helpers/random.ts';
import { Agent, noted, type Tally } from './agent.ts';
import { checkLogs } from './check-logs.ts';
import { checkStore, type Totals } from './check-store.ts';
import { SINKS, type SinkKind } from './sinks.ts';
import {
  abortStreams,
  addChild,
  closeNode,
  isClosed,
  type Node,
  nodesOf,
  plantTree,
  type Tree,
  type Wallet,
} from './tree.ts';
import { Wire } from './wire.ts';

const TREES = 4;
const AGENTS_PER_TREE = 8;
/** A store tries again by itself what it was not told after five seconds. */
const SETTLED_WITHIN_MS = 20_000;

export interface Round {
  readonly agents: number;
  readonly leashes: number;
  readonly events: number;
  readonly faults: number;
  readonly differences: readonly string[];
}

/** A store with agents on it, round after round: what is counted in shared scopes goes on from one to the next. */
export class World {
  readonly name: string;
  readonly tally: Tally = { calls: 0, streams: 0, holds: 0, charges: 0, refused: {}, unexpected: [] };
  readonly #raw: Store;
  readonly #isSync: boolean;
  readonly #random: SeededRandom;
  readonly #folder: string;
  readonly #totals: Totals = new Map();
  #rounds = 0;

  constructor(name: string, raw: Store, isSync: boolean, random: SeededRandom, folder: string) {
    this.name = name;
    this.#raw = raw;
    this.#isSync = isSync;
    this.#random = random;
    this.#folder = folder;
  }

  /** What everybody together has spent so far, in nano-USD and msat. */
  get spent(): { readonly usd: number; readonly sat: number } {
    const of = (meter: string): number => this.#totals.get(`shared:org ${meter}`) ?? 0;
    return { usd: of('usd/2592000000ms'), sat: of('sat/month') };
  }

  async round(forMs: number): Promise<Round> {
    const random = this.#random;
    this.#rounds++;
    const folder = join(this.#folder, `${this.name}-${this.#rounds}`);
    mkdirSync(folder, { recursive: true });
    const wire = new Wire(this.#raw, random, this.#isSync);
    const wallet: Wallet = { name: `wallet ${crypto.randomUUID()}`, cap: random.integer(20, 300) * 100_000_000 };
    const all: Tree[] = [];
    /**
     * One file for all the trees that grow in one place. What is moved away, or torn in the middle, nobody else may write at
     * the same time; where it was torn the next one goes on.
     */
    const pathFor = (kind: SinkKind, place: number): string => {
      const torn = all.find(({ sink }) => sink.kind === 'short disk' && sink.dead && !sink.continued)?.sink;
      if (torn !== undefined && kind !== 'rotating') {
        torn.continued = true;
        return torn.path;
      }
      return join(folder, `${kind === 'rotating' || kind === 'short disk' ? crypto.randomUUID() : place}.jsonl`);
    };
    const plant = (place: number): Tree => {
      const traits = {
        sink: random.pick(this.#isSync ? SINKS.filter((kind) => kind !== 'slow' && kind !== 'breaks') : SINKS),
        latches: random.happens(4),
        allowance: random.happens(4),
      };
      const tree = untilRecorded(() => plantTree(pathFor(traits.sink, place), wire, wallet, traits, random));
      for (let children = random.integer(0, 3); children > 0; children--) {
        untilRecorded(() => addChild(random.pick(nodesOf(tree.root)), random));
      }
      all.push(tree);
      return tree;
    };
    const places = Array.from({ length: TREES }, (_, place) => plant(place));

    const until = performance.now() + forMs;
    const isOver = (): boolean => performance.now() >= until;
    const late = new Set<Promise<unknown>>();
    const differences: string[] = [];
    /** Whatever a sink has refused before, the end of the log must get through: a closed log is not closed again. */
    const closed = async (node: Node): Promise<void> => {
      const { tree } = node;
      tree.sink.calm = true;
      const failure = await closeNode(node);
      tree.sink.calm = wire.calm;
      const code = findLeashError(failure)?.code;
      if (failure === undefined || (code === 'AUDIT_UNAVAILABLE' && tree.sink.dead) || code === 'STORE_UNAVAILABLE')
        return;
      differences.push(`${this.name}: close failed with ${String((failure as Error).stack)}`);
    };
    const agents = places.flatMap((_, place) =>
      Array.from({ length: AGENTS_PER_TREE }, (__, i) => {
        const agent = new Agent(
          random,
          () => places[place] as Tree,
          this.tally,
          late,
          `${this.#rounds} ${place} ${i % 3}`,
        );
        return agent.work(isOver);
      }),
    );
    /** Stops, closes and puts new ones in their places, at any time; and lets the store be gone for a while. */
    const reaper = async (): Promise<void> => {
      while (!isOver()) {
        await pause(random.integer(20, 200));
        const place = random.integer(0, TREES - 1);
        const tree = places[place] as Tree;
        const node = random.pick(nodesOf(tree.root));
        const what = random.integer(0, 11);
        if (what === 0) wire.downUntil = performance.now() + random.integer(50, 400);
        else if (what <= 2) {
          abortStreams(node);
          node.leash.stop('by hand');
        } else if (what === 3 && node !== tree.root && !isClosed(node)) await closed(node);
        else if (what <= 5 || tree.sink.dead || node.leash.breach !== undefined) {
          places[place] = plant(place);
          await closed(tree.root);
        } else if (what === 6 && !isClosed(node)) untilRecorded(() => addChild(node, random));
      }
    };
    await Promise.all([...agents, reaper().catch((error: unknown) => noted(this.tally, error))]);

    wire.calm = true;
    for (const tree of all) tree.sink.calm = true;
    await pause(1);
    await Promise.all(all.map((tree) => tree.root.closing ?? closed(tree.root)));
    while (late.size > 0) await Promise.all(late);
    await wire.quiet();
    differences.push(...this.tally.unexpected.splice(0).map((error) => `${this.name}: an unexpected error: ${error}`));
    differences.push(...(await this.#unbooked(all)).map((what) => `${this.name}: ${what}`));
    const nodes = all.flatMap(({ root }) => nodesOf(root));
    const logs = await checkLogs(folder, nodes);
    differences.push(...logs.differences.map((what) => `${this.name}: ${what}`));
    const counted = await checkStore(this.#raw, wire, nodes, this.#totals, logs.paid);
    differences.push(...counted.map((what) => `${this.name}: ${what}`));
    rmSync(folder, { recursive: true });
    const faults = wire.faults + all.reduce((sum, { sink }) => sum + sink.faults, 0);
    return { agents: agents.length, leashes: nodes.length, events: logs.events, faults, differences };
  }

  /** Waits until the store was told everything. @returns what it was never told. */
  async #unbooked(trees: readonly Tree[]): Promise<readonly string[]> {
    const until = performance.now() + SETTLED_WITHIN_MS;
    for (;;) {
      let open = 0;
      for (const { root } of trees) {
        const { usd, sat, calls } = (await root.leash.usage()).unbooked as { usd: string; sat: string; calls: number };
        if (Number(usd) + Number(sat) + Number(calls) > 0) open++;
      }
      if (open === 0) return [];
      if (performance.now() > until) return [`${open} trees have not told the store everything`];
      await pause(200);
    }
  }
}

/** A session does not begin before its log does: where a write was refused it is tried again. */
function untilRecorded<T>(open: () => T): T {
  for (let attempt = 0; ; attempt++) {
    try {
      return open();
    } catch (error) {
      if (attempt === 5 || findLeashError(error)?.code !== 'AUDIT_UNAVAILABLE') throw error;
    }
  }
}
