import { isPromiseLike, type MaybePromise, quietly } from '../internal/maybe-promise.ts';
import { checkOptions, shown } from '../internal/options.ts';
import type { AuditSink } from './sink.ts';

/** What a log line says in fields, for a logger's filters: of its keys those that it has. */
export interface ForwardedFields {
  readonly kind?: string;
  readonly log?: string;
  readonly seq?: number;
  readonly call?: string;
  readonly tool?: string;
  readonly guard?: string;
  readonly code?: string;
  readonly error?: string;
}

/** A pino logger, a console, or anything else with such a method. */
export interface InfoLogger {
  info(fields: { readonly leash: ForwardedFields }, message: string): unknown;
}

/**
 * Forwards each line to a logger: `logger.info({ leash: fields }, line)`. The message is the exact line, so the log can be
 * taken out of the logger's records again and verified.
 *
 * A line counts as recorded when `info` has returned, or the promise that it returned has resolved; what the logger does
 * with it is unknown, so use this in a `teeSink` beside a file. A logger that leaves out its `info` level records nothing,
 * and one that throws between two lines of one write gets no more.
 *
 * @throws {TypeError} not a logger.
 */
export function forwardSink(logger: InfoLogger): AuditSink {
  if (typeof (logger as Partial<InfoLogger> | null | undefined)?.info !== 'function') {
    throw new TypeError(`forwardSink expects a logger with a method info, got ${shown(logger)}`);
  }
  return forwarding('forward', (line, event) => logger.info({ leash: fieldsOf(event) }, line));
}

/** What the sink gives an OpenTelemetry logger. */
export interface OtelLogRecord {
  /** The exact line. */
  readonly body: string;
  readonly attributes: Record<string, string | number>;
  readonly timestamp?: Date;
  /** 9 (INFO), 13 (WARN) for refusals and stops, 17 (ERROR) for a tool that threw. */
  readonly severityNumber: number;
}

/** A logger of OpenTelemetry's logs API, or anything else with such a method. */
export interface OtelLogger {
  emit(record: OtelLogRecord): void;
}

export interface OtelSinkOptions {
  /** From `loggerProvider.getLogger(name)`. */
  readonly logger: OtelLogger;
}

const INFO = 9;
const WARN = 13;
const ERROR = 17;
const SEVERITIES: ReadonlyMap<unknown, number> = new Map([
  ['tool_error', ERROR],
  ['tool_denied', WARN],
  ['budget_denied', WARN],
  ['egress_denied', WARN],
  ['kill_switch', WARN],
  ['events_dropped', WARN],
  ['log_recovered', WARN],
]);

/**
 * Emits each line as an OpenTelemetry log record: the body is the exact line, so a copy verifies; the attributes are
 * those of OpenTelemetry's GenAI conventions for a tool's execution (`gen_ai.operation.name`, `gen_ai.tool.name`,
 * `gen_ai.tool.call.id`, `error.type`) and `leash.log`, `leash.seq`, `leash.kind`. The conventions are still in development.
 *
 * A line counts as recorded when `emit` has returned; processors and exporters may drop it later, so use this in a
 * `teeSink` beside a file.
 *
 * @throws {TypeError} no logger.
 */
export function otelSink(options: OtelSinkOptions): AuditSink {
  checkOptions('otelSink', options, ['logger']);
  const { logger }: Partial<OtelSinkOptions> = options;
  if (typeof logger?.emit !== 'function') {
    throw new TypeError(`\`otelSink.logger\` must be a logger with a method emit, got ${shown(logger)}`);
  }
  return forwarding('otel', (body, event) => {
    const ms = typeof event.ts === 'string' ? Date.parse(event.ts) : Number.NaN;
    // A number would be read as time since the process began where the clock was set back.
    const time = Number.isNaN(ms) ? {} : { timestamp: new Date(ms) };
    return logger.emit({
      body,
      attributes: attributesOf(event),
      ...time,
      severityNumber: SEVERITIES.get(event.kind) ?? INFO,
    });
  });
}

/** A parsed line, of which nothing is known. */
type Event = Readonly<Partial<Record<keyof ForwardedFields | 'ts' | 'observed', unknown>>>;

function forwarding(name: string, forward: (line: string, event: Event) => unknown): AuditSink {
  let failure: { readonly error: unknown } | undefined;
  return {
    name,
    write(lines): MaybePromise<void> {
      if (failure !== undefined) throw failure.error;
      const answers: PromiseLike<unknown>[] = [];
      let forwarded = 0;
      try {
        for (const line of lines.slice(0, -1).split('\n')) {
          const answer = forward(line, readFields(line));
          if (isPromiseLike(answer)) answers.push(answer);
          forwarded++;
        }
      } catch (error) {
        // The lines before this one are out: forwarded once more they would stand there twice.
        if (forwarded > 0) failure = { error };
        for (const answer of answers) quietly(() => answer);
        throw error;
      }
      return answers.length === 0 ? undefined : Promise.all(answers).then(() => undefined);
    },
  };
}

/** Fields are a convenience: a line that cannot be read goes on without them. */
function readFields(line: string): Event {
  try {
    return JSON.parse(line) ?? {};
  } catch {
    return {};
  }
}

const TEXTS = ['kind', 'log', 'call', 'tool', 'guard', 'code', 'error'] as const;

function fieldsOf(event: Event): ForwardedFields {
  const fields: Partial<Record<(typeof TEXTS)[number], string>> = {};
  for (const key of TEXTS) if (typeof event[key] === 'string') fields[key] = event[key];
  return typeof event.seq === 'number' ? { ...fields, seq: event.seq } : fields;
}

function attributesOf(event: Event): Record<string, string | number> {
  const { kind, log, seq, tool, call, code, error } = fieldsOf(event);
  const attributes: Record<string, string | number> = {};
  const set = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) attributes[name] = value;
  };
  set('leash.log', log);
  set('leash.seq', seq);
  set('leash.kind', kind);
  if (tool !== undefined) set('gen_ai.operation.name', 'execute_tool');
  set('gen_ai.tool.name', tool);
  set('gen_ai.tool.call.id', call);
  // What was only observed ran all the same.
  if (event.observed !== 1) set('error.type', error ?? code);
  return attributes;
}
