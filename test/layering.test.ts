import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const RESTRICTED = 'lint/style/noRestrictedImports';
const RULES = [RESTRICTED, 'lint/suspicious/noImportCycles', 'lint/performance/noReExportAll'];

interface Plant {
  /** In a copy of the tree: a new file, or an existing one that gets one more line. */
  readonly file: string;
  readonly specifier: string;
}

function plants(file: string, specifiers: readonly string[]): Plant[] {
  return specifiers.map((specifier) => ({ file, specifier }));
}

const forbidden: readonly Plant[] = [
  ...plants('src/internal/planted.ts', [
    '../errors.ts',
    '../money.ts',
    '../guard.ts',
    '../leash.ts',
    '../guards/args.ts',
    '../stores/store.ts',
    '../audit/sink.ts',
    '../egress/policy/host.ts',
    './../errors.ts',
    './clock.js',
    'fast-json-stable-stringify',
    'tiny-invariant',
    'ajv',
    'leashkit',
  ]),
  ...plants('src/internal/invariant.ts', ['fast-json-stable-stringify']),
  ...plants('src/internal/canonical-json.ts', ['tiny-invariant']),
  ...['src/errors.ts', 'src/money.ts', 'src/guard.ts'].flatMap((file) =>
    plants(file, [
      './leash.ts',
      './call.ts',
      './guards/args.ts',
      './stores/store.ts',
      './audit/sink.ts',
      './egress/policy/host.ts',
      './index.ts',
    ]),
  ),
  ...plants('src/guards/planted.ts', [
    './args.ts',
    '../egress/policy/rule.ts',
    '../stores/store.ts',
    '../audit/sink.ts',
    '../leash.ts',
    '../session/plan.ts',
    '../adapters/ajv.ts',
    '../index.ts',
    'ajv',
  ]),
  ...plants('src/guards/egress.ts', ['./args.ts', '../egress/hooks/scope.ts', '../stores/store.ts']),
  ...plants('src/stores/planted.ts', [
    '../errors.ts',
    '../guard.ts',
    '../guards/budget.ts',
    '../audit/sink.ts',
    '../egress/policy/host.ts',
    '../leash.ts',
    '../index.ts',
    './sqlite.ts',
    './sqlite/rows.ts',
    './postgres/queue.ts',
  ]),
  ...plants('src/stores/sqlite.ts', ['../errors.ts', '../audit/sqlite-sink.ts', '../index.ts']),
  ...plants('src/stores/sqlite/planted.ts', [
    '../memory.ts',
    '../sqlite.ts',
    '../../errors.ts',
    '../../audit/sink.ts',
    '../../leash.ts',
  ]),
  ...plants('src/stores/postgres.ts', ['../errors.ts', '../audit/sink.ts', '../index.ts', 'pg']),
  ...plants('src/stores/postgres/planted.ts', [
    '../memory.ts',
    '../postgres.ts',
    '../../errors.ts',
    '../../audit/sink.ts',
    '../../leash.ts',
    'pg',
  ]),
  ...plants('src/stores/redis/planted.ts', [
    '../memory.ts',
    '../redis.ts',
    '../../errors.ts',
    '../../leash.ts',
    '../../index.ts',
    'ioredis',
    'redis',
  ]),
  ...plants('src/audit/planted.ts', [
    '../guard.ts',
    '../guards/budget.ts',
    '../stores/store.ts',
    '../egress/policy/host.ts',
    '../leash.ts',
    '../index.ts',
  ]),
  ...plants('src/egress/policy/planted.ts', [
    '../hooks/scope.ts',
    '../transport/fetch.ts',
    '../../errors.ts',
    'node:net',
  ]),
  ...plants('src/egress/hooks/planted.ts', ['../transport/fetch.ts', '../../call.ts']),
  ...['policy', 'hooks', 'transport'].flatMap((folder) =>
    plants(`src/egress/${folder}/planted.ts`, [
      '../../money.ts',
      '../../guards/egress.ts',
      '../../stores/store.ts',
      '../../audit/event.ts',
      '../../session/fetch.ts',
      '../../index.ts',
      'undici',
    ]),
  ),
  ...plants('src/prices/planted.ts', [
    '../errors.ts',
    '../guard.ts',
    '../leash.ts',
    '../stores/store.ts',
    '../adapters/ajv.ts',
    '../index.ts',
    '@pydantic/genai-prices',
  ]),
  ...plants('src/planted.ts', [
    './guards/budget.ts',
    './guards/args.ts',
    './adapters/ajv.ts',
    './testing/clock.ts',
    './cli/main.ts',
    './prices/price.ts',
    './isolated/frames.ts',
    './index.ts',
    './stores/meter.ts',
    './stores/shortfall.ts',
    './stores/rolling.ts',
    './stores/store-input.ts',
    './stores/sqlite.ts',
    './audit/file-sink.ts',
    './audit/sqlite-sink.ts',
    './../src/index.ts',
    'leashkit',
    'ajv',
    'undici',
    'tiny-invariant',
    'fast-json-stable-stringify',
  ]),
  ...plants('src/call.ts', ['./leash.ts', './session/ticket.ts', './stores/store.ts', './index.ts']),
  ...plants('src/session/planted.ts', [
    '../leash.ts',
    '../leash-contract.ts',
    '../leash-options.ts',
    '../index.ts',
    '../guards/budget.ts',
    '../stores/memory.ts',
    '../stores/meter.ts',
    '../audit/memory-sink.ts',
    '../audit/file-sink.ts',
    '../adapters/ajv.ts',
    'undici',
  ]),
  ...plants('src/index.ts', [
    './adapters/ajv.ts',
    './testing/clock.ts',
    './cli/main.ts',
    './stores/sqlite.ts',
    './audit/sqlite-sink.ts',
    'ajv',
  ]),
  ...plants('src/adapters/planted.ts', [
    '../index.ts',
    './ajv.ts',
    '../testing/clock.ts',
    '../cli/main.ts',
    'ajv',
    'ai',
  ]),
  ...plants('src/adapters/prices.ts', [
    '../leash.ts',
    '../money.ts',
    '../index.ts',
    './ajv.ts',
    '@pydantic/genai-prices',
  ]),
  ...plants('src/adapters/ajv.ts', ['../index.ts', 'ajv-formats', 'undici']),
  ...plants('src/adapters/undici.ts', ['../index.ts', './ajv.ts', 'undici-types', 'undici/types/agent.js', 'ajv']),
  ...plants('src/adapters/framework/planted.ts', [
    '../prices.ts',
    '../../index.ts',
    '../ajv.ts',
    '../../testing/clock.ts',
    '../../cli/main.ts',
    'ai',
  ]),
  ...['src/adapters/mcp.ts', 'src/adapters/claude-agent-sdk.ts'].flatMap((file) =>
    plants(file, ['../leash.ts', '../index.ts', './ajv.ts', './framework/once.ts']),
  ),
  ...['src/adapters/mcp/planted.ts', 'src/adapters/claude-agent-sdk/planted.ts'].flatMap((file) =>
    plants(file, [
      '../../index.ts',
      '../ajv.ts',
      '../mcp.ts',
      '../../testing/clock.ts',
      '../../cli/main.ts',
      '@modelcontextprotocol/sdk',
    ]),
  ),
  ...plants('src/testing/planted.ts', ['../index.ts', '../adapters/ajv.ts', '../cli/main.ts', '../prices/price.ts']),
  ...plants('src/cli/planted.ts', ['../index.ts', '../adapters/ajv.ts', '../testing/clock.ts']),
  ...plants('src/cli/migration.ts', ['../stores/postgres.ts', '../leash.ts']),
  ...plants('src/isolated/planted.ts', ['../index.ts', '../adapters/ajv.ts', '../testing/clock.ts', '../cli/main.ts']),
  // A folder that nobody gave a place.
  ...plants('src/elsewhere/planted.ts', ['../leash.ts', './planted-too.ts', '../internal/clock.ts']),
];

const allowed: readonly Plant[] = [
  ...plants('src/internal/legal.ts', ['./clock.ts', 'node:crypto', 'node:fs/promises']),
  ...plants('src/guards/legal.ts', ['../guard.ts', '../errors.ts', '../money.ts', '../internal/options.ts']),
  ...plants('src/stores/redis/legal.ts', ['./keys.ts', '../store.ts', '../../internal/options.ts', 'node:crypto']),
  ...plants('src/stores/redis.ts', ['./redis/keys.ts', '../internal/options.ts']),
  ...plants('src/stores/legal.ts', ['./store.ts', '../money.ts', '../internal/clock.ts', 'node:sqlite']),
  ...plants('src/stores/sqlite/legal.ts', ['./rows.ts', '../ledger.ts', '../../money.ts', '../../internal/clock.ts']),
  ...plants('src/stores/postgres/legal.ts', ['./queue.ts', '../store.ts', '../../money.ts', '../../internal/clock.ts']),
  ...plants('src/audit/legal.ts', ['./sink.ts', '../errors.ts', '../money.ts', '../internal/clock.ts']),
  ...plants('src/egress/policy/legal.ts', ['./host.ts', '../../guard.ts', '../../internal/options.ts']),
  ...plants('src/egress/hooks/legal.ts', ['./scope.ts', '../policy/host.ts', '../../errors.ts', 'node:net']),
  ...plants('src/egress/transport/legal.ts', ['./fetch.ts', '../policy/host.ts', '../hooks/scope.ts', 'node:tls']),
  ...plants('src/guards/egress.ts', ['../egress/policy/host.ts']),
  ...plants('src/prices/legal.ts', ['./price.ts', '../money.ts', '../internal/options.ts']),
  ...plants('src/adapters/prices.ts', ['../prices/planted-too.ts']),
  ...plants('src/adapters/mcp/legal.ts', [
    './tool-call.ts',
    '../framework/once.ts',
    '../../leash-contract.ts',
    '../../internal/options.ts',
  ]),
  ...plants('src/legal.ts', [
    './leash.ts',
    './errors.ts',
    './internal/clock.ts',
    './egress/policy/host.ts',
    './audit/log.ts',
    './audit/memory-sink.ts',
    './stores/store.ts',
    './stores/memory.ts',
    './session/rules.ts',
  ]),
  ...plants('src/session/legal.ts', [
    './rules.ts',
    '../call.ts',
    '../errors.ts',
    '../guard.ts',
    '../money.ts',
    '../audit/event.ts',
    '../egress/policy/host.ts',
    '../internal/clock.ts',
    '../stores/store.ts',
    '../stores/shortfall.ts',
    'node:crypto',
  ]),
  ...['adapters', 'testing', 'cli', 'isolated'].flatMap((folder) =>
    plants(`src/${folder}/legal.ts`, [
      '../leash.ts',
      '../errors.ts',
      '../guards/args.ts',
      '../session/tool.ts',
      '../audit/sink.ts',
      '../stores/memory.ts',
      '../egress/policy/host.ts',
      '../internal/options.ts',
      'node:fs',
    ]),
  ),
  ...plants('src/adapters/legal.ts', ['../prices/price.ts', './framework/planted.ts']),
  ...plants('src/adapters/framework/legal.ts', [
    './planted.ts',
    '../../prices/price.ts',
    '../../leash.ts',
    '../../internal/options.ts',
  ]),
];

const made: string[] = [];
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

/** A copy of the sources with the lint configuration, and these files changed in it. */
function copyWith(added: ReadonlyMap<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'leashkit-layering-'));
  made.push(directory);
  cpSync(join(root, 'src'), join(directory, 'src'), { recursive: true });
  cpSync(join(root, '.biome.jsonc'), join(directory, '.biome.jsonc'));
  for (const [file, text] of added) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), text, { flag: 'a' });
  }
  return directory;
}

interface Report {
  readonly diagnostics: readonly {
    readonly severity: string;
    readonly category: string;
    readonly location: { readonly path: string; readonly start: { readonly line: number } };
  }[];
}

/** What the linter says of the layers in a tree: `file: specifier`, by rule. */
function lint(directory: string): ReadonlyMap<string, readonly string[]> {
  const only = RULES.map((rule) => `--only=${rule.slice('lint/'.length)}`);
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
  const args = [biome, 'lint', '--reporter=json', '--max-diagnostics=none', ...only, 'src'];
  const { stdout, stderr, error } = spawnSync(process.execPath, args, { cwd: directory, encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (!stdout.startsWith('{')) throw new Error(`biome gave no report: ${stderr}`);
  const found = new Map<string, string[]>(RULES.map((rule) => [rule, []]));
  for (const { category, severity, location } of (JSON.parse(stdout) as Report).diagnostics) {
    const line = readFileSync(join(directory, location.path), 'utf8').split('\n')[location.start.line - 1] ?? '';
    const specifier = /['"](.+)['"]/.exec(line)?.[1] ?? line;
    if (severity === 'error') found.get(category)?.push(`${location.path}: ${specifier}`);
  }
  return found;
}

function linesOf(planted: readonly Plant[], write: (specifier: string) => string): Map<string, string> {
  const added = new Map<string, string>();
  for (const { file, specifier } of planted) added.set(file, `${added.get(file) ?? ''}${write(specifier)}\n`);
  return added;
}

const named = ({ file, specifier }: Plant): string => `${file}: ${specifier}`;

describe('the layers', () => {
  it('hold in the sources as they are', () => {
    const found = lint(root);
    for (const rule of RULES) expect(found.get(rule), rule).toEqual([]);
  });

  describe('when one is broken', () => {
    const reported = lint(copyWith(linesOf([...forbidden, ...allowed], (specifier) => `import '${specifier}';`)));

    it.each(forbidden.map((plant) => ({ ...plant, name: named(plant) })))('refuses $name', ({ name }) => {
      expect(reported.get(RESTRICTED)).toContain(name);
    });

    it('refuses nothing else: what each layer may import passes', () => {
      expect([...(reported.get(RESTRICTED) ?? [])].sort()).toEqual(forbidden.map(named).sort());
    });
  });

  it('are broken by a type, a re-export or a dynamic import just the same', () => {
    const forms = new Map([
      ['src/guards/of-types.ts', "import type { Leash } from '../leash.ts';\nexport type Held = Leash;\n"],
      ['src/guards/of-names.ts', "export { createLeash } from '../leash.ts';\n"],
      ['src/guards/at-run-time.ts', "export const leash: unknown = await import('../leash.ts');\n"],
      ['src/stores/everything.ts', "export * from './store.ts';\n"],
      ['src/hen.ts', "import type { Egg } from './egg.ts';\nexport type Hen = Egg;\n"],
      ['src/egg.ts', "import type { Hen } from './hen.ts';\nexport type Egg = Hen;\n"],
    ]);
    const found = lint(copyWith(forms));
    expect([...(found.get(RESTRICTED) ?? [])].sort()).toEqual([
      'src/guards/at-run-time.ts: ../leash.ts',
      'src/guards/of-names.ts: ../leash.ts',
      'src/guards/of-types.ts: ../leash.ts',
    ]);
    expect(found.get('lint/performance/noReExportAll')).toEqual(['src/stores/everything.ts: ./store.ts']);
    expect([...(found.get('lint/suspicious/noImportCycles') ?? [])].sort()).toEqual([
      'src/egg.ts: ./hen.ts',
      'src/hen.ts: ./egg.ts',
    ]);
  });

  it('are not slipped past: no import in a type, no require, no suppressed rule, which the linter does not see', () => {
    const hidden = [
      /\bimport\s*\(/,
      /\brequire\s*\(/,
      /<reference\s/,
      /biome-ignore\S*\s+lint(\/(style|suspicious|performance))?(\/(noRestrictedImports|noImportCycles|noReExportAll))?\s*:/,
    ];
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    const hides = (text: string): boolean => hidden.some((pattern) => pattern.test(text));
    // It loads the module that a worker is for.
    const loader = join('isolated', 'worker-main.ts');
    const textOf = (file: string): string => {
      const text = readFileSync(join(root, 'src', file), 'utf8');
      return file === loader ? text.replace('await import(module)', '') : text;
    };
    expect(files.filter((file) => hides(textOf(file)))).toEqual([]);
  });
});
