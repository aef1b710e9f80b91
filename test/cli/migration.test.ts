import { afterAll, describe, expect, it } from 'vitest';
import { postgresMigration } from '../../src/stores/postgres.ts';
import { Bench } from './fixture.ts';

const bench = new Bench();
afterAll(() => bench.remove());

describe('leash migration', () => {
  it('prints the SQL for PostgreSQL, as the library gives it', async () => {
    const sql = postgresMigration();
    expect(await bench.run(['migration', 'postgres'])).toEqual({ code: 0, out: sql, err: '' });
    const other = await bench.run(['migration', 'postgres', '--schema', 'Wallets']);
    expect(other).toEqual({ code: 0, out: postgresMigration({ schema: 'Wallets' }), err: '' });
    expect(other.out).toContain('"Wallets"');
    expect(other.out).not.toMatch(/\bleash\b/);
  });

  it('writes it to a file that must not exist', async () => {
    expect(await bench.run(['migration', 'postgres', '--out', 'a.sql'])).toEqual({ code: 0, out: '', err: '' });
    expect(bench.read('a.sql')).toBe(postgresMigration());
  });

  it('tells programs the same', async () => {
    const { out } = await bench.run(['migration', 'postgres', '--json']);
    expect(JSON.parse(out)).toEqual({ store: 'postgres', schema: 'leash', version: 1, sql: postgresMigration() });
  });
});
