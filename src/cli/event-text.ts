import { visible } from './escape.ts';
import type { LogEvent } from './read-log.ts';
import type { Colour, Terminal } from './terminal.ts';

const COLOURS: Readonly<Record<string, Colour>> = {
  tool_error: 'yellow',
  tool_denied: 'red',
  budget_denied: 'red',
  egress_denied: 'red',
  kill_switch: 'red',
  events_dropped: 'red',
  log_recovered: 'yellow',
  checkpoint: 'dim',
};

const KIND_WIDTH = 13;
const ID_SHOWN = 8;

/** One event on one line: time, place, kind and what matters of it. */
export function eventText(terminal: Terminal, event: LogEvent): string {
  const { ts = ' '.repeat('2026-01-01T00:00:00.000Z'.length), log, seq, kind } = event;
  const colour = COLOURS[kind];
  const padded = kind.padEnd(KIND_WIDTH);
  const place = `${log.slice(0, ID_SHOWN)}/${seq}`.padEnd(ID_SHOWN + 6);
  const shown = colour === undefined ? padded : terminal.paint(colour, padded);
  return `${terminal.paint('dim', `${ts} ${place}`)} ${shown} ${partsOf(event).map(visible).join('  ')}`.trimEnd();
}

/** Amounts of an event for people. */
export function moneyText({ usd, sat }: Pick<LogEvent, 'usd' | 'sat'>): string {
  // The sign of a debt stands in front of the dollar's.
  const dollars = usd?.startsWith('-') ? `-$${usd.slice(1)}` : `$${usd}`;
  return [usd === undefined ? '' : dollars, sat === undefined ? '' : `${sat} sat`].filter(Boolean).join(' + ');
}

function partsOf(event: LogEvent): readonly string[] {
  return [...detailsOf(event), event.observed === 1 ? '(observed only)' : ''].filter(Boolean);
}

function detailsOf(event: LogEvent): readonly string[] {
  const { kind, tool = '', code = '', reason = '', guard = '', error = '', note = '' } = event;
  const money = moneyText(event);
  switch (kind) {
    case 'session_open':
      return [`agent ${event.agent}`, `${event.mode}`, event.key === undefined ? 'not signed' : 'signed'];
    case 'tool_start':
      return [tool, money && `holds ${money}`];
    case 'tool_ok':
    case 'tool_error':
      return [tool, error, money, duration(event.us ?? 0), event.overrun === 1 ? 'more than was held' : ''];
    case 'tool_denied':
      return [tool, code, reason, `by ${guard}`];
    case 'budget_denied':
      return [tool, code, reason, `by ${guard}`, shortfall(event)];
    case 'egress_ok':
    case 'egress_denied':
      return [`${event.scheme}://${event.host}:${event.port}`, event.addr ?? '', tool, code, reason];
    case 'charge':
      return [note, money];
    case 'events_dropped':
      return [`${event.count} events lost`, `${instant(event.from)} to ${instant(event.to)}`];
    case 'log_recovered':
      return [`behind a torn line of ${event.bytes} bytes`];
    case 'session_close':
      return [reason, `${event.calls} calls`, `${event.denied} denied`, money];
    case 'checkpoint':
      return [`signs ${event.size} lines`];
    default:
      return [reason];
  }
}

function shortfall({ unit = 'usd', requested = '', remaining = '', cap = '' }: LogEvent): string {
  const [asked, left, of] = [requested, remaining, cap].map((amount) => moneyText({ [unit]: amount }));
  return `asked ${asked}, left ${left} of ${of}`;
}

/** Microseconds in the unit that people read. */
function duration(us: number): string {
  if (us < 1000) return `${us} us`;
  if (us < 1_000_000) return `${(us / 1000).toFixed(1)} ms`;
  return `${(us / 1_000_000).toFixed(2)} s`;
}

/** Microseconds of the log, as a time. */
function instant(us: number | undefined): string {
  const ms = (us ?? Number.NaN) / 1000;
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : '?';
}
