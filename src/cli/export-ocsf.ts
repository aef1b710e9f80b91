import { jsonLine } from './escape.ts';
import type { LogEvent } from './read-log.ts';

/** The version of the schema whose names and numbers stand here (schema.ocsf.io/1.8.0). */
const OCSF = '1.8.0';
const CATEGORY = { category_uid: 6, category_name: 'Application Activity' };
const API_ACTIVITY = { class_uid: 6003, class_name: 'API Activity' };
const LIFECYCLE = { class_uid: 6002, class_name: 'Application Lifecycle' };
const OTHER = 99;

const SEVERITY = { info: 1, low: 2, medium: 3, high: 4 } as const;
const SEVERITIES: Readonly<Record<number, string>> = { 1: 'Informational', 2: 'Low', 3: 'Medium', 4: 'High' };

/** Of the profile security_control: what was decided, and what became of it. */
const ALLOWED = { action_id: 1, action: 'Allowed', disposition_id: 1, disposition: 'Allowed' };
const DENIED = { action_id: 2, action: 'Denied', disposition_id: 2, disposition: 'Blocked' };
const FAILED = { action_id: 1, action: 'Allowed', disposition_id: 27, disposition: 'Error' };
/** It ran, and the log has what a guard would have refused. */
const OBSERVED = { action_id: 3, action: 'Observed', disposition_id: 17, disposition: 'Logged' };

const SUCCESS = { status_id: 1, status: 'Success' };
const FAILURE = { status_id: 2, status: 'Failure' };

/** Activities of Application Lifecycle; what is not here is Other, by its own name. */
const ACTIVITIES: Readonly<Record<string, readonly [number, string]>> = {
  session_open: [3, 'Start'],
  session_close: [4, 'Stop'],
  kill_switch: [7, 'Disable'],
};

const CALLS: ReadonlySet<string> = new Set([
  'tool_start',
  'tool_ok',
  'tool_error',
  'tool_denied',
  'budget_denied',
  'egress_ok',
  'egress_denied',
  'charge',
]);

/** Said by attributes of OCSF; everything else is in `unmapped`, under its own name. */
const MAPPED: ReadonlySet<string> = new Set(
  'v log seq ts kind call tool guard code reason error us host port addr scheme agent session lib observed'.split(' '),
);

interface Session {
  readonly agent: string;
  readonly session: string;
  /** `leashkit/<version>`, of the library that wrote the log. */
  readonly lib: string;
}

/** Events of one file as lines of OCSF: who acts is said in the first line of a log, so each is to be shown to it. */
export class OcsfExport {
  readonly #sessions = new Map<string, Session>();

  /** `undefined` for a checkpoint: it has no time, which OCSF needs. */
  render(event: LogEvent): string | undefined {
    const { log, kind, ts, agent = '', session = '', lib = '' } = event;
    if (kind === 'session_open') this.#sessions.set(log, { agent, session, lib });
    const who = this.#sessions.get(log);
    if (ts === undefined || who === undefined) return undefined;
    return jsonLine(CALLS.has(kind) ? apiActivity(event, ts, who) : lifecycle(event, ts, who));
  }
}

function apiActivity(event: LogEvent, ts: string, { agent, session, lib }: Session): object {
  const { log, kind, call, tool, code, error, reason, us, host, port, addr, scheme } = event;
  const control = controlOf(event);
  const failed = error ?? code;
  const from = us === undefined ? {} : { duration: Math.round(us / 1000) };
  return {
    ...classified(API_ACTIVITY, OTHER, kind),
    ...severityOf(kind, control),
    ...(control === DENIED || control === FAILED ? FAILURE : SUCCESS),
    ...(failed === undefined ? {} : { status_code: failed }),
    ...(reason === undefined ? {} : { status_detail: reason }),
    ...control,
    is_alert: control === DENIED,
    time: Date.parse(ts),
    ...from,
    actor: { app_name: agent, session: { uid: session } },
    api: {
      operation: tool ?? kind,
      ...(call === undefined ? {} : { request: { uid: call } }),
      ...(failed === undefined ? {} : { response: { error: failed } }),
    },
    src_endpoint: { uid: log, name: agent },
    ...(host === undefined
      ? {}
      : { dst_endpoint: { hostname: host, port, svc_name: scheme, ...(addr === undefined ? {} : { ip: addr }) } }),
    ...(event.guard === undefined ? {} : { policy: { name: event.guard, uid: event.guard } }),
    metadata: metadataOf(event, lib, call ?? session, ['security_control']),
    unmapped: unmappedOf(event),
  };
}

function lifecycle(event: LogEvent, ts: string, { agent, session, lib }: Session): object {
  const { kind, reason } = event;
  const [activity, name] = ACTIVITIES[kind] ?? [OTHER, kind];
  const grave = kind === 'kill_switch' || kind === 'events_dropped';
  return {
    ...classified(LIFECYCLE, activity, name),
    severity_id: grave ? SEVERITY.high : SEVERITY.info,
    severity: SEVERITIES[grave ? SEVERITY.high : SEVERITY.info],
    ...SUCCESS,
    ...(reason === undefined ? {} : { status_detail: reason }),
    time: Date.parse(ts),
    app: { name: agent, uid: session },
    metadata: metadataOf(event, lib, session, []),
    unmapped: unmappedOf(event),
  };
}

function classified(klass: { class_uid: number; class_name: string }, activity: number, name: string): object {
  return {
    ...CATEGORY,
    ...klass,
    activity_id: activity,
    activity_name: name,
    type_uid: klass.class_uid * 100 + activity,
    type_name: `${klass.class_name}: ${activity === OTHER ? 'Other' : name}`,
  };
}

function controlOf({ kind, observed }: LogEvent): typeof ALLOWED {
  if (observed === 1) return OBSERVED;
  if (kind.endsWith('_denied')) return DENIED;
  return kind === 'tool_error' ? FAILED : ALLOWED;
}

function severityOf(kind: string, control: typeof ALLOWED): object {
  const id = control === DENIED ? SEVERITY.medium : control === OBSERVED || kind === 'tool_error' ? SEVERITY.low : 1;
  return { severity_id: id, severity: SEVERITIES[id] };
}

function metadataOf(event: LogEvent, lib: string, correlation: string, profiles: readonly string[]): object {
  const { log, seq, ts, kind } = event;
  const [name, version] = lib.split('/');
  return {
    version: OCSF,
    product: { name, vendor_name: name, version },
    ...(profiles.length === 0 ? {} : { profiles }),
    uid: `${log}/${seq}`,
    sequence: seq,
    event_code: kind,
    correlation_uid: correlation,
    log_name: 'leash-log/1',
    log_provider: 'leashkit',
    original_time: ts,
  };
}

function unmappedOf(event: LogEvent): object {
  return Object.fromEntries(Object.entries(event).filter(([key]) => !MAPPED.has(key)));
}
