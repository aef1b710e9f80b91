import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { postgresStore } from '../../src/stores/postgres.ts';
import { redisStore } from '../../src/stores/redis.ts';
import { sqliteStore } from '../../src/stores/sqlite.ts';
import type { Line, Reserve, Store } from '../../src/stores/store.ts';

const directory = mkdtempSync(join(tmpdir(), 'leashkit-store-input-'));
afterAll(() => rmSync(directory, { recursive: true }));

const asked = (): never => {
  throw new Error('the server was asked');
};

const stores: readonly { name: string; make: () => Store }[] = [
  { name: 'postgresStore', make: () => postgresStore({ client: { query: asked } }) },
  { name: 'redisStore', make: () => redisStore({ client: { evalsha: asked, eval: asked } }) },
  {
    name: 'sqliteStore',
    make: () => {
      const store = sqliteStore(join(directory, 'store.db'));
      onTestFinished(() => store.close());
      return store;
    },
  },
];

const line: Line = {
  scope: 's',
  generation: 'g',
  meter: 'm',
  span: { kind: 'total' },
  cap: 10,
  amount: 1,
  book: 'settle',
};

const wrong: readonly { name: string; change: object; error: typeof Error; says: string }[] = [
  { name: 'no span', change: { span: undefined }, error: TypeError, says: 'span.kind' },
  { name: 'a span without a kind', change: { span: {} }, error: TypeError, says: 'span.kind' },
  { name: 'an unknown span', change: { span: { kind: 'yearly' } }, error: TypeError, says: 'span.kind' },
  { name: 'an unknown way to book', change: { book: 'later' }, error: TypeError, says: 'book' },
  { name: 'no way to book', change: { book: undefined }, error: TypeError, says: 'book' },
  ...[0, -1, 0.5, Number.NaN, 2 ** 53].flatMap((ms) => [
    {
      name: `a window of ${ms} ms`,
      change: { span: { kind: 'rolling', ms, stepMs: 1 } },
      error: RangeError,
      says: 'span.ms',
    },
    {
      name: `steps of ${ms} ms`,
      change: { span: { kind: 'rolling', ms: 1, stepMs: ms } },
      error: RangeError,
      says: 'span.stepMs',
    },
  ]),
  ...['scope', 'generation', 'meter'].flatMap((field) => [
    { name: `a ${field} that is no text`, change: { [field]: 5 }, error: TypeError, says: field },
    { name: `a ${field} that is no Unicode`, change: { [field]: '\ud800' }, error: RangeError, says: field },
  ]),
];

describe.each(stores)('$name', ({ make }) => {
  it.each(wrong)('refuses a line with $name, and asks nobody', async ({ change, error, says }) => {
    const item = { id: 'r', lines: [line, { ...line, ...change }], leaseMs: 1 } as Reserve;
    const refused = await Promise.resolve()
      .then(() => make().reserve([item]))
      .catch((thrown: unknown) => thrown);
    expect(refused).toBeInstanceOf(error);
    expect((refused as Error).message).toContain(says);
  });
});
