/** What a call costs against how much there is of something: one line each, measured by growth-point.ts. */
import {
  budget,
  callCap,
  createLeash,
  egress,
  type Guard,
  type Leash,
  type MemorySink,
  memorySink,
  memoryStore,
  rateLimit,
  type StoreDecision,
} from 'leashkit';
import { type Input, input } from './input.ts';
import { admitted, type Cycle, threeLimits } from './three-limits.ts';

/** One measured place of a line. */
interface Point {
  /** Does its work about this many times. @returns nanoseconds for each. */
  sample(rounds: number): Promise<number>;
}

export interface Line {
  /** Name of its picture; several lines may share one. */
  readonly id: string;
  readonly name: string;
  /** What there is more and more of. */
  readonly axis: string;
  readonly cost: string;
  /** How the cost may grow by nature: 0 not at all, 1 in proportion. */
  readonly expected: 0 | 1;
  readonly at: readonly number[];
  /** Why it bends where it does, for those that are known to. */
  readonly because?: string;
  point(x: number): Promise<Point>;
}

const decades = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
const doublings = (to: number): readonly number[] => Array.from({ length: to + 1 }, (_, i) => 2 ** i);

/** Bounded, as a long session needs it; small, so that it is full at once. */
export function boundedSink(): MemorySink {
  return memorySink({ max: 1_000 });
}

/** So little that no number of calls here comes near the cap. */
const cost = { usd: 0.000_001 };

export function fourGuards(): readonly Guard[] {
  return [
    budget({ usd: 9_000_000 }),
    callCap(1e12),
    rateLimit({ max: 1e9, per: '1s' }),
    egress({ allow: ['api.stripe.com'] }),
  ];
}

export interface Session {
  readonly leash: Leash;
  readonly call: (args: Input) => Promise<number>;
}

const chargeTool = async (given: Input): Promise<number> => given.cents;

export function session(
  guards: readonly Guard[] = fourGuards(),
  tool: (given: Input) => Promise<number> = chargeTool,
): Session {
  const leash = createLeash({ guards, audit: boundedSink() });
  return { leash, call: leash.wrap('stripe.charge', tool, { cost }) };
}

/** In milliseconds: the wall's, or what this thread has worked, which is the same where nothing else runs. */
const now: () => number =
  process.env['BENCH_CLOCK'] === 'cpu'
    ? () => {
        const { user, system } = process.threadCpuUsage();
        return (user + system) / 1000;
      }
    : () => performance.now();

/** @returns nanoseconds for each round. */
async function timed(rounds: number, work: () => Promise<unknown>): Promise<number> {
  const start = now();
  await work();
  return ((now() - start) * 1e6) / rounds;
}

async function repeat<Args>(rounds: number, call: (args: Args) => Promise<unknown>, given: Args): Promise<void> {
  for (let i = 0; i < rounds; i++) await call(given);
}

function sampled<Args>(call: (args: Args) => Promise<unknown>, given: Args): Point {
  return { sample: (rounds) => timed(rounds, () => repeat(rounds, call, given)) };
}

const calls: Line = {
  id: 'calls',
  name: 'call',
  axis: 'calls that the session has made before',
  cost: 'ns per call',
  expected: 0,
  at: decades(2, 6),
  async point(x) {
    let open: Session | undefined;
    let made = 0;
    /** A session that has made between x calls and twice as many. */
    const aged = async (): Promise<Session> => {
      if (open !== undefined && made < 2 * x) return open;
      await open?.leash.close();
      open = session();
      await repeat(x, open.call, input);
      made = x;
      return open;
    };
    return {
      async sample(rounds) {
        let took = 0;
        let done = 0;
        while (done < rounds) {
          const { call } = await aged();
          const some = Math.min(x, rounds - done);
          took += some * (await timed(some, () => repeat(some, call, input)));
          done += some;
          made += some;
        }
        return took / done;
      },
    };
  },
};

const parallel: Line = {
  id: 'parallel',
  name: 'call',
  axis: 'calls that run at once',
  cost: 'ns per call',
  expected: 0,
  at: decades(0, 4),
  because: 'ten thousand open calls outlive the young generation, so that the collector copies them',
  async point(x) {
    let gate = Promise.withResolvers<void>();
    const { call } = session(fourGuards(), async (given) => {
      await gate.promise;
      return given.cents;
    });
    const batch = async (): Promise<void> => {
      gate = Promise.withResolvers();
      const all = Array.from({ length: x }, () => call(input));
      gate.resolve();
      await Promise.all(all);
    };
    return {
      async sample(rounds) {
        const batches = Math.max(1, Math.round(rounds / x));
        return timed(batches * x, async () => {
          for (let i = 0; i < batches; i++) await batch();
        });
      },
    };
  },
};

/** Each with a counter of its own, or with none. */
function guardOf(i: number): Guard {
  switch (i % 4) {
    case 0:
      return budget({ usd: 9_000_000, per: `${i + 1}h` });
    case 1:
      return callCap({ max: 1e12, scope: `bench:${i}` });
    case 2:
      return rateLimit({ max: 1e9, per: `${i + 1}m` });
    default:
      return egress({ allow: [`api-${i}.stripe.com`, 'api.stripe.com'] });
  }
}

const guards: Line = {
  id: 'guards',
  name: 'call',
  axis: 'guards of the leash',
  cost: 'ns per call',
  expected: 1,
  at: doublings(5),
  async point(x) {
    const leash = createLeash({ guards: Array.from({ length: x }, (_, i) => guardOf(i)), audit: boundedSink() });
    const url = (): string => 'https://api.stripe.com/v1/charges';
    const options = { cost, ...(x > 3 ? { url } : {}) };
    return sampled(leash.wrap('stripe.charge', chargeTool, options), input);
  },
};

const nesting: Line = {
  id: 'nesting',
  name: 'call of the innermost',
  axis: 'leashes inside one another, each with a budget and a call cap',
  cost: 'ns per call',
  expected: 1,
  at: doublings(4),
  async point(x) {
    const each = (): readonly Guard[] => [budget({ usd: 9_000_000 }), callCap(1e12)];
    let leash = createLeash({ guards: each(), audit: boundedSink() });
    for (let i = 1; i < x; i++) leash = leash.child({ guards: each() });
    return sampled(leash.wrap('stripe.charge', chargeTool, { cost }), input);
  },
};

/** About 100 bytes of JSON each. */
const record = {
  id: 'it_9s6XKzkNRiz8i3',
  description: 'A line of an invoice, for one month of the plan',
  cents: 4200,
  paid: true,
};

function argumentSize(name: string, argsOf: (bytes: number) => unknown, because?: string): Line {
  return {
    id: 'arguments',
    name,
    axis: 'bytes of arguments as JSON',
    cost: 'ns per call',
    expected: 1,
    at: decades(2, 6),
    ...(because === undefined ? {} : { because }),
    async point(x) {
      const { leash } = session();
      return sampled(
        leash.wrap('stripe.charge', async (_: unknown) => 1, { cost }),
        argsOf(x),
      );
    },
  };
}

const records: Line = argumentSize('objects of 100 bytes', (bytes) => ({
  items: Array.from({ length: Math.max(1, Math.round(bytes / 110)) }, () => ({ ...record })),
}));

const text: Line = argumentSize(
  'one string',
  (bytes) => ({ text: 'text '.repeat(bytes / 5) }),
  'a megabyte is read, copied, escaped and hashed, and no longer fits into the caches of the processor',
);

const numbers: Line = argumentSize('an array of numbers', (bytes) => ({
  numbers: Array.from({ length: Math.round(bytes / 6) }, (_, i) => 10_000 + (i % 90_000)),
}));

async function manyScopes(x: number, next: (i: number) => number): Promise<Point> {
  const store = memoryStore();
  const cycles: Cycle[] = [];
  const one = (cycle: Cycle, id: string): void => {
    admitted(store.reserve(cycle.hold(id)) as readonly StoreDecision[]);
    store.settle(cycle.end(id));
  };
  for (let i = 0; i < x; i++) {
    const cycle = await threeLimits(store, `session:${i}`);
    cycles.push(cycle);
    one(cycle, `first:${i}`);
  }
  let count = 0;
  return {
    sample: (rounds) =>
      timed(rounds, async () => {
        for (let i = 0; i < rounds; i++) one(cycles[next(i) % x] as Cycle, `h${++count}`);
      }),
  };
}

const oneOfScopes: Line = {
  id: 'scopes',
  name: 'always the same scope',
  because:
    'no trend: each place is a process, and the compiler does better by the same code in some (0.4 µs) than in others (1 µs)',
  axis: 'scopes in one memory store, each with three counters',
  cost: 'ns per reserve and settle',
  expected: 0,
  at: decades(0, 6),
  point: (x) => manyScopes(x, () => 0),
};

const allScopes: Line = {
  ...oneOfScopes,
  name: 'another scope each time',
  because: 'every counter has to come from memory once there are more than fit into the caches of the processor',
  // A prime, so that every scope comes up, far from the one before.
  point: (x) => manyScopes(x, (i) => i * 15_485_863),
};

const openHolds: Line = {
  id: 'open-holds',
  name: 'call',
  axis: 'open holds of the session',
  cost: 'ns per call',
  expected: 0,
  at: decades(0, 5),
  async point(x) {
    const { leash, call } = session();
    for (let i = 0; i < x; i++) await leash.hold(cost);
    return sampled(call, input);
  },
};

const tools: Line = {
  id: 'tools',
  name: 'call of another tool each time',
  axis: 'tools of the session',
  cost: 'ns per call',
  expected: 0,
  at: decades(0, 4),
  async point(x) {
    const { leash } = session();
    const wrapped = Array.from({ length: x }, (_, i) => leash.wrap(`tool_${i}`, chargeTool, { cost }));
    let count = 0;
    return sampled((given: Input) => (wrapped[count++ % x] as (given: Input) => Promise<number>)(given), input);
  },
};

export const LINES: readonly Line[] = [
  calls,
  parallel,
  guards,
  nesting,
  records,
  text,
  numbers,
  oneOfScopes,
  allScopes,
  openHolds,
  tools,
];
