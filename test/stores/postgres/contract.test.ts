import postgres from 'postgres';
import { afterAll, beforeAll, describe } from 'vitest';
import { type PostgresClient, postgresStore } from '../../../src/stores/postgres.ts';
import { postgresUrl } from '../../helpers/databases.ts';
import { PostgresSchema } from '../../helpers/postgres.ts';
import { storeContract } from '../../helpers/store-contract.ts';

describe.skipIf(postgresUrl === undefined)('postgresStore', () => {
  let schema: PostgresSchema;
  let sql: postgres.Sql;
  beforeAll(async () => {
    schema = await PostgresSchema.create();
    sql = postgres(postgresUrl as string, { max: 4 });
  });
  afterAll(async () => {
    await schema.drop();
    await sql.end();
  });

  const clients: readonly { name: string; client: () => PostgresClient }[] = [
    { name: 'pg', client: () => schema.pool },
    {
      name: 'postgres.js',
      client: () => ({ query: async (text, values) => ({ rows: await sql.unsafe(text, values) }) }),
    },
  ];
  for (const { name, client } of clients) {
    storeContract(
      `postgresStore through ${name}`,
      async (clock) => {
        await schema.empty();
        return postgresStore({ client: await schema.movedBy(clock, client()), schema: schema.name });
      },
      {
        clock: true,
        lose: async (store) => {
          await schema.empty();
          return store;
        },
        runs: 6,
      },
    );
  }
});
