import { checkTimerMs } from '../internal/deadline.ts';
import { checkInteger, checkOptions, shown } from '../internal/options.ts';
import { failed } from './failure.ts';
import type { AuditSink } from './sink.ts';
import { createPost, type Post, type WebhookFetch } from './webhook-post.ts';
import { readWritten } from './written-lines.ts';

export interface WebhookSinkOptions {
  /** Sent with every request, for instance an `authorization`. Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Most lines in a request. Integer >= 1. Default: 100. */
  readonly batch?: number;
  /** How long a line waits for others before it is sent, in ms. Integer from 1 to 2^31 - 1. Default: 1 000. */
  readonly intervalMs?: number;
  /**
   * Most lines that wait, those on their way included; more are refused, but for those of one write while no other line
   * waits. Integer >= `batch`. Default: 10 000.
   */
  readonly maxBuffered?: number;
  /**
   * How often a batch is sent again, after pauses that double from 0.25 s to at most 30 s, before the sink gives up.
   * Integer >= 0. Default: 8, about 45 seconds.
   */
  readonly retries?: number;
  /** How long one request may take, in ms. Integer from 1 to 2^31 - 1. Default: 10 000. */
  readonly timeoutMs?: number;
  /** Default: the platform's `fetch`. */
  readonly fetch?: WebhookFetch;
  /** Calls back after so many milliseconds, unless what it returns is called first. For tests. Default: `setTimeout`. */
  readonly schedule?: (ms: number, run: () => void) => () => void;
  /** From 0 to less than 1; spreads the pauses. For tests. Default: `Math.random`. */
  readonly random?: () => number;
}

const OPTIONS = [
  'headers',
  'batch',
  'intervalMs',
  'maxBuffered',
  'retries',
  'timeoutMs',
  'fetch',
  'schedule',
  'random',
];

const RESERVED = /^(content-type|content-length|idempotency-key|transfer-encoding|host|connection)$/i;

/**
 * Posts the log to an HTTP endpoint as `application/x-ndjson`: lines of one log in a request, each log in order, one
 * request at a time, with the header `Idempotency-Key: <log>/<first>-<last>` by which the endpoint knows a batch that it
 * has already. 2xx accepts a batch; 408, 425, 429, 5xx and network errors are tried again; anything else, a redirect
 * too, ends the sink.
 *
 * **A write only means that the line is buffered**: what the process holds when it dies is lost. Use it in a `teeSink`
 * beside a file. When the buffer is full a write throws, and when a batch was given up every write does, so the calls
 * stop. While lines wait the process stays alive; `sync` sends them at once and resolves when they were accepted.
 *
 * @throws {TypeError | RangeError} naming the option; a URL that is not http or https, or with a user name in it.
 */
export function webhookSink(url: string | URL, options: WebhookSinkOptions = {}): AuditSink {
  checkOptions('webhookSink', options, OPTIONS);
  const {
    headers = {},
    batch = 100,
    intervalMs = 1_000,
    maxBuffered = 10_000,
    retries = 8,
    timeoutMs = 10_000,
    fetch = globalThis.fetch,
    schedule = after,
    random = Math.random,
  } = options;
  checkInteger('webhookSink.batch', batch, 1);
  checkFunction('schedule', schedule);
  return new WebhookSink({
    batch,
    intervalMs: checkTimerMs('webhookSink.intervalMs', intervalMs),
    maxBuffered: checkInteger('webhookSink.maxBuffered', maxBuffered, batch),
    schedule,
    post: createPost({
      url: readUrl(url),
      headers: readHeaders(headers),
      retries: checkInteger('webhookSink.retries', retries, 0),
      timeoutMs: checkTimerMs('webhookSink.timeoutMs', timeoutMs),
      fetch: checkFunction('fetch', fetch),
      schedule,
      random: checkFunction('random', random),
    }),
  });
}

function after(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

function checkFunction<T>(option: string, value: T): T {
  if (typeof value === 'function') return value;
  throw new TypeError(`\`webhookSink.${option}\` must be a function, got ${shown(value)}`);
}

/** Errors here do not show the URL: it may hold a secret. */
function readUrl(given: unknown): string {
  if (typeof given !== 'string' && !(given instanceof URL)) {
    throw new TypeError(`webhookSink expects a URL, got ${shown(given)}`);
  }
  const url = URL.parse(String(given));
  if (url === null) throw new TypeError('webhookSink expects an absolute URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new RangeError(`webhookSink expects an http or https URL, got ${url.protocol}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new RangeError('the URL of webhookSink must hold no user name or password: use `headers`');
  }
  return url.href;
}

function readHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`\`webhookSink.headers\` must be an object, got ${shown(given)}`);
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
      throw new RangeError(`\`webhookSink.headers\` has a name that HTTP does not allow: ${shown(name)}`);
    }
    if (typeof value !== 'string') throw new TypeError(`\`webhookSink.headers\`: ${name} must be a string`);
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new RangeError(`\`webhookSink.headers\`: ${name} has a value that HTTP does not allow`);
    }
    if (RESERVED.test(name)) throw new RangeError(`\`webhookSink.headers\`: the sink itself sets ${name}`);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

type Settings = Required<Pick<WebhookSinkOptions, 'batch' | 'intervalMs' | 'maxBuffered' | 'schedule'>> & {
  readonly post: Post;
};

interface Buffered {
  readonly line: string;
  readonly seq: number;
  /** Its place among all lines of all logs. */
  readonly place: number;
}

interface BufferedLog {
  readonly id: string;
  readonly lines: Buffered[];
  /** That of its first line. */
  readonly place: number;
}

interface Waiter {
  /** Resolves when no line before this place is left. */
  readonly before: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class WebhookSink implements AuditSink {
  readonly name = 'webhook';
  readonly #settings: Settings;
  /** What was not sent yet, by log. */
  readonly #logs = new Map<string, Buffered[]>();
  /** How many lines were not accepted yet: those and the batch under way. */
  #buffered = 0;
  #place = 0;
  /** Lines before this place wait no longer for others. */
  #dueBefore = 0;
  #delivering = false;
  #cancelTimer: (() => void) | undefined;
  #waiters: Waiter[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  write(text: string, first: number, last: number): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    const { log, lines } = readWritten(text, first, last);
    // Lines that a log kept while the buffer was full come all together, and would fit into none if they are more.
    if (this.#buffered > 0 && this.#buffered + lines.length > this.#settings.maxBuffered) {
      throw failed('WEBHOOK_BUFFER_FULL', 'the buffer of the webhook is full');
    }
    const waiting = this.#logs.get(log) ?? [];
    this.#logs.set(log, waiting);
    for (const [i, line] of lines.entries()) waiting.push({ line, seq: first + i, place: this.#place++ });
    this.#buffered += lines.length;
    if (waiting.length >= this.#settings.batch) this.#deliver();
    else this.#cancelTimer ??= this.#settings.schedule(this.#settings.intervalMs, () => this.#deliver());
  }

  async sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#buffered === 0) return;
    const accepted = new Promise<void>((resolve, reject) => {
      this.#waiters.push({ before: this.#place, resolve, reject });
    });
    this.#deliver();
    await accepted;
  }

  /** @throws what ended the sink, whether or not a write has told it. */
  close(): Promise<void> {
    return this.sync();
  }

  /** Sends everything that is there now; what comes meanwhile waits for others again. */
  #deliver(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#dueBefore = this.#place;
    if (this.#delivering) return;
    this.#delivering = true;
    this.#deliverDue().catch((error) => this.#fail(error));
  }

  async #deliverDue(): Promise<void> {
    for (let log = this.#oldest(); log !== undefined && log.place < this.#dueBefore; log = this.#oldest()) {
      const batch = log.lines.splice(0, batchSize(log.lines, this.#settings.batch));
      if (log.lines.length === 0) this.#logs.delete(log.id);
      const key = `${log.id}/${batch[0]?.seq}-${batch.at(-1)?.seq}`;
      await this.#settings.post(key, batch.map(({ line }) => `${line}\n`).join(''));
      this.#buffered -= batch.length;
      this.#tellWaiters();
    }
    this.#delivering = false;
  }

  /** The log whose first line has waited longest. */
  #oldest(): BufferedLog | undefined {
    let oldest: BufferedLog | undefined;
    for (const [id, lines] of this.#logs) {
      const place = lines[0]?.place as number;
      if (oldest === undefined || place < oldest.place) oldest = { id, lines, place };
    }
    return oldest;
  }

  #tellWaiters(): void {
    const first = this.#oldest()?.place ?? this.#place;
    this.#waiters = this.#waiters.filter(({ before, resolve }) => {
      if (before > first) return true;
      resolve();
      return false;
    });
  }

  #fail(error: unknown): void {
    this.#failure = { error };
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters = [];
    // What the endpoint does not have now it never gets: later lines without them would be no copy.
    this.#logs.clear();
  }
}

/** As many lines from the first on as have consecutive numbers: the key of a batch names every line in it. */
function batchSize(lines: readonly Buffered[], most: number): number {
  const first = lines[0]?.seq ?? 0;
  let size = 1;
  while (size < most && lines[size]?.seq === first + size) size++;
  return size;
}
