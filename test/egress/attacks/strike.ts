import type { createLeash, egress, findLeashError, memorySink } from '../../../src/index.ts';
import type { Attack } from './attack.ts';
import type { Stage } from './scene.ts';

/** The module under test, in whatever form. */
export interface Library {
  readonly createLeash: typeof createLeash;
  readonly egress: typeof egress;
  readonly findLeashError: typeof findLeashError;
  readonly memorySink: typeof memorySink;
}

/** How a client says that it ended. */
export interface Ending {
  readonly how: 'resolved' | 'rejected' | 'hung';
  /** Of the leash's error that was found in what the client threw. */
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
  /** What the client threw, for a reader. */
  readonly error?: string | undefined;
}

export interface Struck {
  readonly ending: Ending;
  /** The leash's log. */
  readonly lines: readonly string[];
}

/** More than any client takes, also on a machine that is busy. */
const LIMIT_MS = 10_000;

/** Runs an attack as a tool of a leash, or without one. Never rejects. */
export async function strike(
  attack: Attack,
  stage: Stage,
  library: Library | undefined,
  rawSockets: 'deny' | 'allow',
): Promise<Struck> {
  const lines: string[] = [];
  const work = library === undefined ? freely(attack, stage) : leashed(attack, stage, library, rawSockets, lines);
  const ended = work.then(
    (): Ending => ({ how: 'resolved' }),
    (error: unknown): Ending => {
      const { code, reason } = (library?.findLeashError(error) ?? {}) as { code?: string; reason?: string };
      return { how: 'rejected', code, reason, error: described(error) };
    },
  );
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<Ending>((resolve) => {
    timer = setTimeout(() => resolve({ how: 'hung' }), LIMIT_MS);
  });
  const ending = await Promise.race([ended, limit]);
  clearTimeout(timer);
  return { ending, lines };
}

async function freely(attack: Attack, { scene, ending, ended }: Stage): Promise<void> {
  const struck = finish(attack.strike(scene));
  if (attack.moment !== 'during') void Promise.race([ending, settled(struck)]).then(ended);
  await struck;
}

async function leashed(
  attack: Attack,
  stage: Stage,
  library: Library,
  rawSockets: 'deny' | 'allow',
  lines: string[],
): Promise<void> {
  const { scene, allow, addressesOf, asked, ending, ended } = stage;
  const resolver = (hostname: string): readonly string[] => {
    asked(hostname);
    return addressesOf(hostname);
  };
  const sink = library.memorySink();
  const guard = library.egress({ allow, addresses: { allow: ['127.0.0.1'] }, resolver, rawSockets });
  const leash = library.createLeash({ guards: [guard], audit: sink, stopOn: 'none' });
  try {
    if (attack.moment === 'during') {
      const tool = leash.wrap('attack', (): unknown => attack.strike(scene));
      return await finish(tool());
    }
    let struck: Promise<void> | undefined;
    await leash.run({ tool: 'attack', args: {} }, () => {
      struck = finish(attack.strike(scene));
      return Promise.race([ending, settled(struck)]);
    });
    if (attack.moment === 'after-close') await leash.close();
    ended();
    await struck;
  } finally {
    lines.push(...sink.lines);
  }
}

/** Waits for what a tool gives; a stream is read to its end. */
async function finish(given: unknown): Promise<void> {
  const result = await given;
  if (isGenerator(result)) for await (const _ of result);
}

function isGenerator(value: unknown): value is AsyncGenerator {
  return Object.prototype.toString.call(value) === '[object AsyncGenerator]';
}

async function settled(work: Promise<unknown>): Promise<void> {
  await work.catch(() => {});
}

/** An error and what it says is behind it. */
export function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const causes = [error.cause, ...((error as AggregateError).errors ?? [])].filter((cause) => cause !== undefined);
  return [`${error.name}: ${error.message}`, ...causes.map(described)].join(' <- ');
}
