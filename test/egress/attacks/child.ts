/**
 * Runs the attacks in a process of their own: `node child.ts <ChildOptions as JSON>`. A line of its output is an attack that
 * has begun, and at the end, when nothing can come late any more, what became of each: {@link Message}.
 */
import './loopback-only.ts';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type * as Undici from 'undici';
import type { createLeash, egress, findLeashError, memorySink } from '../../../src/index.ts';
import type { Attack, Contact, Layer } from './attack.ts';
import { refused, resolveWith } from './loopback-only.ts';
import { type Stage, setUp } from './scene.ts';
import { switchOff } from './switch-off.ts';

export interface ChildOptions {
  /** With `key.pem` and `cert.pem`, which `NODE_EXTRA_CA_CERTS` names; takes unix sockets. */
  readonly directory: string;
  /** The module of the library; absent: no leash. */
  readonly library?: string | undefined;
  /** The module of a copy of undici from npm. */
  readonly undici?: string | undefined;
  /** Whether undici is loaded before the library or after. Default: `'before'`. */
  readonly order?: 'before' | 'after' | undefined;
  readonly off?: readonly Layer[] | undefined;
  /** Ids. Default: all. */
  readonly only?: readonly string[] | undefined;
}

/** How the client says that it ended. */
export interface Ending {
  readonly how: 'resolved' | 'rejected' | 'hung';
  /** Of the leash's error that was found in what the client threw. */
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
  /** What the client threw, for a reader. */
  readonly error?: string | undefined;
}

export interface Result {
  readonly id: string;
  readonly ending: Ending;
  /** What of the goal was reached. */
  readonly contacts: readonly Contact[];
  /** Reasons of the refusals in the leash's log. */
  readonly logged: readonly string[];
  /** Rejections and exceptions that nobody handled while it ran. */
  readonly loose: readonly string[];
}

export type Message =
  | { readonly begun: string }
  | {
      readonly node: string;
      readonly undici: string | undefined;
      readonly results: readonly Result[];
      readonly loose: readonly string[];
      /** What wanted to leave the machine. */
      readonly refused: readonly string[];
    };

interface Library {
  readonly createLeash: typeof createLeash;
  readonly egress: typeof egress;
  readonly findLeashError: typeof findLeashError;
  readonly memorySink: typeof memorySink;
}

const LIMIT_MS = 10_000;
/** For what is on its way when the last attack has ended. */
const GRACE_MS = 300;

const options = JSON.parse(process.argv[2] ?? '{}') as ChildOptions;
const early = { connect: net.Socket.prototype.connect, execFileSync, Worker };

function say(message: Message): void {
  let text = `${JSON.stringify(message)}\n`;
  // A full pipe takes a part.
  while (text !== '') {
    try {
      text = Buffer.from(text).subarray(writeSync(1, text)).toString();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

const loose: string[] = [];
process.on('unhandledRejection', (error) => loose.push(`rejection: ${described(error)}`));
process.on('uncaughtException', (error) => loose.push(`exception: ${described(error)}`));

function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (process.env['V']) return String(error.stack);
  const causes = [error.cause, ...((error as AggregateError).errors ?? [])].filter((cause) => cause !== undefined);
  return [`${error.name}: ${error.message}`, ...causes.map(described)].join(' <- ');
}

function loadUndici(): typeof Undici | undefined {
  if (options.undici === undefined) return undefined;
  return createRequire(import.meta.url)(options.undici) as typeof Undici;
}

/** A leash of no tool: what is installed once for a process is there from now on. */
async function loadLibrary(): Promise<Library | undefined> {
  if (options.library === undefined) return undefined;
  const library = (await import(options.library)) as Library;
  library.createLeash({ guards: [library.egress({ allow: [], enforce: 'scope' } as never)] });
  switchOff(options.off ?? []);
  return library;
}

/** Waits for what a tool gives: a stream is read to its end. */
async function finish(given: unknown): Promise<void> {
  const result = await given;
  if (isGenerator(result)) for await (const _ of result);
}

function isGenerator(value: unknown): value is AsyncGenerator {
  return Object.prototype.toString.call(value) === '[object AsyncGenerator]';
}

/** As a tool of a leash does it, or by itself. */
async function strike(attack: Attack, stage: Stage, library: Library | undefined, lines: string[]): Promise<void> {
  const { scene, allow, addressesOf, asked, end } = stage;
  if (library === undefined) {
    const struck = finish(attack.strike(scene));
    if (attack.moment !== 'during') end();
    return struck;
  }
  const resolver = (hostname: string): readonly string[] => {
    asked(hostname);
    return addressesOf(hostname);
  };
  const sink = library.memorySink();
  const settings = { allow, addresses: { allow: ['127.0.0.1'] }, resolver, enforce: 'scope' };
  const guards = [library.egress(settings as never)];
  const leash = library.createLeash({ guards, audit: sink, stopOn: 'none' });
  try {
    if (attack.moment === 'during') {
      const tool = leash.wrap('attack', (): unknown => attack.strike(scene));
      return await finish(tool());
    }
    let struck: Promise<void> | undefined;
    await leash.run({ tool: 'attack', args: {} }, () => {
      struck = finish(attack.strike(scene));
      struck.catch(() => {});
    });
    if (attack.moment === 'after-close') await leash.close();
    end();
    await struck;
  } finally {
    lines.push(...sink.lines);
  }
}

async function ending(struck: Promise<void>, library: Library | undefined): Promise<Ending> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<Ending>((resolve) => {
    timer = setTimeout(() => resolve({ how: 'hung' }), LIMIT_MS);
  });
  const ended = struck.then(
    (): Ending => ({ how: 'resolved' }),
    (error: unknown): Ending => {
      const found = library?.findLeashError(error) as { code?: string; reason?: string } | undefined;
      return { how: 'rejected', code: found?.code, reason: found?.reason, error: described(error) };
    },
  );
  try {
    return await Promise.race([ended, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function reasonsIn(lines: readonly string[]): readonly string[] {
  return lines
    .map((line) => JSON.parse(line) as { kind: string; reason?: string })
    .flatMap(({ kind, reason }) => (kind === 'egress_denied' && reason !== undefined ? [reason] : []));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

async function main(): Promise<void> {
  const read = (name: string): string => readFileSync(join(options.directory, name), 'utf8');
  const certificate = { key: read('key.pem'), cert: read('cert.pem') };
  let undici = options.order === 'after' ? undefined : loadUndici();
  const library = await loadLibrary();
  undici ??= loadUndici();
  // Only now, as tools are imported after the leash: what they take from Node's modules is what is there.
  const { attacks } = await import('./list.ts');

  const stages = new Map<string, Stage>();
  resolveWith({
    asked: (name) => stageOf(name)?.asked(name),
    addressesOf: (name) => stageOf(name)?.addressesOf(name) ?? (/(^|\.)localhost$/.test(name) ? ['127.0.0.1'] : []),
  });
  const stageOf = (name: string): Stage | undefined => {
    const [, a, b] = /^127\.1\.(\d+)\.(\d+)$/.exec(name) ?? [];
    const [, d, c] = /^(\d+)\.(\d+)\.1\.127\.in-addr\.arpa$/.exec(name) ?? [];
    const number =
      a !== undefined ? Number(a) * 256 + Number(b) : c !== undefined ? Number(c) * 256 + Number(d) : undefined;
    return stages.get(String(number ?? /-(\d+)\.attacks\.test\.?$/i.exec(name)?.[1]));
  };

  const finished: (Omit<Result, 'contacts' | 'logged'> & {
    readonly attack: Attack;
    readonly lines: string[];
    readonly stage: Stage;
  })[] = [];
  for (const [number, attack] of attacks.entries()) {
    if (options.only !== undefined && !options.only.includes(attack.id)) continue;
    if (attack.npm && undici === undefined) continue;
    if (library === undefined && attack.control === 'skipped') continue;
    say({ begun: attack.id });
    const before = loose.length;
    const stage = await setUp({ number, certificate, directory: options.directory, undici, early });
    stages.set(String(number), stage);
    const lines: string[] = [];
    const ended = await ending(strike(attack, stage, library, lines), library);
    finished.push({ id: attack.id, attack, ending: ended, lines, stage, loose: loose.splice(before) });
  }
  await pause(GRACE_MS);
  const results = finished.map(({ id, attack, ending, lines, stage, loose }) => ({
    id,
    ending,
    contacts: stage.contacts[attack.goal],
    logged: reasonsIn(lines),
    loose,
  }));
  const version =
    undici === undefined
      ? undefined
      : (createRequire(options.undici as string)('./package.json') as { version: string }).version;
  say({ node: process.versions.node, undici: version, results, loose, refused });
  process.exit(0);
}

await main();
