import { checkSchema, DEFAULT_SCHEMA, postgresMigration, SCHEMA_VERSION } from '../stores/postgres/migration.ts';
import { type Command, type Input, UsageError } from './command.ts';
import { jsonLine } from './escape.ts';
import { writeResult } from './file.ts';
import { EXIT, type Terminal } from './terminal.ts';

export const migration: Command = {
  name: 'migration',
  summary: 'print the SQL that makes the tables of a store',
  usage: 'postgres [--schema NAME] [--out FILE] [--json]',
  description:
    'Prints the SQL that makes the tables and functions of postgresStore, or brings them to this version of leashkit: one\n' +
    'statement, for PostgreSQL 13 or later. Applied again it changes nothing.',
  options: {
    schema: { type: 'string', argument: 'NAME', help: `where they are made; default: ${DEFAULT_SCHEMA}` },
    out: { type: 'string', argument: 'FILE', help: 'where the SQL goes; it must not exist' },
    json: { type: 'boolean', help: 'one JSON document, with the SQL in it' },
  },
  example: 'migration postgres | psql --set ON_ERROR_STOP=1 "$DATABASE_URL"',

  async run(input: Input, terminal: Terminal): Promise<number> {
    const [database, ...more] = input.files;
    if (database !== 'postgres' || more.length > 0) {
      const got = database === undefined ? 'nothing' : input.files.join(' ');
      throw new UsageError(`the store is expected, which is postgres, got ${got}`);
    }
    const schema = schemaOf(input);
    const sql = postgresMigration({ schema });
    const text = input.flag('json') ? jsonLine({ store: database, schema, version: SCHEMA_VERSION, sql }) : sql;
    await writeResult(terminal, input.value('out'), text);
    return EXIT.ok;
  },
};

function schemaOf(input: Input): string {
  try {
    return checkSchema('--schema', input.value('schema') ?? DEFAULT_SCHEMA);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
}
