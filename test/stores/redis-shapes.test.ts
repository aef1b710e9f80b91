import { describe, expect, it } from 'vitest';
import type { Span } from '../../src/internal/window.ts';
import { Shapes } from '../../src/stores/redis/shapes.ts';
import type { Line, Reserve } from '../../src/stores/store.ts';

const line = (more: Partial<Line> = {}): Line => ({
  scope: 'a',
  generation: 'g',
  meter: 'usd',
  span: { kind: 'total' },
  cap: 100,
  amount: 1,
  book: 'settle',
  ...more,
});
const item = (more: Partial<Reserve> = {}): Reserve => ({ id: 'r', lines: [line()], leaseMs: 1_000, ...more });
const spanned = (span: Span): Reserve => item({ lines: [line({ span })] });

const rolling = { kind: 'rolling', ms: 60_000, stepMs: 1_000 } as const;
const calendar = { kind: 'calendar', startMs: 86_400_000, endMs: 172_800_000 } as const;

/** Each is another question to the script than all the others. */
const others: readonly { name: string; item: Reserve }[] = [
  { name: 'a total', item: item() },
  { name: 'another lease', item: item({ leaseMs: 1_001 }) },
  { name: 'what is kept', item: item({ keepMs: 5_000 }) },
  { name: 'what is forced', item: item({ force: true }) },
  { name: 'no line', item: item({ lines: [] }) },
  { name: 'two lines', item: item({ lines: [line(), line({ meter: 'sat' })] }) },
  { name: 'two lines of two scopes', item: item({ lines: [line(), line({ scope: 'b' })] }) },
  { name: 'two lines of two generations', item: item({ lines: [line(), line({ meter: 'sat', generation: 'h' })] }) },
  { name: 'another scope', item: item({ lines: [line({ scope: 'b' })] }) },
  { name: 'another generation', item: item({ lines: [line({ generation: 'h' })] }) },
  { name: 'another meter', item: item({ lines: [line({ meter: 'sat' })] }) },
  { name: 'another cap', item: item({ lines: [line({ cap: 101 })] }) },
  { name: 'another booking', item: item({ lines: [line({ book: 'reserve' })] }) },
  { name: 'a rolling window', item: spanned(rolling) },
  { name: 'a longer one', item: spanned({ ...rolling, ms: 120_000 }) },
  { name: 'one of other steps', item: spanned({ ...rolling, stepMs: 2_000 }) },
  { name: 'a day', item: spanned(calendar) },
  { name: 'one that starts elsewhere', item: spanned({ ...calendar, startMs: 0 }) },
  { name: 'one that ends elsewhere', item: spanned({ ...calendar, endMs: 200_000_000 }) },
];

describe('the shapes of reservations', () => {
  it.each(others)('are found again where only ids and amounts differ: $name', ({ item }) => {
    const shapes = new Shapes();
    const again = {
      ...item,
      id: 's',
      lines: item.lines.map((each) => ({ ...each, amount: 7, span: { ...each.span } })),
    };
    expect(shapes.of(again)).toBe(shapes.of(item));
  });

  it('are never taken for one another', () => {
    expect(new Set(others.map(({ item }) => new Shapes().of(item).text)).size).toBe(others.length);
    for (const first of others) {
      for (const second of others) {
        const shapes = new Shapes();
        shapes.of(first.item);
        expect(shapes.of(second.item), `${second.name} after ${first.name}`).toEqual(new Shapes().of(second.item));
      }
    }
  });

  it('do not change with what was asked for', () => {
    const lines = [line({ span: { ...rolling } })];
    const shapes = new Shapes();
    const before = shapes.of(item({ lines }));
    Object.assign(lines[0]?.span ?? {}, { ms: 1_000 });
    expect(shapes.of(item({ lines })).text).toContain('r 1000 1000');
    expect(shapes.of(spanned(rolling))).toBe(before);
  });

  it('are the right ones after more than are kept', () => {
    const shapes = new Shapes();
    const many = Array.from({ length: 1_200 }, (_, i) => item({ lines: [line({ scope: `s${i}` })] }));
    const windows = Array.from({ length: 30 }, (_, i) => spanned({ ...calendar, endMs: calendar.endMs + i }));
    for (const each of [...many, ...windows, ...many, ...windows]) {
      expect(shapes.of(each)).toEqual(new Shapes().of(each));
    }
    expect(shapes.of(windows[29] as Reserve)).toBe(shapes.of(windows[29] as Reserve));
  });

  it.each([
    { name: 'a fraction of a millisecond', startMs: 0.5, endMs: 10.25, text: 'c 1 11' },
    { name: 'one that begins before 1970', startMs: -5, endMs: 10, text: 'c 0 10' },
    { name: 'an endless one', startMs: 0, endMs: Number.POSITIVE_INFINITY, text: `c 0 ${Number.MAX_SAFE_INTEGER}` },
    { name: 'an empty one', startMs: 5, endMs: 5, text: 'c 1 0' },
    { name: 'one turned around', startMs: 6, endMs: 5, text: 'c 1 0' },
  ])('have the bounds of $name in whole milliseconds', ({ startMs, endMs, text }) => {
    expect(JSON.parse(new Shapes().of(spanned({ kind: 'calendar', startMs, endMs })).text)).toContain(text);
  });
});
