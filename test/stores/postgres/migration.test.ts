import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postgresMigration, postgresStore } from '../../../src/stores/postgres.ts';
import type { Line } from '../../../src/stores/store.ts';
import { postgresUrl } from '../../helpers/databases.ts';
import { PostgresSchema } from '../../helpers/postgres.ts';

describe('postgresMigration', () => {
  it('is for the schema leash unless it is told another one', () => {
    expect(postgresMigration()).toBe(postgresMigration({ schema: 'leash' }));
    expect(postgresMigration({ schema: 'Wallets_2' })).toContain('CREATE SCHEMA "Wallets_2";');
  });

  it.each([
    { schema: '', error: RangeError },
    { schema: 'a b', error: RangeError },
    { schema: 'a"; DROP SCHEMA public; --', error: RangeError },
    { schema: 'a$migration$', error: RangeError },
    { schema: '1a', error: RangeError },
    { schema: 'pg_leash', error: RangeError },
    { schema: 'PG_leash', error: RangeError },
    { schema: 'information_schema', error: RangeError },
    { schema: 'x'.repeat(64), error: RangeError },
    { schema: 'é', error: RangeError },
    { schema: null, error: TypeError },
    { schema: 5, error: TypeError },
  ])('refuses $schema as a schema, as the store does', ({ schema, error }) => {
    const client = { query: async () => ({ rows: [] }) };
    for (const where of ['postgresMigration', 'postgresStore'] as const) {
      const make = (): unknown =>
        where === 'postgresStore'
          ? postgresStore({ client, schema: schema as never })
          : postgresMigration({ schema: schema as never });
      expect(make).toThrow(error);
      expect(make).toThrow(`\`${where}.schema\` must be`);
    }
  });

  it('refuses unknown options', () => {
    expect(() => postgresMigration({ shema: 'leash' } as never)).toThrow('unknown option `shema`');
  });
});

describe.skipIf(postgresUrl === undefined)('the migration', () => {
  let schema: PostgresSchema;
  beforeAll(async () => {
    schema = await PostgresSchema.create();
  });
  afterAll(() => schema.drop());

  /** Everything that the catalogue has of the schema. */
  async function catalogue(): Promise<unknown> {
    const { rows } = await schema.pool.query(
      `SELECT classid::regclass::text, objid::text, refobjid::text FROM pg_depend
       WHERE refclassid = 'pg_namespace'::regclass AND refobjid = $1::regnamespace ORDER BY 1, 2`,
      [schema.name],
    );
    return rows;
  }

  it('is applied once by several at once', async () => {
    const other = `${schema.name.slice(0, 50)}_many`;
    await Promise.all([1, 2, 3, 4].map(() => schema.pool.query(postgresMigration({ schema: other }))));
    const { rows } = await schema.pool.query(`SELECT version FROM ${other}.migrations`);
    expect(rows).toEqual([{ version: 1 }]);
    await schema.pool.query(`DROP SCHEMA ${other} CASCADE`);
  });

  it('changes nothing the second time', async () => {
    const [before, rows] = [await catalogue(), await schema.rows()];
    expect((before as unknown[]).length).toBeGreaterThan(20);
    await schema.pool.query(postgresMigration({ schema: schema.name }));
    expect(await catalogue()).toEqual(before);
    expect(await schema.rows()).toEqual(rows);
  });

  it('is all or nothing, and leaves the session of a tool as it was', async () => {
    const other = `${schema.name.slice(0, 50)}_x`;
    const client = await schema.pool.connect();
    await client.query('BEGIN');
    await client.query(postgresMigration({ schema: other }));
    expect((await client.query('SHOW search_path')).rows).toEqual([{ search_path: '"$user", public' }]);
    await client.query('ROLLBACK');
    client.release();
    expect((await schema.pool.query('SELECT to_regnamespace($1) AS found', [other])).rows).toEqual([{ found: null }]);
    await schema.pool.query(`CREATE SCHEMA ${other}; CREATE TABLE ${other}.holds ()`);
    await expect(schema.pool.query(postgresMigration({ schema: other }))).rejects.toThrow('already exists');
    const { rows } = await schema.pool.query(
      `SELECT relname FROM pg_class WHERE relnamespace = '${other}'::regnamespace`,
    );
    expect(rows).toEqual([{ relname: 'holds' }]);
    await schema.pool.query(`DROP SCHEMA ${other} CASCADE`);
  });

  it('makes functions that run with the rights of who calls them, and mean their own tables', async () => {
    const { rows } = await schema.pool.query(
      `SELECT bool_or(prosecdef) AS definer, max(proconfig::text) FILTER (WHERE proname = 'answered') AS settings
       FROM pg_proc WHERE pronamespace = '${schema.name}'::regnamespace`,
    );
    expect(rows[0].definer).toBe(false);
    expect(rows[0].settings).toContain(`search_path=pg_catalog, ${schema.name}, pg_temp`);
    const pool = new pg.Pool({ connectionString: postgresUrl, max: 1 });
    await pool.query(`SET search_path = pg_temp; CREATE TEMP TABLE scopes (LIKE ${schema.name}.scopes)`);
    await pool.query('CREATE TEMP TABLE holds (id text); CREATE TEMP TABLE meters (id text)');
    const store = postgresStore({ client: pool, schema: schema.name });
    const generation = (await store.open(['hostile']))['hostile'] as string;
    const line: Line = {
      scope: 'hostile',
      generation,
      meter: 'usd',
      span: { kind: 'total' },
      cap: 10,
      amount: 3,
      book: 'settle',
    };
    expect(await store.reserve([{ id: 'r', lines: [line], leaseMs: 1 }])).toMatchObject([{ ok: true, left: [7] }]);
    expect(await store.read(['hostile'])).toEqual({ hostile: { usd: { used: 0, held: 3 } } });
    await pool.end();
  });

  it('is missed at open where it was not applied, with the command that helps', async () => {
    for (const [name, option] of [
      ['leash', ''],
      ['nowhere', ' --schema nowhere'],
    ] as const) {
      const query = async (): Promise<never> => {
        throw Object.assign(new Error(), { code: '42P01' });
      };
      const opened = Promise.resolve(postgresStore({ client: { query }, schema: name }).open(['a']));
      await expect(opened).rejects.toThrow(
        `PostgreSQL failed (42P01): what the store needs is not in the schema ${name}: apply what \`leash migration postgres${option}\` prints`,
      );
    }
  });

  it('is refused at open where it is of a later version, or was never finished, until that is over', async () => {
    const store = postgresStore({ client: schema.pool, schema: schema.name });
    await schema.pool.query(`UPDATE ${schema.name}.migrations SET version = 2`);
    await expect(store.open(['a'])).rejects.toThrow(
      `the schema ${schema.name} is of a later leashkit (version 2, this one knows 1): update leashkit`,
    );
    expect((await schema.pool.query(`SELECT FROM ${schema.name}.scopes WHERE name = 'a'`)).rowCount).toBe(0);
    await schema.pool.query(`DELETE FROM ${schema.name}.migrations`);
    await expect(store.open(['a'])).rejects.toThrow('leash migration postgres');
    await schema.pool.query(`INSERT INTO ${schema.name}.migrations VALUES (1)`);
    expect(Object.keys(await store.open(['a']))).toEqual(['a']);
  });
});
