import { DecimalSum } from './decimal.ts';
import type { LogEvent } from './read-log.ts';
import { TimeBuckets } from './time-buckets.ts';

/** More names than any honest log has: the rest is counted together, so that memory stays what it is. */
const MAX_NAMES = 1000;
const BUCKETS = 20;
const REST = '(others)';

export interface ToolCount {
  readonly tool: string;
  calls: number;
  errors: number;
  denied: number;
}

export interface DenialCount {
  readonly guard: string;
  readonly code: string;
  denied: number;
  /** In observe mode: it ran all the same. */
  observed: number;
}

/** Adds up the events of logs. */
export class Totals {
  sessions = 0;
  events = 0;
  started = 0;
  ok = 0;
  errors = 0;
  denied = 0;
  observed = 0;
  overruns = 0;
  egressOk = 0;
  egressDenied = 0;
  dropped = 0;
  from: string | undefined;
  to: string | undefined;
  readonly usd: DecimalSum = new DecimalSum();
  readonly sat: DecimalSum = new DecimalSum();
  readonly spend: TimeBuckets = new TimeBuckets(BUCKETS);
  readonly #tools = new Map<string, ToolCount>();
  readonly #denials = new Map<string, DenialCount>();

  add(event: LogEvent): void {
    this.events++;
    const { ts, kind, count = 0 } = event;
    if (ts !== undefined) {
      if (this.from === undefined || ts < this.from) this.from = ts;
      if (this.to === undefined || ts > this.to) this.to = ts;
    }
    switch (kind) {
      case 'session_open':
        this.sessions++;
        break;
      case 'tool_start':
        this.started++;
        this.#tool(event).calls++;
        break;
      case 'tool_ok':
        this.ok++;
        this.#book(event);
        break;
      case 'tool_error':
        this.errors++;
        this.#tool(event).errors++;
        this.#book(event);
        break;
      case 'charge':
        this.#book(event);
        break;
      case 'tool_denied':
      case 'budget_denied':
        this.#deny(event);
        break;
      case 'egress_ok':
        this.egressOk++;
        break;
      case 'egress_denied':
        this.egressDenied++;
        break;
      case 'events_dropped':
        this.dropped += count;
        break;
    }
  }

  /** Calls that the log does not see end: their estimate is not in the spend. */
  get unfinished(): number {
    return Math.max(0, this.started - this.ok - this.errors);
  }

  /** The most called first. */
  get tools(): readonly ToolCount[] {
    return [...this.#tools.values()].sort(
      (a, b) => b.calls + b.denied - (a.calls + a.denied) || compare(a.tool, b.tool),
    );
  }

  /** The most frequent first. */
  get denials(): readonly DenialCount[] {
    return [...this.#denials.values()].sort(
      (a, b) => b.denied + b.observed - (a.denied + a.observed) || compare(a.guard + a.code, b.guard + b.code),
    );
  }

  #book({ ts, usd, sat, overrun }: LogEvent): void {
    if (overrun === 1) this.overruns++;
    if (usd === undefined && sat === undefined) return;
    this.usd.add(usd);
    this.sat.add(sat);
    if (ts !== undefined) this.spend.add(ts, usd, sat);
  }

  #deny(event: LogEvent): void {
    const { guard = '', code = '', observed } = event;
    const key = JSON.stringify([guard, code]);
    const denial = entryOf(this.#denials, key, (full) =>
      full ? { guard: REST, code: REST, denied: 0, observed: 0 } : { guard, code, denied: 0, observed: 0 },
    );
    if (observed === 1) {
      this.observed++;
      denial.observed++;
    } else {
      this.denied++;
      denial.denied++;
      this.#tool(event).denied++;
    }
  }

  #tool({ tool = '' }: LogEvent): ToolCount {
    return entryOf(this.#tools, tool, (full) => ({ tool: full ? REST : tool, calls: 0, errors: 0, denied: 0 }));
  }
}

function entryOf<T>(entries: Map<string, T>, key: string, make: (full: boolean) => T): T {
  const full = entries.size >= MAX_NAMES && !entries.has(key);
  const name = full ? REST : key;
  let entry = entries.get(name);
  if (entry === undefined) {
    entry = make(full);
    entries.set(name, entry);
  }
  return entry;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
