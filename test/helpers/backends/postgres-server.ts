import type { Pool } from 'pg';
import { postgresUrl } from '../databases.ts';

export const NO_POSTGRES: string | undefined =
  postgresUrl === undefined ? 'there is no PostgreSQL: see test/with-databases.ts' : undefined;

/** One connection: what is asked at the same time waits for it. */
async function pgPool(): Promise<Pool> {
  const { default: pg } = await import('pg');
  return new pg.Pool({ connectionString: postgresUrl, max: 1 });
}

export async function onPostgres<T>(action: (client: Pool) => Promise<T>): Promise<T> {
  const client = await pgPool();
  try {
    return await action(client);
  } finally {
    await client.end();
  }
}
