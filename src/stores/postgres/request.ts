import { hash } from 'node:crypto';
import type { Line, Reserve, Settle } from '../store.ts';

/** For how long what is kept, in ms. */
export interface Keep {
  /** Holds that have ended. */
  readonly ends: number;
  /** Ids that were settled and never reserved. */
  readonly voids: number;
  /** Scopes that were shut. */
  readonly shut: number;
  /** Temporary scopes that are not used. */
  readonly scopes: number;
}

/** What one caller asks together. */
export type Batch = { readonly reserve: readonly Reserve[] } | { readonly settle: readonly Settle[] };

const ENDINGS = { void: 'void', forfeit: 'forfeited' } as const;

/** Texts in the order in which they first came, and their positions from 1 on. */
class Positions {
  readonly texts: string[] = [];
  readonly #positions = new Map<string, number>();

  of(text: string): number {
    let position = this.#positions.get(text);
    if (position === undefined) {
      position = this.texts.push(text);
      this.#positions.set(text, position);
    }
    return position;
  }
}

/** What the function `decided` takes, where it is described: the items of several batches, in their order. */
export function decideRequest(batches: readonly Batch[], keep: Keep): object {
  const ids = new Positions();
  for (const batch of batches) if ('settle' in batch) for (const { id } of batch.settle) ids.of(id);
  const closing = ids.texts.length;
  const lines = new Lines();
  const items: object[] = [];
  for (const batch of batches) {
    if ('settle' in batch) items.push(...endings(batch.settle, ids));
    else for (const item of batch.reserve) items.push(reservation(item, ids, lines));
  }
  return { ids: ids.texts, closing, scopes: lines.scopes.texts, lines: lines.all, items, keep };
}

function reservation(item: Reserve, ids: Positions, lines: Lines): object {
  return {
    op: 'reserve',
    hold: ids.of(item.id),
    digest: digestOf(item),
    onto: item.onto === undefined ? undefined : ids.of(item.onto),
    lease_ms: item.leaseMs,
    keep_ms: item.keepMs,
    force: item.force,
    lines: item.lines.map((line) => lines.of(line)),
    caps: item.lines.map(({ cap }) => cap),
    amounts: item.lines.map(({ amount }) => amount),
    booked: item.lines.map(({ book }) => book === 'reserve'),
  };
}

/** The first one tells how many lines each of their holds must have. */
function endings(batch: readonly Settle[], ids: Positions): readonly object[] {
  const checks = batch.flatMap(({ id, actual }) =>
    typeof actual === 'string' ? [] : [{ hold: ids.of(id), amounts: actual.length }],
  );
  return batch.map(({ id, actual }, i) => ({
    op: 'end',
    hold: ids.of(id),
    ending: typeof actual === 'string' ? ENDINGS[actual] : 'settled',
    actual: typeof actual === 'string' ? undefined : actual,
    checks: i === 0 ? checks : undefined,
    together: i === 0 ? batch.length : undefined,
  }));
}

/** Lines without their amounts, each once. */
class Lines {
  readonly all: object[] = [];
  readonly scopes: Positions = new Positions();
  readonly #known = new Positions();
  /** By counter, the first line on it. */
  readonly #meters = new Map<string, number>();

  of({ scope, generation, meter, span }: Line): number {
    const counter = JSON.stringify([scope, meter]);
    const bounds = span.kind === 'calendar' ? [bound(span.startMs), bound(span.endMs)] : undefined;
    const position = this.#known.of(JSON.stringify([counter, generation, bounds]));
    if (position <= this.all.length) return position;
    const first = this.#meters.get(counter) ?? position;
    this.#meters.set(counter, first);
    this.all.push({
      meter: first,
      scope: this.scopes.of(scope),
      generation,
      name: meter,
      kind: span.kind,
      window_ms: span.kind === 'rolling' ? span.ms : undefined,
      step_ms: span.kind === 'rolling' ? span.stepMs : undefined,
      start_ms: bounds?.[0],
      end_ms: bounds?.[1],
    });
    return position;
  }
}

/** What a repeat must have in common with what it repeats. */
function digestOf({ onto, lines }: Reserve): string {
  const told = [onto ?? null, lines.map(({ scope, meter, amount }) => [scope, meter, amount])];
  return hash('sha256', JSON.stringify(told), 'base64url');
}

/** A bound of a calendar window in whole milliseconds that PostgreSQL can hold. JSON has null for one that is no number. */
function bound(ms: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(ms)));
}
