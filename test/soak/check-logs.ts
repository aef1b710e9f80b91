import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { verifyLog } from '../../src/audit/verify.ts';
import { python, VERIFIER } from '../helpers/python.ts';
import { type Entry, loggedFor, unitsOf } from './ledger.ts';
import type { Node } from './tree.ts';

interface Line {
  readonly log: string;
  readonly seq: number;
  readonly kind: string;
  readonly session?: string;
  readonly call?: string;
  readonly tool?: string;
  readonly error?: string;
  readonly usd?: string;
  readonly sat?: string;
  readonly calls?: number;
  readonly observed?: 1;
  readonly denied?: number;
}

export interface LogsChecked {
  readonly events: number;
  /** Ids of keyed calls whose money had been paid by an earlier one. */
  readonly paid: ReadonlySet<string>;
  readonly differences: readonly string[];
}

/** Both readers on every file, and what the lines tell against what those who spent have written down. */
export async function checkLogs(folder: string, nodes: readonly Node[]): Promise<LogsChecked> {
  const differences: string[] = [];
  const bySession = new Map<string, Line[]>();
  let events = 0;
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.recovering')) continue;
    const path = join(folder, file);
    const report = await verifyLog(path);
    events += report.events;
    if (!report.ok) differences.push(`${file} does not verify: line ${report.firstBadLine} ${report.code}`);
    const second = await verdictOf(path);
    const own = `${report.state} ${report.events} lines, ${report.signedThrough} signed`;
    if (second !== undefined && second !== own)
      differences.push(`${file}: verify_log.py says "${second}", the library "${own}"`);
    readLines(path, bySession);
  }
  const paid = new Set<string>();
  for (const node of nodes) {
    const found = checkSession(node, bySession.get(node.leash.id) ?? [], paid);
    differences.push(...found.map((what) => `session ${node.leash.id} (${node.tree.sink.kind}): ${what}`));
  }
  return { events, paid, differences };
}

async function verdictOf(path: string): Promise<string | undefined> {
  if (python === undefined) return undefined;
  try {
    const { stdout } = await promisify(execFile)(python, [VERIFIER, path]);
    return stdout.trim();
  } catch (error) {
    return String((error as { stderr?: string }).stderr).trim();
  }
}

/** Lines by the session of their log. A torn one is none. */
function readLines(path: string, bySession: Map<string, Line[]>): void {
  const sessionOf = new Map<string, string>();
  for (const text of readFileSync(path, 'utf8').split('\n')) {
    let line: Line;
    try {
      line = JSON.parse(text);
    } catch {
      continue;
    }
    if (line.kind === 'session_open') sessionOf.set(line.log, line.session as string);
    const session = sessionOf.get(line.log) as string;
    const lines = bySession.get(session);
    if (lines === undefined) bySession.set(session, [line]);
    else lines.push(line);
  }
}

const ENDS = ['tool_ok', 'tool_error'];

function checkSession(node: Node, lines: readonly Line[], paid: Set<string>): readonly string[] {
  const differences: string[] = [];
  const { entries, tree, summary } = node;
  // A log that could not be written to its end lacks ends of calls, but no beginning: that is what it is for.
  const isWhole = !tree.sink.dead;
  const starts = new Map(lines.filter(({ kind }) => kind === 'tool_start').map((line) => [line.call as string, line]));
  const ends = new Map<string, Line>();
  for (const line of lines) {
    if (!ENDS.includes(line.kind) && !(line.kind === 'charge' && line.call !== undefined)) continue;
    if (ends.has(line.call as string)) differences.push(`call ${line.call} has two ends`);
    ends.set(line.call as string, line);
  }
  const totals = { usd: 0, sat: 0 };
  const calls = entries.filter(({ kind }) => kind === 'call');
  for (const entry of entries) {
    const { kind, id, unit, key } = entry;
    if (kind === 'charge') {
      totals[unit] += loggedFor(entry);
      continue;
    }
    const start = starts.get(id);
    const isPaid = key !== undefined && start !== undefined && start.usd === undefined;
    if (isPaid) paid.add(id);
    const expected = isPaid ? 0 : loggedFor(entry);
    totals[unit] += expected;
    if (kind === 'call') {
      if (start === undefined) differences.push(`call ${id} ran, and the log does not tell of it`);
      else if (!isPaid && unitsOf(unit, start[unit]) !== entry.estimate)
        differences.push(`call ${id} began with ${start[unit]} ${unit}`);
      starts.delete(id);
    }
    const end = ends.get(id);
    if (end === undefined) {
      const isUnsaid = kind === 'hold' && entry.released === true && !entry.forfeited;
      if (isWhole && !isUnsaid) differences.push(`${kind} ${id} has no end in the log`);
      continue;
    }
    ends.delete(id);
    const told = { usd: unitsOf('usd', end.usd), sat: unitsOf('sat', end.sat) };
    const other = unit === 'usd' ? 'sat' : 'usd';
    if (told[unit] !== expected || told[other] !== 0) {
      differences.push(
        `${kind} ${id} is booked with ${end[unit]} ${unit} (${end.error ?? end.kind}), and was ${describe(entry, expected)}`,
      );
    }
  }
  // Sessions that ended between the line and the tool: it says so, and the tool has not run.
  for (const [id, { tool }] of starts) {
    const end = ends.get(id);
    if (end?.error !== 'RELEASED' && isWhole) differences.push(`call ${id} of ${tool} is in the log, and has not run`);
    ends.delete(id);
  }
  for (const id of ends.keys()) differences.push(`the log tells the end of ${id}, which nobody has begun`);
  const charges = { usd: 0, sat: 0 };
  for (const line of lines.filter(({ kind, call }) => kind === 'charge' && call === undefined)) {
    charges.usd += unitsOf('usd', line.usd);
    charges.sat += unitsOf('sat', line.sat);
  }
  for (const unit of ['usd', 'sat'] as const) {
    const expected = entries
      .filter((entry) => entry.kind === 'charge' && entry.unit === unit)
      .reduce((sum, { booked = 0 }) => sum + booked, 0);
    if (isWhole ? charges[unit] !== expected : charges[unit] > expected)
      differences.push(`charges of ${charges[unit]} ${unit}, and there were ${expected}`);
    if (summary !== undefined && unitsOf(unit, summary[unit]) !== totals[unit])
      differences.push(`close() tells ${summary[unit]} ${unit}, and it was ${totals[unit]}`);
  }
  if (summary !== undefined && summary.calls !== calls.length)
    differences.push(`close() tells ${summary.calls} calls, and there were ${calls.length}`);
  const last = lines.find(({ kind }) => kind === 'session_close');
  if (last !== undefined) {
    const denials = lines.filter(
      ({ kind, observed }) => ['tool_denied', 'budget_denied'].includes(kind) && observed === undefined,
    ).length;
    const unrecorded = tree.sink.unrecorded.get(last.log) ?? 0;
    if (last.calls !== calls.length || last.denied !== denials + unrecorded)
      differences.push(
        `session_close tells ${last.calls} calls and ${last.denied} denials, and there were ${calls.length} and ${denials} (${unrecorded} not recorded)`,
      );
    for (const unit of ['usd', 'sat'] as const) {
      if (unitsOf(unit, last[unit]) !== totals[unit])
        differences.push(`session_close tells ${last[unit]} ${unit}, and it was ${totals[unit]}`);
    }
  } else if (isWhole) differences.push('has no session_close');
  return differences;
}

function describe({ estimate, booked, forfeited, released, streams }: Entry, expected: number): string {
  const words = [forfeited && 'forfeited', released && 'released', streams && 'a stream'].filter((word) => word);
  return `${expected} (estimate ${estimate}, booked ${booked}${words.map((word) => `, ${word}`).join('')})`;
}
