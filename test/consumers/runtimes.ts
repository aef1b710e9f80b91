import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Check, Outcome } from './outcome.ts';
import { installed, type Module, type Packed } from './project.ts';

/** What a program tells of one of its parts: exactly this, or a refusal like this. */
type Expected = string | RegExp;

export interface Runtime {
  readonly name: string;
  readonly command: readonly string[];
  /** Peers that are there without being installed. */
  readonly builtIn?: readonly string[];
  /** What `require()` of a module has it print to stderr. Default: nothing. */
  readonly warning?: RegExp;
  /** By part of session.mjs. */
  readonly session: Readonly<Record<string, Expected>>;
  /** By part of peers.mjs. */
  readonly peers: Readonly<Record<string, Expected>>;
}

/** The peer without which a module does not load. The others load alone: frameworks and clients are handed to them. */
const NEEDS: Readonly<Record<string, string>> = { 'leashkit/ajv': 'ajv', 'leashkit/undici': 'undici' };

const SESSION = {
  session: '5 ran, BUDGET_EXCEEDED SESSION_BREACHED, verified, closed',
  'egress scope': 'holds own, any, declared',
  'egress declared': 'holds own, declared',
  sqlite: 'verified, closed',
  isolated: /^EGRESS_UNENFORCED: isolated\(\) needs Node >= 26, .+; this is (Node 2[24]|Bun|Deno)/,
};
const PEERS = { ajv: '1, ARGS_INVALID', undici: 'hello, hello, EGRESS_DENIED' };

export const RUNTIMES: readonly Runtime[] = [
  {
    name: 'Node 22.12',
    command: ['node-22.12/bin/node'],
    // From 22.13 on no more of what lies in node_modules.
    warning: /^\(node:\d+\) ExperimentalWarning: CommonJS module .+ is loading ES Module .+ using require\(\)/,
    session: { ...SESSION, sqlite: /^Error: leashkit\/sqlite needs node:sqlite, which Node has from 22\.13 on$/ },
    peers: PEERS,
  },
  { name: 'Node 22', command: ['node-22/bin/node'], session: SESSION, peers: PEERS },
  { name: 'Node 24', command: ['node-24/bin/node'], session: SESSION, peers: PEERS },
  { name: 'Node 26', command: ['node-26/bin/node'], session: { ...SESSION, isolated: '1 and 2 are 3' }, peers: PEERS },
  {
    name: 'Bun',
    command: ['bun/bin/bun.exe', '--no-install'],
    builtIn: ['undici'],
    session: {
      ...SESSION,
      'egress scope': /^EGRESS_UNENFORCED: .+ cannot hold fetch, WebSocket on Bun .+ hold declared URLs alone/,
    },
    peers: { ...PEERS, undici: /^EGRESS_UNENFORCED: undici .+ cannot be held on Bun / },
  },
  {
    name: 'Deno',
    command: ['deno/deno', 'run', '--allow-all', '--no-remote'],
    session: {
      ...SESSION,
      'egress scope':
        /^EGRESS_UNENFORCED: .+ cannot hold fetch, WebSocket, workers on Deno .+ hold declared URLs alone/,
    },
    peers: PEERS,
  },
];

/** Loads each module in a process of its own, runs the programs, and verifies the log that they leave. */
export async function runRuntime(runtime: Runtime, packed: Packed): Promise<Outcome> {
  const bare = packed.project();
  const withPeers = packed.project(['ajv', 'undici']);
  const { stdout } = await run(runtime, bare, '--version');
  return {
    name: runtime.name,
    version: /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? stdout,
    checks: {
      import: await load(runtime, packed.modules, { bare, withPeers }, 'import.mjs'),
      require: await load(runtime, packed.modules, { bare, withPeers }, 'require.cjs'),
      ...(await use(runtime, bare, 'session.mjs', runtime.session)),
      'leash verify': await verify(runtime, bare),
      ...(await use(runtime, withPeers, 'peers.mjs', runtime.peers)),
    },
  };
}

async function load(
  runtime: Runtime,
  modules: readonly Module[],
  projects: { readonly bare: string; readonly withPeers: string },
  program: string,
): Promise<Check> {
  const warning = program === 'require.cjs' ? runtime.warning : undefined;
  const problems: string[] = [];
  let alone = 0;
  for (const { specifier, names } of modules) {
    const peer = NEEDS[specifier];
    const missing = peer !== undefined && !runtime.builtIn?.includes(peer);
    const ended = await run(runtime, projects.bare, program, specifier);
    const given = told<Loaded>(ended);
    if (missing) {
      // An error that names the package: every runtime has one.
      const helps = given.code === 'ERR_MODULE_NOT_FOUND' && given.message?.includes(`package '${peer}'`);
      if (!helps) problems.push(`${specifier} without ${peer}: ${ended.stdout}`);
      const later = await run(runtime, projects.withPeers, program, specifier);
      if (!isSame(told<Loaded>(later).names, names)) problems.push(`${specifier} with ${peer}: ${later.stdout}`);
    } else {
      alone++;
      if (!isSame(given.names, names)) problems.push(`${specifier}: ${ended.stdout}`);
    }
    const { stderr } = ended;
    if (!(warning?.test(stderr) ?? stderr === '')) problems.push(`${specifier} prints ${stderr || 'no warning'}`);
  }
  return { result: `${alone}, ${modules.length} with peers${warning === undefined ? '' : ', warns'}`, problems };
}

interface Loaded {
  readonly names?: readonly string[];
  readonly code?: string;
  readonly message?: string;
}

function isSame(names: readonly string[] | undefined, expected: readonly string[]): boolean {
  return names?.join() === expected.join();
}

async function use(
  runtime: Runtime,
  project: string,
  program: string,
  expected: Readonly<Record<string, Expected>>,
): Promise<Record<string, Check>> {
  const came = told<Readonly<Record<string, string>>>(await run(runtime, project, program));
  return Object.fromEntries(
    Object.entries(expected).map(([part, like]) => {
      const result = came[part] ?? 'nothing';
      const fits = typeof like === 'string' ? result === like : like.test(result);
      return [part, { result: typeof like === 'string' ? 'works' : 'refuses', problems: fits ? [] : [result] }];
    }),
  );
}

/** The command on the log that session.mjs left, and on a copy with one changed word. */
async function verify(runtime: Runtime, project: string): Promise<Check> {
  const log = readFileSync(join(project, 'audit.jsonl'), 'utf8');
  writeFileSync(join(project, 'forged.jsonl'), log.replace('"tool":"charge"', '"tool":"search"'));
  const problems: string[] = [];
  for (const [file, code] of [
    ['audit.jsonl', 0],
    ['forged.jsonl', 1],
  ] as const) {
    const ended = await run(runtime, project, 'node_modules/leashkit/dist/cli.js', 'verify', file, '--require-closed');
    if (ended.code !== code) problems.push(`${file} ends with ${ended.code}: ${ended.stdout}${ended.stderr}`);
  }
  return { result: 'works', problems };
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a program has printed as JSON. @throws {Error} it did not. */
function told<Printed>({ code, stdout, stderr }: Ended): Printed {
  try {
    return JSON.parse(stdout) as Printed;
  } catch {
    throw new Error(`a program ended with ${code}: ${stdout}${stderr}`);
  }
}

function run({ command: [program = '', ...flags] }: Runtime, cwd: string, ...args: readonly string[]): Promise<Ended> {
  const env = { ...process.env, DENO_DIR: join(cwd, '.deno'), DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' };
  const given = args[0] === '--version' ? args : [...flags, ...args];
  return new Promise((resolve, reject) => {
    execFile(join(installed, program), given, { cwd, env, timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === 'number') resolve({ code, stdout, stderr });
      else reject(new Error(`${program} ${given.join(' ')} did not end by itself: ${stderr}`, { cause: error }));
    });
  });
}
