import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DecimalSum } from '../../src/cli/decimal.ts';
import { bucketLabel, TimeBuckets, widthText } from '../../src/cli/time-buckets.ts';
import { Bench, CALL, LOG_B, LogWriter, richLog } from './fixture.ts';

const bench = new Bench();
afterAll(() => bench.remove());

const HOUR = 3_600_000;

beforeAll(() => {
  const day = new LogWriter({ log: LOG_B });
  for (const [i, usd] of ['1', '4', '0.25', '2', '8'].entries()) {
    day.call(i % 2 === 0 ? 'search' : 'pay', { usd }).later(4 * HOUR);
  }
  day.denied('mail', 'rate', 'RATE_LIMITED', ',"observed":1').denied('mail', 'rate', 'RATE_LIMITED');
  day.add('tool_start', `,"call":"${CALL}","tool":"pay","args":"s1:${'0'.repeat(64)}","usd":"99"`);
  bench.write('day.jsonl', day.add('events_dropped', ',"count":5,"from":1,"to":5').text);
  bench.write('rich.jsonl', richLog().close().text);
  bench.write('empty.jsonl', '');
  bench.write('edited.jsonl', day.text.replace('"usd":"8"', '"usd":"9"'));
  const many = new LogWriter();
  for (let i = 0; i < 1200; i++) many.denied(`tool ${i}`, `guard ${i}`, 'CODE');
  bench.write('many.jsonl', many.text);
});

const DAY = `\
  sessions  1
  events    15
  from      2026-11-20T12:00:00.000Z
  to        2026-11-21T08:00:14.000Z
  calls     6: 5 ok, 0 failed, 1 without an end
  denied    1, and 1 only observed
  lost      5 events were dropped
  spent     $15.25

Denials by guard and code
  rate  RATE_LIMITED  1 (and 1 observed)

Tools
  pay     3 calls  0 failed, 0 denied
  search  3 calls  0 failed, 0 denied
  mail    0 calls  0 failed, 1 denied

Spend in usd per h, UTC
  2026-11-20 12:00  ████                              $1
  2026-11-20 13:00
  2026-11-20 14:00
  2026-11-20 15:00
  2026-11-20 16:00  ████████████████                  $4
  2026-11-20 17:00
  2026-11-20 18:00
  2026-11-20 19:00
  2026-11-20 20:00  █                                 $0.25
  2026-11-20 21:00
  2026-11-20 22:00
  2026-11-20 23:00
  2026-11-21 00:00  ████████                          $2
  2026-11-21 01:00
  2026-11-21 02:00
  2026-11-21 03:00
  2026-11-21 04:00  ████████████████████████████████  $8
`;

describe('leash stats', () => {
  it('adds up a day', async () => {
    expect(await bench.run(['stats', 'day.jsonl'])).toEqual({ code: 0, out: DAY, err: '' });
  });

  it('adds up several files', async () => {
    const { out } = await bench.run(['stats', 'day.jsonl', 'rich.jsonl']);
    expect(out).toContain('sessions  2\n');
    expect(out).toContain('calls     9: 7 ok, 1 failed, 1 without an end\n');
    expect(out).toContain('overruns  1 cost more than was held\n');
    expect(out).toContain('egress    1 let through, 1 denied\n');
    expect(out).toContain('spent     $17.0042 + 12 sat\n');
    expect(out).toContain('Spend in sat per h, UTC\n');
  });

  it('shows the smallest spend beside the largest', async () => {
    bench.write('small.jsonl', new LogWriter().call('a', { usd: '1000' }).later(9000).call('b', { usd: '0.001' }).text);
    const { out } = await bench.run(['stats', 'small.jsonl']);
    expect(out).toMatch(/^ {2}2026-11-20 12:00:13 {2}▏ {31} {2}\$0\.001$/m);
  });

  it('says that nothing was spent', async () => {
    expect((await bench.run(['stats', 'empty.jsonl'])).out).toBe(
      '  sessions  0\n  events    0\n  calls     0: 0 ok, 0 failed, 0 without an end\n  denied    0\n  spent     nothing\n',
    );
  });

  it('counts nothing behind a line that is wrong, and ends with 1', async () => {
    const { code, out, err } = await bench.run(['stats', 'edited.jsonl']);
    expect(code).toBe(1);
    expect(err).toBe('leash: edited.jsonl does not verify: line 11 is the first that is wrong (E_CHAIN)\n');
    // The edited line itself follows from the one before.
    expect(out).toContain('events    10\n');
    expect(out).not.toContain('99');
  });

  it('tells programs the same', async () => {
    const { out } = await bench.run(['stats', 'day.jsonl', '--json']);
    expect(JSON.parse(out)).toEqual({
      ok: true,
      files: ['day.jsonl'],
      from: '2026-11-20T12:00:00.000Z',
      to: '2026-11-21T08:00:14.000Z',
      sessions: 1,
      events: 15,
      dropped: 5,
      calls: { started: 6, ok: 5, errors: 0, unfinished: 1, overruns: 0 },
      denials: { denied: 1, observed: 1, by: [{ guard: 'rate', code: 'RATE_LIMITED', denied: 1, observed: 1 }] },
      egress: { ok: 0, denied: 0 },
      tools: [
        { tool: 'pay', calls: 3, errors: 0, denied: 0 },
        { tool: 'search', calls: 3, errors: 0, denied: 0 },
        { tool: 'mail', calls: 0, errors: 0, denied: 1 },
      ],
      spend: {
        usd: '15.25',
        sat: '0',
        partMs: HOUR,
        parts: expect.arrayContaining([{ from: '2026-11-20T16:00:00.000Z', usd: '4', sat: '0' }]),
      },
    });
  });

  it('keeps no more names than memory is for, and loses no count', async () => {
    const { out } = await bench.run(['stats', 'many.jsonl']);
    expect(out).toContain('denied    1200\n');
    expect(out).toContain('  (others)');
    expect(out).toContain('  and 991 more\n');
    const { denials, tools } = JSON.parse((await bench.run(['stats', 'many.jsonl', '--json'])).out) as {
      denials: { by: { denied: number }[] };
      tools: { denied: number }[];
    };
    for (const list of [denials.by, tools]) {
      expect(list).toHaveLength(1001);
      expect(list.reduce((sum, { denied }) => sum + denied, 0)).toBe(1200);
      expect(list[0]?.denied).toBe(200);
    }
  });
});

describe('leash stats --svg', () => {
  it('draws the same, as shapes and texts alone', async () => {
    const { code, out } = await bench.run(['stats', 'day.jsonl', 'rich.jsonl', '--svg', 'spend.svg']);
    expect({ code, lines: out.split('\n')[0] }).toEqual({ code: 0, lines: '  sessions  2' });
    const svg = bench.read('spend.svg');
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^>]*>\n/);
    const tags = new Set([...svg.matchAll(/<(\w+)/g)].map(([, tag]) => tag));
    expect([...tags].sort()).toEqual(['line', 'rect', 'svg', 'text', 'title']);
    // Opened and closed in order: every tag that is not empty.
    const open: string[] = [];
    for (const [, end, tag = '', empty] of svg.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
      if (end === '/') expect(open.pop()).toBe(tag);
      else if (empty !== '/') open.push(tag);
    }
    expect(open).toEqual([]);
    expect(svg).not.toMatch(/script|href|url\(|on\w+=|style/i);
    for (const label of ['Spend in usd per h, UTC', 'Spend in sat per h, UTC', '2026-11-21 04:00: $8', '>$8<']) {
      expect(svg).toContain(label);
    }
    expect(svg.match(/fill="#2f6f9f"/g)).toHaveLength(6);
  });

  it('says so where nothing was spent', async () => {
    await bench.run(['stats', 'empty.jsonl', '--svg', 'nothing.svg']);
    expect(bench.read('nothing.svg')).toContain('No spend is recorded');
  });

  it('overwrites nothing', async () => {
    bench.write('kept.svg', 'precious');
    expect((await bench.run(['stats', 'day.jsonl', '--svg', 'kept.svg'])).code).toBe(2);
    expect(bench.read('kept.svg')).toBe('precious');
  });
});

describe('DecimalSum', () => {
  it('adds what floats cannot', () => {
    const sum = new DecimalSum();
    for (const text of ['0.1', '0.2', '9007199254740993', '0.0000000000000000000000000000000000000001']) sum.add(text);
    expect(sum.toString()).toBe('9007199254740993.3000000000000000000000000000000000000001');
  });

  it('is the sum of what was added, in any order', () => {
    const part = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n });
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const sum = new DecimalSum();
        for (const nano of parts) {
          const digits = String(nano < 0n ? -nano : nano).padStart(10, '0');
          sum.add(`${nano < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`);
        }
        const total = parts.reduce((a, b) => a + b, 0n);
        const [whole = '', fraction = ''] = sum.toString().split('.');
        expect(BigInt(whole + fraction.padEnd(9, '0'))).toBe(total);
      }),
    );
  });
});

describe('TimeBuckets', () => {
  it('holds what was added, in no more parts than it may have, whatever the order', () => {
    const time = fc.integer({ min: Date.UTC(1, 0), max: Date.UTC(9999, 0) });
    const near = fc.integer({ min: 0, max: 100_000_000 }).map((ms) => Date.UTC(2026, 0) + ms);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(near, near, near, time), { minLength: 1 }),
        fc.integer({ min: 12, max: 30 }),
        (times, max) => {
          const buckets = new TimeBuckets(max);
          for (const ms of times) buckets.add(new Date(ms).toISOString(), '1', '2');
          const parts = buckets.list();
          expect(parts.length).toBeLessThanOrEqual(max);
          expect(parts.reduce((sum, { usd }) => sum + usd.toNumber(), 0)).toBe(times.length);
          for (const { from, usd, sat } of parts) {
            const inside = times.filter((ms) => ms >= from && ms < from + buckets.width).length;
            expect([usd.toNumber(), sat.toNumber()]).toEqual([inside, inside * 2]);
          }
        },
      ),
    );
  });

  it.each([
    { ms: 1000, text: 's', label: '2026-11-20 12:00:00' },
    { ms: 15_000, text: '15 s', label: '2026-11-20 12:00:00' },
    { ms: 300_000, text: '5 min', label: '2026-11-20 12:00' },
    { ms: HOUR, text: 'h', label: '2026-11-20 12:00' },
    { ms: 6 * HOUR, text: '6 h', label: '2026-11-20 12:00' },
    { ms: 24 * HOUR, text: 'day', label: '2026-11-20' },
    { ms: 168 * HOUR, text: '7 days', label: '2026-11-20' },
  ])('names parts of $ms ms', ({ ms, text, label }) => {
    expect(widthText(ms)).toBe(text);
    expect(bucketLabel(Date.UTC(2026, 10, 20, 12), ms)).toBe(label);
  });
});
