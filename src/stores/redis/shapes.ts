import { createHash } from 'node:crypto';
import type { Span } from '../../internal/window.ts';
import type { Line, Reserve } from '../store.ts';
import { checkLine } from '../store-input.ts';

/** Everything of a reservation but its id and amounts, as the script takes it: many reservations have it in common. */
export interface Shape {
  /** A flat JSON array, as `lua-holds.ts` reads it. */
  readonly text: string;
  readonly scopes: readonly string[];
}

interface Known {
  readonly shape: Shape;
  readonly item: Reserve;
}

/** Enough that no two are the same by chance. */
const PRINT_LENGTH = 22;
const MAX_SCOPES = 1_000;
/** A leash has as many as it has kinds of tools; calendars turn. */
const MAX_FOR_SCOPE = 8;

/** Shapes that were made, so that the next reservation like one before costs a comparison. */
export class Shapes {
  /** By the first line's scope. */
  readonly #known = new Map<string, Known[]>();

  of(item: Reserve): Shape {
    const scope = item.lines[0]?.scope ?? '';
    const known = this.#known.get(scope);
    if (known !== undefined) for (const each of known) if (isLike(each.item, item)) return each.shape;
    const made = { shape: shapeOf(item), item: copied(item) };
    if (known === undefined) {
      if (this.#known.size >= MAX_SCOPES) this.#known.clear();
      this.#known.set(scope, [made]);
    } else {
      if (known.length >= MAX_FOR_SCOPE) known.length = 0;
      known.push(made);
    }
    return made.shape;
  }
}

function isLike(a: Reserve, b: Reserve): boolean {
  if (a.leaseMs !== b.leaseMs || a.keepMs !== b.keepMs || a.force !== b.force || a.lines.length !== b.lines.length) {
    return false;
  }
  for (let i = 0; i < a.lines.length; i++) {
    const [x, y] = [a.lines[i] as Line, b.lines[i] as Line];
    if (x.meter !== y.meter || x.scope !== y.scope || x.generation !== y.generation) return false;
    if (x.cap !== y.cap || x.book !== y.book || !isSame(x.span, y.span)) return false;
  }
  return true;
}

function isSame(a: Span, b: Span): boolean {
  if (a === b) return true;
  switch (a.kind) {
    case 'total':
      return b.kind === 'total';
    case 'rolling':
      return b.kind === 'rolling' && a.ms === b.ms && a.stepMs === b.stepMs;
    case 'calendar':
      return b.kind === 'calendar' && a.startMs === b.startMs && a.endMs === b.endMs;
  }
}

/** What is compared later must not be what its owner may change. */
function copied(item: Reserve): Reserve {
  return { ...item, lines: item.lines.map((line) => ({ ...line, span: { ...line.span } })) };
}

function shapeOf({ lines, leaseMs, keepMs = 0, force }: Reserve): Shape {
  for (const line of lines) checkLine(line);
  const counters = JSON.stringify(lines.map(({ scope, meter }) => [scope, meter]));
  const print = createHash('sha1').update(counters).digest('base64url').slice(0, PRINT_LENGTH);
  const terms = [print, keepMs, leaseMs, force === true ? 1 : 0];
  return {
    text: JSON.stringify([...terms, ...lines.flatMap((line, i) => flat(line, lines[i - 1]))]),
    scopes: [...new Set(lines.map(({ scope }) => scope))],
  };
}

function flat({ scope, generation, meter, span, book, cap }: Line, before: Line | undefined): (string | number)[] {
  const isSame = before !== undefined && before.scope === scope && before.generation === generation;
  return [isSame ? 0 : scope, isSame ? 0 : generation, `m:${meter}`, spanText(span), book === 'reserve' ? 1 : 0, cap];
}

function spanText(span: Span): string {
  switch (span.kind) {
    case 'total':
      return 't';
    case 'rolling':
      return `r ${span.ms} ${span.stepMs}`;
    case 'calendar':
      return `c ${bounds(span.startMs, span.endMs)}`;
  }
}

/** The server's time is whole milliseconds from 0 on. A span that is none has none in it. */
function bounds(startMs: number, endMs: number): string {
  if (!(startMs < endMs)) return '1 0';
  const whole = (ms: number): number => Math.min(Math.max(0, Math.ceil(ms)), Number.MAX_SAFE_INTEGER);
  return `${whole(startMs)} ${whole(endMs)}`;
}
