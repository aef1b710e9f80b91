import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../src/internal/version.ts';
import { bundle } from './helpers/bundle.ts';
import { CEILINGS, sizeOf } from './helpers/size.ts';

/** What `npm publish` would ship: these tests read the built files, and `npm test` builds before it runs them. */
const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
if (!existsSync(join(dist, 'index.js'))) throw new Error('dist is not built: run `npm run build` first');

const text = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Manifest {
  readonly version: string;
  readonly files: readonly string[];
  readonly scripts: object;
  readonly bin: object;
  readonly exports: Readonly<Record<string, string | object>>;
  readonly dependencies?: object;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: object;
  readonly peerDependenciesMeta: object;
  readonly tsdown: {
    readonly entry: Readonly<Record<string, string>>;
    readonly deps: { readonly onlyBundle: readonly string[] };
  };
}

const manifest = JSON.parse(text('package.json')) as Manifest;
const { entry, deps } = manifest.tsdown;

/** Entries as file names in dist, without the ending. */
const entries = Object.keys(entry).sort();
/** The command and the worker of `isolated` are started, and imported by nobody. */
const subpathEntries = entries.filter((name) => name !== 'cli' && name !== 'isolated-worker');

/** Every specifier in an entry's declarations and in those that they reach. */
function specifiersOfTypes(name: string): string[] {
  const seen = new Set<string>();
  const outside = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const source = readFileSync(file, 'utf8').replace(/\/\*.*?\*\//gs, '');
    for (const match of source.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|<reference\s+types=)["']([^"']+)["']/g)) {
      const specifier = match[1] as string;
      if (specifier.startsWith('.')) visit(join(dirname(file), specifier.replace(/\.js$/, '.d.ts')));
      else outside.add(specifier);
    }
  };
  visit(join(dist, `${name}.d.ts`));
  return [...outside].sort();
}

/** The names that an entry's declarations export, types and values. */
function declaredNames(name: string): string[] {
  const list = /export \{([^}]*)\};\s*$/.exec(readFileSync(join(dist, `${name}.d.ts`), 'utf8'))?.[1] ?? '';
  return list.split(',').map((item) => item.trim().split(' ').at(-1) as string);
}

async function exportedNames(name: string): Promise<string[]> {
  return Object.keys((await import(pathToFileURL(join(dist, `${name}.js`)).href)) as object).sort();
}

describe('the repository', () => {
  it.skipIf(!existsSync(join(root, '.git')))('has nothing else at its top level', () => {
    const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).trimEnd().split('\n');
    const top = new Set(tracked.map((path) => path.split('/')[0] as string));
    const visible = [...top].filter((name) => !name.startsWith('.'));
    expect(visible.sort()).toEqual([
      ...['CHANGELOG.md', 'LICENSE', 'README.md', 'bench', 'examples'],
      ...['package-lock.json', 'package.json', 'src', 'test', 'tsconfig.json'],
    ]);
  });
});

describe('package.json', () => {
  it('has no dependencies but two small ones that it bundles, and nothing that runs at install', () => {
    // npm drops an empty field when it writes the manifest.
    expect(manifest.dependencies ?? {}).toEqual({});
    expect(deps.onlyBundle).toEqual(['tiny-invariant', 'fast-json-stable-stringify']);
    for (const field of ['main', 'optionalDependencies', 'bundleDependencies', 'bundledDependencies']) {
      expect(manifest, field).not.toHaveProperty(field);
    }
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
      expect(manifest.scripts, script).not.toHaveProperty(script);
    }
  });

  it('is an ES module for Node >= 22.12 without side effects', () => {
    expect(manifest).toMatchObject({
      type: 'module',
      sideEffects: false,
      engines: { node: '>=22.12' },
      license: 'MIT',
    });
  });

  it('is published for everyone, and only with a statement of where it was built', () => {
    expect(manifest).toMatchObject({ publishConfig: { access: 'public', provenance: true } });
  });

  it('has ajv, undici and clients of databases as its peers, and can do without', () => {
    const clients = { ioredis: '^5.0.0 || ^6.0.0', pg: '^8.0.0', postgres: '^3.0.0', redis: '^5.0.0 || ^6.0.0' };
    const peers = { ajv: '^8.17.0', ...clients, undici: '^7.27.2 || ^8.0.1' };
    expect(manifest.peerDependencies).toEqual(peers);
    const optional = Object.keys(peers).map((name) => [name, { optional: true }]);
    expect(manifest.peerDependenciesMeta).toEqual(Object.fromEntries(optional));
  });

  it('runs its scripts with the Node that it names', () => {
    const { node } = manifest.devDependencies;
    const version = execFileSync(join(root, 'node_modules/.bin/node'), ['--version'], { encoding: 'utf8' });
    expect(version.trim()).toBe(`v${node}`);
  });

  it('maps one subpath to each entry of the build, types first', () => {
    expect(entry).toEqual({
      index: 'src/index.ts',
      'ai-sdk': 'src/adapters/ai-sdk.ts',
      langchain: 'src/adapters/langchain.ts',
      openai: 'src/adapters/openai.ts',
      'openai-agents': 'src/adapters/openai-agents.ts',
      ajv: 'src/adapters/ajv.ts',
      anthropic: 'src/adapters/anthropic.ts',
      'claude-agent-sdk': 'src/adapters/claude-agent-sdk.ts',
      isolated: 'src/isolated/index.ts',
      'isolated-worker': 'src/isolated/worker-main.ts',
      mcp: 'src/adapters/mcp.ts',
      postgres: 'src/adapters/postgres.ts',
      prices: 'src/adapters/prices.ts',
      redis: 'src/adapters/redis.ts',
      sqlite: 'src/adapters/sqlite.ts',
      testing: 'src/testing/index.ts',
      undici: 'src/adapters/undici.ts',
      cli: 'src/cli/main.ts',
    });
    expect(manifest.bin).toEqual({ leash: './dist/cli.js' });
    const { './package.json': self, ...subpaths } = manifest.exports;
    expect(self).toBe('./package.json');
    expect(subpaths).toEqual(
      Object.fromEntries(
        subpathEntries.map((name) => [
          name === 'index' ? '.' : `./${name}`,
          { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` },
        ]),
      ),
    );
    for (const conditions of Object.values(subpaths)) expect(Object.keys(conditions)).toEqual(['types', 'default']);
  });

  it('has the version of the code and of the newest entry in the changelog', () => {
    expect(VERSION).toBe(manifest.version);
    expect(/^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$/m.exec(text('CHANGELOG.md'))?.[1]).toBe(manifest.version);
  });
});

describe('dist', () => {
  it('has code and declarations of every entry, and of chunks that they share', () => {
    const files = readdirSync(dist).sort();
    for (const name of entries) expect(files).toEqual(expect.arrayContaining([`${name}.d.ts`, `${name}.js`]));
    expect(files.filter((file) => !/^[a-z-]+(\.d\.ts|\.js)$/.test(file))).toEqual([]);
  });

  it('exports these values from the root', async () => {
    expect((await exportedNames('index')).join(' ')).toBe(
      [
        'AuditUnavailableError BudgetExceededError CallCapExceededError ConflictError DeniedError',
        'EgressDeniedError EgressUnenforcedError LeashError ProofInvalidError RateLimitedError SessionEndedError StateLostError',
        'StoreUnavailableError ToolArgsInvalidError args budget callCap checkOpening createLeash currentCall',
        'egress fileSink findLeashError forwardSink headOfNote isLeashError matchesCommitment memorySeen',
        'memorySink memoryStore openCommitment otelSink proofKey proveEvent rateLimit resumeScope stopScope streamSink teeSink',
        'verifyEventProof verifyLog verifyProof webhookSink',
      ].join(' '),
    );
  });

  it('exports these types from the root', async () => {
    const values = await exportedNames('index');
    const types = declaredNames('index').filter((name) => !values.includes(name));
    expect(types.sort().join(' ')).toBe(
      [
        'AddressVerdict AllowUpTo Amount AnyDenial ArgsHash ArgsIssue ArgsOf ArgsOptions AuditOptions AuditSink BudgetOptions',
        'BudgetReason Call CallCapOptions CallRequest ChildOptions Clock Connection Convert Cost Coverage Decision',
        'DecisionDenial Denial DenialCode Durability Duration Egress EgressAddressOptions EgressCoverage',
        'EgressOptions EgressProxy EgressRule EgressRuleOptions Enforce EntryPoint EventProof EventProofOptions',
        'EventProofReport EventRef FileSinkOptions Forfeited ForwardedFields Guard Hold HoldState InfoLogger Key',
        'Leash LeashEgress LeashErrorCode LeashOptions Lifetime Limit LimitUsage Line LogHead LogKey LogReport LogSource',
        'MaybePromise MemorySeen MemorySeenOptions MemorySink MemorySinkOptions MemoryStoreOptions Money MoneyUnit',
        'OnError OnStoreError OpenCommitmentOptions Opening OtelLogRecord OtelLogger OtelSinkOptions OutgoingRequest Per',
        'Preparation PriorHead ProofClaims ProofFormat ProofKey ProofOptions ProofReason RateLimitOptions Reading',
        'Recovered Reserve Resolver RootSigner SeenProofs SessionEndedCode Settle Settled SignMode Span',
        'StandardResult StandardSchema StopOn StopOptions Store StoreDecision Summary Target TeeSinkOptions Ticket ToolCall',
        'ToolDeclaration ToolOptions TornTail Unbooked Units Usage Verdict VerifyCode VerifyOptions VerifyProofOptions',
        'VerifyReport WebhookFetch WebhookRequest WebhookResponse WebhookSinkOptions Window WritableLike',
      ].join(' '),
    );
  });

  it('exports these names from ai-sdk', async () => {
    expect((await exportedNames('ai-sdk')).join(' ')).toBe('leashModel leashStop leashTool leashTools withLeash');
    expect(declaredNames('ai-sdk').sort().join(' ')).toBe(
      [
        'InputOf InputsOf LanguageModel LeashModelOptions LeashToolsOptions OutputOf Price PricedModel PromptParts TokenUsage',
        'ToolsIn WithLeashOptions leashModel leashStop leashTool leashTools withLeash',
      ].join(' '),
    );
  });

  it('exports these names from anthropic', async () => {
    expect(await exportedNames('anthropic')).toEqual(['leashRunnable']);
    expect(declaredNames('anthropic').sort().join(' ')).toBe('RunnableTool leashRunnable');
  });

  it('exports these names from claude-agent-sdk', async () => {
    expect(await exportedNames('claude-agent-sdk')).toEqual(['leashCanUseTool', 'leashHooks', 'leashTool']);
    expect(declaredNames('claude-agent-sdk').sort().join(' ')).toBe(
      [
        'ClaudeCanUseTool ClaudeHookMatcher ClaudeHookOutput ClaudeHooks ClaudeTerms ClaudeTool ClaudeToolInput',
        'LeashCanUseToolOptions LeashHooksOptions leashCanUseTool leashHooks leashTool',
      ].join(' '),
    );
  });

  it('exports these names from mcp', async () => {
    expect(await exportedNames('mcp')).toEqual(['leashClient', 'leashServer', 'leashTransport']);
    expect(declaredNames('mcp').sort().join(' ')).toBe(
      [
        'LeashClientOptions LeashServerOptions LeashTransportOptions McpArguments McpClient McpTerms McpToolServer',
        'McpTransport leashClient leashServer leashTransport',
      ].join(' '),
    );
  });

  it('exports these names from ajv', async () => {
    expect(await exportedNames('ajv')).toEqual(['jsonSchemaArgs']);
    expect(declaredNames('ajv').sort().join(' ')).toBe('FormatsPlugin JsonSchema JsonSchemaArgsOptions jsonSchemaArgs');
  });

  it('exports these names from isolated', async () => {
    expect(await exportedNames('isolated')).toEqual(['isolated']);
    expect(declaredNames('isolated').sort().join(' ')).toBe('Isolated IsolatedExports IsolatedOptions isolated');
  });

  it('exports these names from langchain', async () => {
    expect((await exportedNames('langchain')).join(' ')).toBe('leashMiddleware leashTool leashTools');
    expect(declaredNames('langchain').sort().join(' ')).toBe(
      [
        'InputOf InputsOf LeashMiddleware LeashMiddlewareOptions LeashToolsOptions OutputOf Price PricedModel TokenUsage',
        'leashMiddleware leashTool leashTools',
      ].join(' '),
    );
  });

  it('exports these names from openai', async () => {
    expect(await exportedNames('openai')).toEqual(['leashRunnable']);
    expect(declaredNames('openai').sort().join(' ')).toBe('InputOf leashRunnable');
  });

  it('exports these names from openai-agents', async () => {
    expect((await exportedNames('openai-agents')).join(' ')).toBe('leashModel leashTools');
    expect(declaredNames('openai-agents').sort().join(' ')).toBe(
      'AgentModel AgentRequest LeashModelOptions LeashToolsOptions Price PricedModel TokenUsage leashModel leashTools',
    );
  });

  it('exports these names from postgres', async () => {
    expect(await exportedNames('postgres')).toEqual(['postgresMigration', 'postgresStore']);
    expect(declaredNames('postgres').sort().join(' ')).toBe(
      'PostgresClient PostgresMigrationOptions PostgresStoreOptions postgresMigration postgresStore',
    );
  });

  it('exports these names from prices', async () => {
    expect(await exportedNames('prices')).toEqual(['fromGenaiPrices', 'normalizeUsage', 'priceTable']);
    expect(declaredNames('prices').sort().join(' ')).toBe(
      [
        'CalcPrice GenaiPrice GenaiPricesOptions LongContextRates ModelRates Price PriceTableOptions PricedModel',
        'TokenRates TokenUsage fromGenaiPrices normalizeUsage priceTable',
      ].join(' '),
    );
  });

  it('exports these names from testing', async () => {
    expect(await exportedNames('testing')).toEqual([
      'expectDenied',
      'fakeClock',
      'leashMatchers',
      'recordingSink',
      'removeEgressHooks',
      'runScriptedAgent',
    ]);
    expect(declaredNames('testing').sort().join(' ')).toBe(
      [
        'AgentCall AgentOptions AgentRun AnyCode ErrorOf ExpectedDenial ExpectedDenials FakeClock FakeClockOptions',
        'LeashMatchers MatcherResult RecordedEvent RecordingSink Refusable ScriptedCall ScriptedTurn expectDenied',
        'fakeClock leashMatchers recordingSink removeEgressHooks runScriptedAgent',
      ].join(' '),
    );
  });

  it('exports these names from redis', async () => {
    expect(await exportedNames('redis')).toEqual(['fromIoredis', 'fromNodeRedis', 'redisStore']);
    expect(declaredNames('redis').sort().join(' ')).toBe(
      'IoredisLike NodeRedisLike RedisClient RedisStore RedisStoreOptions fromIoredis fromNodeRedis redisStore',
    );
  });

  it('exports these names from sqlite', async () => {
    expect(await exportedNames('sqlite')).toEqual(['sqliteLines', 'sqliteSink', 'sqliteStore']);
    expect(declaredNames('sqlite').sort().join(' ')).toBe(
      'SqliteSinkOptions SqliteStore SqliteStoreOptions sqliteLines sqliteSink sqliteStore',
    );
  });

  it('exports these names from undici', async () => {
    expect(await exportedNames('undici')).toEqual(['leashDispatcher', 'leashFetch', 'leashInterceptor']);
    expect(declaredNames('undici').sort().join(' ')).toBe(
      'LeashDispatcherOptions leashDispatcher leashFetch leashInterceptor',
    );
  });

  it('declares every value that it exports', async () => {
    for (const name of [...subpathEntries, 'cli']) {
      expect(declaredNames(name)).toEqual(expect.arrayContaining(await exportedNames(name)));
    }
  });

  it.each([
    { name: 'index', code: [], types: [] },
    { name: 'ai-sdk', code: [], types: [] },
    { name: 'ajv', code: ['ajv', 'ajv/dist/2020.js'], types: ['ajv'] },
    { name: 'anthropic', code: [], types: [] },
    { name: 'claude-agent-sdk', code: [], types: [] },
    { name: 'isolated', code: [], types: [] },
    { name: 'isolated-worker', code: [], types: [] },
    { name: 'mcp', code: [], types: [] },
    { name: 'langchain', code: [], types: [] },
    { name: 'openai', code: [], types: [] },
    { name: 'openai-agents', code: [], types: [] },
    { name: 'postgres', code: [], types: [] },
    { name: 'prices', code: [], types: [] },
    { name: 'sqlite', code: [], types: [] },
    { name: 'testing', code: [], types: [] },
    { name: 'undici', code: ['undici'], types: ['undici'] },
    { name: 'cli', code: [], types: [] },
  ])('reaches from $name nothing outside Node but its peer', async ({ name, code, types }) => {
    const { imports, dynamicImports } = await bundle(name, false);
    const outside = imports.filter((specifier) => !specifier.startsWith('node:'));
    expect([...outside, ...dynamicImports].sort()).toEqual(code);
    expect(specifiersOfTypes(name).filter((specifier) => !specifier.startsWith('node:'))).toEqual(types);
  });

  it('imports each peer in no other file than its adapter, and loads nothing behind the back of a bundler', () => {
    const files = readdirSync(dist);
    const importing = files.filter((file) => /(from|import)\s*\(?["'](ajv|undici)/.test(text(`dist/${file}`)));
    expect(importing.sort()).toEqual(['ajv.d.ts', 'ajv.js', 'undici.d.ts', 'undici.js']);
    // The worker loads the module that it is for, and nothing of this package.
    const loading = files.filter((file) => /\b(createRequire|require|import)\s*\(/.test(text(`dist/${file}`)));
    expect(loading).toEqual(['isolated-worker.js']);
    expect(text('dist/isolated-worker.js').match(/\b(createRequire|require|import)\s*\(.*?\)/g)).toEqual([
      'import(module)',
    ]);
  });

  it('gives a worker nothing of itself but what talks to the program', async () => {
    const { code } = await bundle('isolated-worker', false);
    expect(code).not.toMatch(/createLeash|LeashError|class Session\b/);
    expect(code.length).toBeLessThan(40_000);
  });

  it.each(subpathEntries)('is small: %s, minified and gzipped', async (name) => {
    // Each has a ceiling, and a new one gets its own.
    expect(Object.keys(CEILINGS)).toContain(name);
    expect((await sizeOf(name)).gzipped).toBeLessThanOrEqual(CEILINGS[name] as number);
  });
});

describe('LICENSE', () => {
  it.each(deps.onlyBundle.map((name) => ({ name })))('holds the licence of $name, which is bundled', ({ name }) => {
    expect(text('LICENSE')).toContain(`\n${name}\n`);
    expect(text('LICENSE')).toContain(text(`node_modules/${name}/LICENSE`).trim());
  });
});

describe('the packed package', () => {
  let files: string[];
  let consumer: string;

  beforeAll(() => {
    const printed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      shell: process.platform === 'win32',
    });
    const packed = JSON.parse(printed) as readonly [{ readonly files: readonly { readonly path: string }[] }];
    files = packed[0].files.map(({ path }) => path).sort();
    consumer = mkdtempSync(join(tmpdir(), 'leashkit-consumer-'));
    for (const file of files) {
      cpSync(join(root, file), join(consumer, 'node_modules/leashkit', file));
    }
    writeFileSync(join(consumer, 'package.json'), '{ "type": "module" }');
    cpSync(join(import.meta.dirname, 'consumers/types'), consumer, { recursive: true });
  });

  afterAll(() => rmSync(consumer, { recursive: true, force: true }));

  /** Errors of a strict consumer that checks the declarations of its packages too. */
  function typeErrors(file: string, lib: string, types: string): string[] {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'];
    const target = ['--target', 'es2023', '--module', 'nodenext', '--lib', lib];
    const ambient = ['--types', types, '--typeRoots', join(root, 'node_modules/@types')];
    const args = [tsc, ...strict, ...target, ...ambient, file];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: consumer, encoding: 'utf8' });
    const errors = stdout.split('\n').filter((line) => line.includes('error TS'));
    if (errors.length === 0 && status !== 0) throw new Error(`tsc ended with ${status}: ${stdout}${stderr}`);
    return errors;
  }

  it('is dist, the manifest, the readme and the licence: no tests, no sources, no maps', () => {
    const built = readdirSync(dist).map((file) => `dist/${file}`);
    expect(files).toEqual([...built, 'LICENSE', 'README.md', 'package.json'].sort());
  });

  it('tells nothing of the machine that built it', () => {
    for (const file of files) {
      for (const trace of [root, pathToFileURL(root).href, 'sourceMappingURL']) {
        expect(text(file), file).not.toContain(trace);
      }
    }
  });

  it.each([
    { name: "with Node's types", lib: 'es2023', types: 'node' },
    { name: "with the browser's types", lib: 'es2023,dom,esnext.disposable', types: '' },
  ])('type-checks without any peer $name', ({ lib, types }) => {
    expect(typeErrors('uses-root.ts', lib, types)).toEqual([]);
    expect(typeErrors('uses-subpaths.ts', lib, types)).toEqual([]);
  });

  it('needs of the types of a platform only these where a program has none', () => {
    const errors = typeErrors('uses-root.ts', 'es2023', '');
    const unknown = errors.map(
      (line) => /Cannot find name '(\w+)'|type 'typeof (\w+)'/.exec(line)?.slice(1).join('') ?? line,
    );
    expect([...new Set(unknown)].sort()).toEqual(['AbortSignal', 'AsyncDisposable', 'URL', 'globalThis']);
  });

  it('asks for ajv in ./ajv alone', () => {
    const errors = typeErrors('uses-ajv.ts', 'es2023', 'node');
    expect(errors).toEqual([expect.stringMatching(/leashkit\/dist\/ajv\.d\.ts.+TS2307: Cannot find module 'ajv'/)]);
    symlinkSync(join(root, 'node_modules/ajv'), join(consumer, 'node_modules/ajv'), 'junction');
    expect(typeErrors('uses-ajv.ts', 'es2023', 'node')).toEqual([]);
  });

  it('asks for undici in ./undici alone, and takes 7 and 8', () => {
    const errors = typeErrors('uses-undici.ts', 'es2023', 'node');
    expect(errors.filter((line) => line.includes('TS2307'))).toEqual([
      expect.stringMatching(/leashkit\/dist\/undici\.d\.ts.+TS2307: Cannot find module 'undici'/),
      expect.stringMatching(/uses-undici\.ts.+TS2307: Cannot find module 'undici'/),
    ]);
    for (const copy of ['undici', 'undici-7']) {
      rmSync(join(consumer, 'node_modules/undici'), { recursive: true, force: true });
      symlinkSync(join(root, 'node_modules', copy), join(consumer, 'node_modules/undici'), 'junction');
      expect(typeErrors('uses-undici.ts', 'es2023', 'node')).toEqual([]);
    }
  });
});
