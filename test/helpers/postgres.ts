import pg from 'pg';
import type { Clock } from '../../src/internal/clock.ts';
import { type PostgresClient, postgresMigration } from '../../src/stores/postgres.ts';
import { postgresUrl } from './databases.ts';

const TABLES = ['scopes', 'meters', 'steps', 'holds'] as const;

/** A schema of a test's own on the server of the run, and a way to look into it. */
export class PostgresSchema {
  readonly name: string = `leash_${crypto.randomUUID().replaceAll('-', '')}`;
  readonly pool: pg.Pool;
  #moved: Promise<unknown> | undefined;

  private constructor(url: string) {
    this.pool = new pg.Pool({ connectionString: url, max: 4 });
    // Connections that a test ends.
    this.pool.on('error', () => {});
  }

  static async create(url: string = postgresUrl as string): Promise<PostgresSchema> {
    const schema = new PostgresSchema(url);
    await schema.pool.query(postgresMigration({ schema: schema.name }));
    return schema;
  }

  /** Everything is forgotten. */
  async empty(): Promise<void> {
    // A truncated table is a new file, which takes longer than the few rows of a test.
    await this.pool.query(TABLES.map((table) => `DELETE FROM ${this.name}.${table}`).join(';'));
  }

  /** How many rows each table has. */
  async rows(): Promise<Record<(typeof TABLES)[number], number>> {
    const counts = TABLES.map((table) => `(SELECT count(*)::int FROM ${this.name}.${table}) AS ${table}`);
    return (await this.pool.query(`SELECT ${counts.join()}`)).rows[0];
  }

  /** From now on the store's time is that of the clock, whenever the client is asked something. */
  async movedBy(clock: Clock, client: PostgresClient = this.pool): Promise<PostgresClient> {
    this.#moved ??= this.pool.query(`
      CREATE TABLE ${this.name}.moved AS SELECT 0::bigint AS ms;
      CREATE OR REPLACE FUNCTION ${this.name}.now_ms() RETURNS bigint LANGUAGE sql VOLATILE
        AS 'SELECT ms FROM ${this.name}.moved'`);
    await this.#moved;
    const time = oneClock(clock);
    let told: number | undefined;
    return {
      query: async (text, values) => {
        const now = time();
        if (now !== told) {
          told = now;
          await this.pool.query(`UPDATE ${this.name}.moved SET ms = $1`, [now]);
        }
        return client.query(text, values);
      },
    };
  }

  async drop(): Promise<void> {
    await this.pool.query(`DROP SCHEMA IF EXISTS ${this.name} CASCADE`);
    await this.pool.end();
  }
}

/** For a store with one clock, where a test moves one of two, or both: what has moved further since the last time counts. */
function oneClock(clock: Clock): () => number {
  let [now, wall] = [clock.now(), clock.wall()];
  let one = wall;
  return () => {
    const [byNow, byWall] = [clock.now() - now, clock.wall() - wall];
    one += Math.abs(byNow) > Math.abs(byWall) ? byNow : byWall;
    now += byNow;
    wall += byWall;
    return one;
  };
}
