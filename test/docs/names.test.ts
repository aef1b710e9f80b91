import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  args,
  budget,
  callCap,
  createLeash,
  egress,
  fileSink,
  memorySeen,
  memorySink,
  memoryStore,
  otelSink,
  rateLimit,
  teeSink,
  verifyEventProof,
  verifyLog,
  verifyProof,
  webhookSink,
} from 'leashkit';
import { leashModel, leashTools, withLeash } from 'leashkit/ai-sdk';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashHooks } from 'leashkit/claude-agent-sdk';
import { isolated } from 'leashkit/isolated';
import { leashMiddleware } from 'leashkit/langchain';
import { leashClient } from 'leashkit/mcp';
import { leashTools as leashAgentTools } from 'leashkit/openai-agents';
import { postgresMigration, postgresStore } from 'leashkit/postgres';
import { fromGenaiPrices, priceTable } from 'leashkit/prices';
import { redisStore } from 'leashkit/redis';
import { sqliteSink, sqliteStore } from 'leashkit/sqlite';
import { fakeClock, runScriptedAgent } from 'leashkit/testing';
import { leashDispatcher } from 'leashkit/undici';
import { afterAll, describe, expect, it } from 'vitest';
import { declarationsOf } from '../helpers/declarations.ts';
import { renderNames } from '../helpers/names.ts';
import { optionsIn } from '../helpers/options.ts';
import { tableIn, textOfPage, wordsIn } from '../helpers/pages.ts';

const root = join(import.meta.dirname, '../..');
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
};
const entries = Object.entries(exports).flatMap(([subpath, target]) =>
  typeof target === 'string' ? [] : [{ subpath: subpath.slice(2), file: join(root, target.default) }],
);

describe('the page of names', () => {
  const [, list = ''] =
    /<!-- npm run names -->\n\n([\s\S]*)\n<!-- end of the names -->/.exec(textOfPage('src/README.md')) ?? [];

  it('is what `npm run names` writes', () => {
    expect(list).toBe(renderNames());
  });

  it('has a line of every value that can be imported, and of no other', async () => {
    const parts = list.split(/^## /m).slice(1);
    const named = parts.map((part) => {
      const [values = ''] = part.split('| type | |');
      return [part.split('\n')[0] ?? '', [...values.matchAll(/^\| `(\w+)` /gm)].map(([, name]) => name)];
    });
    const imported = await Promise.all(
      entries.map(async ({ subpath, file }) => [
        subpath === '' ? 'leashkit' : `leashkit/${subpath}`,
        Object.keys((await import(pathToFileURL(file).href)) as object).sort((a, b) => a.localeCompare(b, 'en')),
      ]),
    );
    expect(Object.fromEntries(named)).toEqual(Object.fromEntries(imported));
  });
});

describe('options', () => {
  const documented = new Map(
    entries.flatMap(({ subpath }) => {
      const declarations = declarationsOf(subpath === '' ? 'index' : subpath);
      return [...declarations.exported.keys()]
        .filter((name) => name.endsWith('Options'))
        .map((name) => [`${subpath} ${name}`.trim(), optionsIn(declarations, name)] as const);
    }),
  );

  it('of a leash and of its tools are all in the README too, which alone is in the npm package', () => {
    const [ofLeash = [], ofTool = []] = tableIn('README.md', '| | takes,');
    for (const [row, type] of [
      [ofLeash, 'LeashOptions'],
      [ofTool, 'ToolOptions'],
    ] as const) {
      const names = documented.get(type)?.map(({ name }) => name) ?? [];
      expect(names.length).toBeGreaterThan(5);
      expect(names.filter((name) => !wordsIn(row[1] ?? '').includes(name))).toEqual([]);
    }
  });

  it.each([...documented])('of %s that may be left out say what is so then', (_name, options) => {
    expect(options.filter(({ isOptional, says }) => isOptional && !says.includes('Default: '))).toEqual([]);
  });

  const unknown = { unknown: 1 } as never;
  const model = { modelId: 'm', specificationVersion: 'v3', doGenerate: () => {}, doStream: () => {} } as never;
  const client = { callTool: async () => {} };
  const leash = createLeash({ guards: [callCap(1), egress({ allow: [] })] });
  afterAll(() => leash.close());
  it.each<readonly [string, () => unknown]>([
    ['LeashOptions', () => createLeash(unknown)],
    ['AuditOptions', () => createLeash({ guards: [], audit: unknown })],
    ['ToolOptions', () => leash.wrap('tool', () => 1, unknown)],
    ['ArgsOptions', () => args({}, unknown)],
    ['BudgetOptions', () => budget(unknown)],
    ['CallCapOptions', () => callCap(unknown)],
    ['RateLimitOptions', () => rateLimit(unknown)],
    ['EgressOptions', () => egress(unknown)],
    ['EgressAddressOptions', () => egress({ allow: [], addresses: unknown })],
    ['EgressRuleOptions', () => egress({ allow: [unknown] })],
    ['FileSinkOptions', () => fileSink('path', unknown)],
    ['MemorySinkOptions', () => memorySink(unknown)],
    ['MemorySeenOptions', () => memorySeen(unknown)],
    ['MemoryStoreOptions', () => memoryStore(unknown)],
    ['OtelSinkOptions', () => otelSink(unknown)],
    ['TeeSinkOptions', () => teeSink([memorySink()], unknown)],
    ['VerifyOptions', () => verifyLog('path', unknown)],
    ['EventProofOptions', () => verifyEventProof('', unknown)],
    ['VerifyProofOptions', () => verifyProof('', unknown)],
    ['WebhookSinkOptions', () => webhookSink('https://example.com', unknown)],
    ['ai-sdk LeashToolsOptions', () => leashTools(leash, {}, unknown)],
    ['ai-sdk LeashModelOptions', () => leashModel(leash, model, 'free', unknown)],
    ['ai-sdk WithLeashOptions', () => withLeash(leash, {}, unknown)],
    ['ajv JsonSchemaArgsOptions', () => jsonSchemaArgs({}, unknown)],
    ['claude-agent-sdk LeashHooksOptions', () => leashHooks(leash, unknown)],
    ['isolated IsolatedOptions', () => isolated('/module.js', unknown)],
    ['langchain LeashMiddlewareOptions', () => leashMiddleware(leash, unknown)],
    ['mcp LeashClientOptions', () => leashClient(leash, client, unknown)],
    ['openai-agents LeashToolsOptions', () => leashAgentTools(leash, [], unknown)],
    ['postgres PostgresMigrationOptions', () => postgresMigration(unknown)],
    ['postgres PostgresStoreOptions', () => postgresStore(unknown)],
    ['prices GenaiPricesOptions', () => fromGenaiPrices(() => null, unknown)],
    ['prices PriceTableOptions', () => priceTable({}, unknown)],
    ['redis RedisStoreOptions', () => redisStore(unknown)],
    ['sqlite SqliteSinkOptions', () => sqliteSink('path', unknown)],
    ['sqlite SqliteStoreOptions', () => sqliteStore('path', unknown)],
    ['testing FakeClockOptions', () => fakeClock(unknown)],
    ['testing AgentOptions', () => runScriptedAgent(unknown)],
    ['undici LeashDispatcherOptions', () => leashDispatcher(leash, unknown)],
  ])('of %s are those that are taken', async (name, make) => {
    const refusal: unknown = await (async () => make())().catch((error: unknown) => error);
    const [, known = ''] = /known options are (.+)$/.exec((refusal as Error).message ?? '') ?? [];
    const names = documented.get(name)?.flatMap((option) => option.name.split('` `')) ?? [];
    expect(known.split(', ').sort()).toEqual(names.sort());
  });
});
