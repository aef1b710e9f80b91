import { DEFAULT_SCHEMA } from './migration.ts';

/** What a code of PostgreSQL, of Node or of a client means for whoever runs the store. */
const MEANINGS: Readonly<Record<string, string>> = {
  '25006': 'writing is not allowed: the server is a replica, or default_transaction_read_only is on',
  '28000': 'the login was refused',
  '28P01': 'the login was refused',
  '2D000': 'the client is inside a transaction: give the store a pool, or a connection of its own',
  '40001': 'others were in the way each time',
  '40P01': 'others were in the way each time',
  '42501': 'the role lacks a right: see the GRANTs that postgresMigration names',
  '53100': 'the disk is full',
  '53200': 'it is out of memory',
  '53300': 'it has too many connections',
  '55P03': 'a lock was not free in time',
  '57014': 'the statement was cancelled, for instance by statement_timeout',
  '57P01': 'the connection was ended',
  '57P02': 'it crashed',
  '57P03': 'it is starting or stopping',
  ECONNREFUSED: 'nothing listens where the client connects to',
};

/** No schema, table, function, column or type. */
const MISSING: ReadonlySet<string> = new Set(['3F000', '42P01', '42883', '42703', '42704']);

/** SQLSTATE, or the word of the system or the client; never a message, which may hold anything. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^[A-Z0-9][A-Z0-9_]{4,63}$/.test(code) ? code : undefined;
}

/**
 * An error that may be shown: those of a client hold statements, values, addresses and users, so nothing of it is taken over
 * but its code.
 */
export function failure(error: unknown, schema: string): Error {
  const code = codeOf(error);
  if (code === undefined) return new Error('PostgreSQL failed, and its client gave no code');
  const meaning = MISSING.has(code) ? missing(schema) : (MEANINGS[code] ?? 'see the list of codes in its manual');
  return Object.assign(new Error(`PostgreSQL failed (${code}): ${meaning}`), { code });
}

/** What is to be done where the migration was not applied. */
export function missing(schema: string): string {
  const option = schema === DEFAULT_SCHEMA ? '' : ` --schema ${schema}`;
  return `what the store needs is not in the schema ${schema}: apply what \`leash migration postgres${option}\` prints`;
}
