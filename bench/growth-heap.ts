/**
 * What stays on the heap of a process: makes calls, or opens and closes sessions, until there have been as many as it is
 * told, and answers with the bytes that are still in use after a collection, the least on the last fifth of the way. Argument: a name of `USES`. Ends with its
 * parent. Needs --expose-gc.
 */
import { createLeash, type Leash, memoryStore } from 'leashkit';
import { boundedSink, fourGuards, session } from './growth-lines.ts';
import { input } from './input.ts';

export interface HeapUse {
  readonly name: string;
  readonly axis: string;
  /** Powers of ten. */
  readonly from: number;
  readonly to: number;
}

export const HEAP_USES: Readonly<Record<string, HeapUse>> = {
  calls: { name: 'calls of one session, its last 1,000 lines kept', axis: 'calls made', from: 3, to: 7 },
  sessions: { name: 'sessions with a store of their own', axis: 'sessions opened and closed', from: 1, to: 5 },
  'shared-store': { name: 'sessions on one memory store', axis: 'sessions opened and closed', from: 1, to: 5 },
  children: { name: 'sub-agents of one session', axis: 'sessions opened and closed', from: 1, to: 5 },
};

/** Once more of what is counted. */
type Use = () => Promise<unknown>;

async function openAndClose(open: () => Leash): Promise<void> {
  const leash = open();
  await leash.wrap('stripe.charge', async () => 1, { cost: { usd: 0.000_001 } })();
  await leash.close();
}

const USES: Readonly<Record<string, () => Use>> = {
  calls: () => {
    const { call } = session();
    return () => call(input);
  },
  sessions: () => () => openAndClose(() => createLeash({ guards: fourGuards(), audit: boundedSink() })),
  'shared-store': () => {
    const store = memoryStore();
    return () => openAndClose(() => createLeash({ guards: fourGuards(), audit: boundedSink(), store }));
  },
  children: () => {
    const { leash } = session();
    return () => openAndClose(() => leash.child({ guards: fourGuards() }));
  },
};

/** What is collected late, such as what a finished promise or a timer held, has its turn. */
async function heapAfterCollection(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().heapUsed;
}

const begin = USES[process.argv[2] ?? ''];
if (begin !== undefined) {
  const use = begin();
  let count = 0;
  process.on('message', async (wanted: number) => {
    let least = Number.POSITIVE_INFINITY;
    // Tables grow and shrink by steps; what stays is there at every one of them.
    for (const part of [0.8, 0.9, 1]) {
      for (; count < wanted * part; count++) await use();
      least = Math.min(least, await heapAfterCollection());
    }
    process.send?.(least);
  });
  process.once('disconnect', () => process.exit());
}
