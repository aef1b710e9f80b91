/**
 * Runs attacks in a process of their own: `node child.ts <ChildOptions as JSON>`. A line of its output is an attack that has
 * begun, and the last, when nothing can come late any more, what became of all of them: {@link Message}.
 */
import './loopback-only.ts';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type * as Undici from 'undici';
import type { Attack, Contact, Layer } from './attack.ts';
import { refused, resolveWith } from './loopback-only.ts';
import { type Stage, setUp } from './scene.ts';
import { described, type Ending, type Library, type Struck, strike } from './strike.ts';

export interface ChildOptions {
  /** The module whose `attacks` are run, imported after the library: what it takes from Node's modules is what is there. */
  readonly list: string;
  /** With `key.pem` and `cert.pem`, which `NODE_EXTRA_CA_CERTS` names; takes unix sockets. */
  readonly directory: string;
  /** The module of the library. Absent: no leash. */
  readonly library?: string | undefined;
  /** The module of a copy of undici from npm. Absent: attacks that need one are left out. */
  readonly undici?: string | undefined;
  /** Whether undici is loaded before the library or after it. Default: `'before'`. */
  readonly order?: 'before' | 'after' | undefined;
  /** Whether the list, and with it what it imports, is loaded before the library. Default: false. */
  readonly listFirst?: boolean | undefined;
  /** Layers to switch off, of a library that is the sources. */
  readonly off?: readonly Layer[] | undefined;
  /** Ids. Default: all. */
  readonly only?: readonly string[] | undefined;
}

export interface Result {
  readonly id: string;
  readonly ending: Ending;
  /** How the goal of the attack was reached. */
  readonly contacts: readonly Contact[];
  /** Reasons of the refusals in the leash's log. */
  readonly logged: readonly string[];
  /** Rejections and exceptions that nobody handled while it ran. */
  readonly loose: readonly string[];
}

export interface Report {
  readonly node: string;
  /** Version. */
  readonly undici: string | undefined;
  readonly results: readonly Result[];
  /** What nobody handled when all had run. */
  readonly loose: readonly string[];
  /** What wanted to leave the machine. */
  readonly refused: readonly string[];
}

export type Message = { readonly begun: string } | { readonly unloadable: string } | { readonly report: Report };

interface Run extends Struck {
  readonly attack: Attack;
  readonly stage: Stage;
  readonly loose: readonly string[];
}

/** For what is on its way when the last attack has ended. */
const GRACE_MS = 300;

const options = JSON.parse(process.argv[2] ?? '{}') as ChildOptions;
/** From before anything else is loaded. */
const { lookup } = process.getBuiltinModule('node:dns');
const early = { connect: net.Socket.prototype.connect, lookup, execFileSync, Worker };

const loose: string[] = [];
process.on('unhandledRejection', (error) => loose.push(`rejection: ${described(error)}`));
process.on('uncaughtException', (error) => loose.push(`exception: ${described(error)}`));

function say(message: Message): void {
  let rest = Buffer.from(`${JSON.stringify(message)}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      // A pipe that is full.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

function loadUndici(): { readonly module: typeof Undici; readonly version: string } | undefined {
  if (options.undici === undefined) return undefined;
  const load = createRequire(options.undici);
  try {
    return { module: load(options.undici), version: load('./package.json').version };
  } catch (error) {
    say({ unloadable: described(error) });
    process.exit(0);
  }
}

/** With a leash of no tool: what is installed once for a process is there from now on. */
async function loadLibrary(): Promise<Library | undefined> {
  if (options.library === undefined) return undefined;
  // Imported only here: it brings parts of the library.
  if (options.off !== undefined) (await import('./switch-off.ts')).switchOff(options.off);
  const library = (await import(options.library)) as Library;
  library.createLeash({ guards: [library.egress({ allow: [] })] });
  return library;
}

/** The number of the scene that a name, an address or a reversed address stands for. */
function sceneOf(name: string): number | undefined {
  const [, number] = /-(\d+)\.attacks\.test\.?$/i.exec(name) ?? [];
  if (number !== undefined) return Number(number);
  const [, high, low] =
    /^127\.1\.(\d+)\.(\d+)$/.exec(name.replace(/^(\d+)\.(\d+)\.1\.127\.in-addr\.arpa$/, '127.1.$2.$1')) ?? [];
  return high === undefined ? undefined : Number(high) * 0x100 + Number(low);
}

async function runAll(
  attacks: readonly Attack[],
  library: Library | undefined,
  undici: typeof Undici | undefined,
): Promise<readonly Run[]> {
  const read = (name: string): string => readFileSync(join(options.directory, name), 'utf8');
  const certificate = { key: read('key.pem'), cert: read('cert.pem') };
  const stages = new Map<number | undefined, Stage>();
  resolveWith({
    asked: (name) => stages.get(sceneOf(name))?.asked(name),
    addressesOf: (name) =>
      stages.get(sceneOf(name))?.addressesOf(name) ?? (/(^|\.)localhost$/.test(name) ? ['127.0.0.1'] : []),
  });
  const runs: Run[] = [];
  for (const [number, attack] of attacks.entries()) {
    if (options.only !== undefined && !options.only.includes(attack.id)) continue;
    if (attack.npm && undici === undefined) continue;
    if (library === undefined && attack.control === 'skipped') continue;
    say({ begun: attack.id });
    // With a layer off, what the others hold is only what they are for.
    const raw = attack.raw || options.off !== undefined;
    const stage = await setUp({ number, certificate, directory: options.directory, undici, early });
    stages.set(number, stage);
    const struck = await strike(attack, stage, library, raw ? 'allow' : 'deny');
    runs.push({ ...struck, attack, stage, loose: loose.splice(0) });
  }
  return runs;
}

function reasonsIn(lines: readonly string[]): readonly string[] {
  return lines
    .map((line) => JSON.parse(line) as { readonly code?: string; readonly reason?: string })
    .flatMap(({ code, reason }) => (code === 'EGRESS_DENIED' && reason !== undefined ? [reason] : []));
}

const loadList = (): Promise<{ readonly attacks: readonly Attack[] }> => import(options.list);

if (options.listFirst) await loadList();
let undici = options.order === 'after' ? undefined : loadUndici();
const library = await loadLibrary();
undici ??= loadUndici();
const { attacks } = await loadList();
const runs = await runAll(attacks, library, undici?.module);
await setTimeout(GRACE_MS);
say({
  report: {
    node: process.versions.node,
    undici: undici?.version,
    results: runs.map(({ attack, stage, ending, lines, loose }) => ({
      id: attack.id,
      ending,
      contacts: stage.contacts[attack.goal],
      logged: reasonsIn(lines),
      loose,
    })),
    loose,
    refused,
  },
});
process.exit();
