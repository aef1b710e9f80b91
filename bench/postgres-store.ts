import { postgresMigration, postgresStore } from 'leashkit/postgres';
import { Pool } from 'pg';
import type { Group, Subject } from './measure.ts';
import { awaitedCycle, inFlight } from './three-limits.ts';

/** @param url a PostgreSQL of the bench's own, as it is installed. */
export async function postgresGroups(
  url: string,
): Promise<{ readonly groups: readonly Group[]; close(): Promise<void> }> {
  const pool = new Pool({ connectionString: url, max: 8 });
  // Its connections end with the server; the bench is over then.
  pool.on('error', () => {});
  await pool.query(postgresMigration());
  await pool.query('CREATE TABLE bare (name text PRIMARY KEY, used bigint NOT NULL)');
  await pool.query("INSERT INTO bare VALUES ('bench', 0)");
  const update = 'UPDATE bare SET used = used + $1 WHERE name = $2';
  const group = (parallel: number): Group => ({
    id: `postgres-${parallel}`,
    title: `Reserve and settle of three limits in PostgreSQL, ${parallel} in flight on one scope`,
    note: 'The row of the scope is the limit: the calls of a tick share a transaction.',
    subjects: async () => {
      const subject = (name: string, cycle: () => Promise<unknown>): Subject => {
        return { name, run: (rounds) => inFlight(rounds, parallel, cycle) };
      };
      return [
        subject('two bare updates of one row, each a commit', async () => {
          await pool.query(update, [180_000, 'bench']);
          await pool.query(update, [-30_000, 'bench']);
        }),
        subject(
          'leashkit PostgreSQL store',
          await awaitedCycle(postgresStore({ client: pool, timeoutMs: 60_000 }), `p${parallel}-`),
        ),
      ];
    },
  });
  return { groups: [group(1), group(50), group(500)], close: () => pool.end() };
}
