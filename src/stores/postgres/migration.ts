import { checkOptions, shown } from '../../internal/options.ts';
import { COUNTERS } from './sql-counters.ts';
import { DECIDED } from './sql-decided.ts';
import { HOLDS } from './sql-holds.ts';
import { SCOPES } from './sql-scopes.ts';
import { TABLES } from './sql-tables.ts';

/** The version of tables and functions that this code knows. */
export const SCHEMA_VERSION = 1;
export const DEFAULT_SCHEMA = 'leash';

export interface PostgresMigrationOptions {
  /** Where the tables and functions are made. Default: `'leash'`. */
  readonly schema?: string;
}

/**
 * The SQL that makes the tables and functions of `postgresStore`, or brings them to this version: one statement, in one
 * transaction, for PostgreSQL 13 or later with the encoding UTF8. Applied again it changes nothing. `leash migration postgres`
 * prints it.
 *
 * Whoever applies it may create schemas, or owns the schema. The role that a store runs as needs no more than this:
 *
 *     GRANT USAGE ON SCHEMA leash TO app;
 *     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA leash TO app;
 *     GRANT EXECUTE ON ALL ROUTINES IN SCHEMA leash TO app;
 *
 * The functions run with the rights of whoever calls them.
 *
 * @throws {TypeError | RangeError} an unknown option, or no name of a schema.
 */
export function postgresMigration(options: PostgresMigrationOptions = {}): string {
  checkOptions('postgresMigration', options, ['schema']);
  const { schema = DEFAULT_SCHEMA } = options;
  checkSchema('postgresMigration.schema', schema);
  return `-- leashkit: tables and functions of postgresStore, version ${SCHEMA_VERSION}, in the schema ${schema}.
DO $migration$
DECLARE
  path constant text := current_setting('search_path');
  version int;
BEGIN
  IF current_setting('server_version_num')::int < 130000 OR getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'leashkit needs PostgreSQL 13 or later and a database with the encoding UTF8';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('leashkit migration'));
  IF to_regnamespace('"${schema}"') IS NULL THEN
    CREATE SCHEMA "${schema}";
  END IF;
  PERFORM set_config('search_path', '"${schema}", pg_catalog', true);
  IF to_regclass('migrations') IS NULL THEN
    CREATE TABLE migrations (version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
  END IF;
  SELECT coalesce(max(m.version), 0) INTO version FROM migrations m;
  IF version < 1 THEN
    ${VERSION_1(schema).trim()}
    INSERT INTO migrations (version) VALUES (1);
  END IF;
  PERFORM set_config('search_path', path, true);
END $migration$;
`;
}

/** @throws {TypeError | RangeError} */
export function checkSchema(option: string, schema: unknown): string {
  if (typeof schema !== 'string')
    throw new TypeError(`\`${option}\` must be the name of a schema, got ${shown(schema)}`);
  // Such a name needs no quotes but for its case, and nothing in it can end the quotes.
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(schema) || /^(pg_|information_schema$)/i.test(schema)) {
    throw new RangeError(
      `\`${option}\` must be 1 to 63 letters, digits and underscores, not begin with a digit or pg_, got ${shown(schema)}`,
    );
  }
  return schema;
}

const VERSION_1 = (schema: string): string => `
  -- The one place that tells the time, in milliseconds since 1970.
  CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $function$
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
  $function$;
${TABLES}${COUNTERS}${HOLDS}${SCOPES}${DECIDED}
  -- Names of tables mean those of this schema, whoever asks; and a plan that was made while a table was empty is one by an
  -- index all the same.
  CREATE FUNCTION answered(question text, request jsonb) RETURNS jsonb LANGUAGE plpgsql
    SET search_path = pg_catalog, "${schema}", pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
  AS $function$
  BEGIN
    RETURN CASE question
      WHEN 'decide' THEN decided(request)
      WHEN 'open' THEN opened(request)
      WHEN 'read' THEN readings(request)
      WHEN 'sweep' THEN swept(request)
      WHEN 'shut' THEN shut(request)
      WHEN 'stop' THEN stopped(request)
      WHEN 'resume' THEN resumed(request)
    END;
  END $function$;

  CREATE PROCEDURE ask(question text, request text, patience_ms text, INOUT answer text) LANGUAGE plpgsql AS $function$
  DECLARE
    asked constant jsonb := request;
  BEGIN
    -- Ends the transaction that the call began, and fails inside a longer one, whose end could undo what is answered.
    COMMIT;
    -- What is read under a lock must be as it is by then.
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM pg_catalog.set_config('lock_timeout', patience_ms, true);
    answer := "${schema}".answered(question, asked);
    IF asked OPERATOR(pg_catalog.?) 'sweep' THEN
      -- Of other scopes, and so in another transaction.
      COMMIT;
      SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
      PERFORM pg_catalog.set_config('lock_timeout', patience_ms, true);
      PERFORM "${schema}".answered('sweep', asked OPERATOR(pg_catalog.->) 'sweep');
    END IF;
  END $function$;
`;
