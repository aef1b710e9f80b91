import pg from 'pg';
import type { Clock } from '../../../src/internal/clock.ts';
import { type PostgresClient, postgresMigration, postgresStore } from '../../../src/stores/postgres.ts';
import { postgresUrl } from '../databases.ts';
import { type Backend, newSpace } from './backend.ts';
import { NO_POSTGRES, onPostgres } from './postgres-server.ts';

export const postgres: Backend = {
  name: 'PostgreSQL',
  engine: 'PostgreSQL',
  missing: NO_POSTGRES,
  create: async () => {
    const space = newSpace('PostgreSQL');
    await onPostgres((client) => client.query(postgresMigration({ schema: space.name })));
    return space;
  },
  open: async ({ name }, { clock, through } = {}) => {
    const url = new URL(postgresUrl as string);
    if (through !== undefined) url.port = String(through.port);
    const pool = new pg.Pool({ connectionString: url.href, max: 2 });
    // Connections that end while nobody uses them.
    pool.on('error', () => undefined);
    const client = clock === undefined ? pool : await moved(pool, name, clock);
    const store = postgresStore({ client, schema: name, ...(through && { timeoutMs: through.timeoutMs }) });
    return { store, close: () => pool.end() };
  },
  destroy: async ({ name }) => void (await onPostgres((client) => client.query(`DROP SCHEMA ${name} CASCADE`))),
  empty: async ({ name }) => {
    const tables = await tablesOf(name);
    await onPostgres((client) => client.query(tables.map((table) => `DELETE FROM ${name}.${table}`).join(';')));
  },
  port: () => Number(new URL(postgresUrl as string).port),
  remains: async ({ name }) => {
    const sum = (await tablesOf(name)).map((table) => `(SELECT count(*) FROM ${name}.${table})`).join(' + ');
    const counted = await onPostgres((client) => client.query(`SELECT ${sum} AS rows`));
    return Number(counted.rows[0].rows);
  },
};

/** Those of the store. */
async function tablesOf(schema: string): Promise<readonly string[]> {
  const { rows } = await onPostgres((client) =>
    client.query('SELECT tablename FROM pg_tables WHERE schemaname = $1', [schema]),
  );
  return rows.map(({ tablename }) => tablename as string).filter((table) => table !== 'moved');
}

/** The same client, before whose every question the schema is told the time. */
async function moved(pool: pg.Pool, schema: string, clock: Clock): Promise<PostgresClient> {
  await pool.query(`
    CREATE TABLE IF NOT EXISTS ${schema}.moved AS SELECT 0::bigint AS ms;
    CREATE OR REPLACE FUNCTION ${schema}.now_ms() RETURNS bigint LANGUAGE sql VOLATILE
      AS 'SELECT ms FROM ${schema}.moved'`);
  let told: number | undefined;
  return {
    query: async (text, values) => {
      const now = clock.wall();
      if (now !== told) {
        told = now;
        await pool.query(`UPDATE ${schema}.moved SET ms = $1`, [now]);
      }
      return pool.query(text, values);
    },
  };
}
