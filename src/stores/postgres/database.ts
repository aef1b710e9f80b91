import { codeOf, failure, missing } from './failure.ts';
import { SCHEMA_VERSION } from './migration.ts';

/**
 * What a store needs of a client of PostgreSQL: a `Pool` or a `Client` of `pg` as it is, anything else through a few lines. For
 * postgres.js they are
 *
 *     { query: async (text, values) => ({ rows: await sql.unsafe(text, values) }) }
 */
export interface PostgresClient {
  /** @param values texts, for `$1` and so on. */
  query(text: string, values: string[]): Promise<{ readonly rows: readonly unknown[] }>;
}

/** What the procedure `ask` answers. */
export type Question = 'decide' | 'open' | 'read' | 'sweep' | 'shut' | 'stop' | 'resume';

/**
 * After these nothing was applied, and the same may go through at once: rows have changed, two waited for one another, which
 * takes a lock of somebody else, or an id was taken meanwhile.
 */
const PASSING: ReadonlySet<unknown> = new Set(['40001', '40P01', '23505']);
const MAX_ATTEMPTS = 6;
const PAUSE_MS = 5;
/** A client that has so many queries without an answer in time gets no more, so that what waits in it does not grow for ever. */
const MAX_OVERDUE = 64;
/** A client may have lost queries: so long after the last one another one is tried. */
const RETRY_MS = 30_000;

/** The functions of the schema, asked through the user's client. */
export class Database {
  readonly timeoutMs: number;
  readonly #client: PostgresClient;
  readonly #schema: string;
  /** What has no answer yet, by when it was asked: the oldest first. */
  readonly #unanswered = new Set<{ readonly at: number }>();
  #lastAsked = 0;
  #version: Promise<void> | undefined;

  constructor(client: PostgresClient, schema: string, timeoutMs: number) {
    this.#client = client;
    this.#schema = schema;
    this.timeoutMs = timeoutMs;
  }

  /**
   * Answers in time or throws. What is answered later is not looked at.
   *
   * @throws {Error} with nothing of what the server or the client said but its code.
   */
  ask(question: Question, request: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let waits = true;
      const timer = setTimeout(() => {
        waits = false;
        reject(this.late());
      }, this.timeoutMs);
      this.attempt(question, request, () => waits)
        .finally(() => clearTimeout(timer))
        .then(resolve, reject);
    });
  }

  late(): Error {
    return new Error(`PostgreSQL did not answer within ${this.timeoutMs} ms`);
  }

  /** The same, however long it takes. @param waits tells whether anybody waits for the answer still. */
  async attempt(question: Question, request: object, waits: () => boolean): Promise<unknown> {
    const values = [question, JSON.stringify(request), String(this.timeoutMs)];
    for (let attempt = 1; ; attempt++) {
      try {
        if (question === 'open') await this.#checkVersion();
        const row = await this.#row(`CALL "${this.#schema}".ask($1::text, $2::text, $3::text, NULL)`, values);
        return parsed(row?.['answer']);
      } catch (error) {
        if (!PASSING.has(codeOf(error)) || attempt === MAX_ATTEMPTS || !waits()) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * PAUSE_MS * attempt));
    }
  }

  /** The first time, and until it was answered. @throws {Error} the migration was not applied, or one of a later version. */
  #checkVersion(): Promise<void> {
    this.#version ??= this.#readVersion().catch((error: unknown) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }

  async #readVersion(): Promise<void> {
    const row = await this.#row(`SELECT max(version)::text AS version FROM "${this.#schema}".migrations`, []);
    const version = Number(row?.['version']);
    if (version === SCHEMA_VERSION) return;
    throw new Error(
      version > SCHEMA_VERSION
        ? `the schema ${this.#schema} is of a later leashkit (version ${version}, this one knows ${SCHEMA_VERSION}): update leashkit`
        : missing(this.#schema),
    );
  }

  async #row(text: string, values: string[]): Promise<Readonly<Record<string, unknown>> | undefined> {
    const asked = { at: performance.now() };
    if (asked.at - this.#lastAsked < RETRY_MS && this.#isStuck(asked.at)) {
      throw new Error(`PostgreSQL has not answered ${MAX_OVERDUE} earlier queries`);
    }
    this.#lastAsked = asked.at;
    this.#unanswered.add(asked);
    let answer: Partial<Awaited<ReturnType<PostgresClient['query']>>> | undefined;
    try {
      answer = await this.#client.query(text, values);
    } catch (error) {
      throw failure(error, this.#schema);
    } finally {
      this.#unanswered.delete(asked);
    }
    return answer?.rows?.[0] as Record<string, unknown> | undefined;
  }

  #isStuck(now: number): boolean {
    let overdue = 0;
    for (const { at } of this.#unanswered) {
      if (now - at < this.timeoutMs) return false;
      overdue++;
      if (overdue === MAX_OVERDUE) return true;
    }
    return false;
  }
}

/** @throws {Error} it is not what the procedure `ask` answers. */
function parsed(answer: unknown): unknown {
  if (answer === null) return undefined;
  try {
    return JSON.parse(answer as string);
  } catch {
    // What was thrown may quote the answer.
    throw strange();
  }
}

export function strange(): Error {
  return new Error('PostgreSQL, or the client, answered something else than was asked');
}
