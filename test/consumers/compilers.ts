import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Check, Outcome } from './outcome.ts';
import { installed, type Packed } from './project.ts';

export interface Compiler {
  readonly name: string;
  /** Its folder among what is installed. */
  readonly folder: string;
  readonly module: 'nodenext' | 'bundler';
}

/** Those of the manifest, each with both ways to find modules. */
export const COMPILERS: readonly Compiler[] = ['typescript-5.9', 'typescript-6', 'typescript-7'].flatMap((folder) =>
  (['nodenext', 'bundler'] as const).map((module) => ({
    name: `${folder.replace('typescript-', 'TypeScript ')} ${module}`,
    folder,
    module,
  })),
);

/** What the declarations speak of that a program has to install, by file: their peers, and modules of @types/node. */
const NEEDS: readonly string[] = [
  'ajv.d.ts: ajv',
  'sqlite.d.ts: node:sqlite',
  'undici.d.ts: node:tls',
  'undici.d.ts: undici',
];

const RESOLUTION = {
  nodenext: { module: 'nodenext' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
} as const;

/** A program without @types/node needs the types of another platform: those of browsers have AbortSignal and URL too. */
const OTHER_PLATFORM = { types: [], lib: ['es2023', 'dom', 'esnext.disposable'] };
const NODE = { types: ['node'], lib: ['es2023'] };

/** Checks programs, and the declarations that they reach, as strictly as a compiler can. */
export async function runCompiler(compiler: Compiler, packed: Packed): Promise<Outcome> {
  const bare = packed.project();
  const withTypes = packed.project(['@types/node']);
  const withPeers = packed.project(['@types/node', 'ajv', 'undici']);
  for (const project of [bare, withTypes, withPeers]) {
    const lines = packed.modules.map(({ specifier }, i) => `export * as module${i} from '${specifier}';\n`);
    writeFileSync(join(project, 'every-module.ts'), lines.join(''));
  }
  const structural = ['uses-root.ts', 'uses-subpaths.ts'];
  const needsPeers = NEEDS.filter((need) => !need.includes('node:'));
  const everything = [...structural, 'uses-ajv.ts', 'uses-undici.ts', 'every-module.ts'];
  return {
    name: compiler.name,
    version: versionOf(compiler),
    checks: {
      'a program': await check(compiler, bare, OTHER_PLATFORM, structural, []),
      'every module': await check(compiler, bare, OTHER_PLATFORM, ['every-module.ts'], NEEDS),
      'with @types/node': await check(compiler, withTypes, NODE, ['every-module.ts'], needsPeers),
      'and peers': await check(compiler, withPeers, NODE, everything, []),
    },
  };
}

function versionOf({ folder }: Compiler): string {
  const manifest = JSON.parse(readFileSync(join(installed, folder, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return manifest.version;
}

/** @param needs what is missing, as in `NEEDS`. */
async function check(
  { folder, module }: Compiler,
  project: string,
  platform: object,
  files: readonly string[],
  needs: readonly string[],
): Promise<Check> {
  const compilerOptions = {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    target: 'es2023',
    ...RESOLUTION[module],
    ...platform,
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  const printed = await compile(folder, project);
  const errors = printed.split('\n').filter((line) => line.includes('error TS'));
  const found = errors.map(needIn);
  const missing = needs.filter((need) => !found.includes(need)).map((need) => `no error: ${need}`);
  return {
    result: needs.length === 0 ? 'checks' : `needs ${needs.map((need) => need.split(' ')[1]).join(', ')}`,
    problems: [...found.filter((need) => !needs.includes(need)), ...missing],
  };
}

/** An error about a module that is not there, as `NEEDS` has it; any other as it is. */
function needIn(error: string): string {
  const [, file = '', module] = /^(.+?)\(\d+,\d+\): error TS(?:2307|2591): Cannot find \w+ '([^']+)'/.exec(error) ?? [];
  return module === undefined ? error : `${basename(file)}: ${module}`;
}

function compile(folder: string, project: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const compiler = join(installed, folder, 'bin/tsc');
    execFile(process.execPath, [compiler], { cwd: project, timeout: 120_000 }, (error, stdout, stderr) => {
      if (error === null || stdout.includes('error TS')) resolve(stdout);
      else reject(new Error(`${folder} did not compile: ${stdout}${stderr}`, { cause: error }));
    });
  });
}
