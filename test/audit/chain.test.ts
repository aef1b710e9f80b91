import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GENESIS, lineHash, sha256 } from '../../src/audit/chain.ts';
import { parseMoney } from '../../src/money.ts';
import { headsOf, type LogEvent, type LogState, type Report, readLogs } from '../helpers/log-verifier.ts';
import { type Action, action, LOG_KEY, name, Scenario } from '../helpers/scenario.ts';

describe('lineHash', () => {
  it.each([
    { name: 'nothing', line: '', hash: '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d' },
    { name: 'L123456', line: 'L123456', hash: '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56' },
  ])('is the RFC 6962 leaf hash of $name', ({ line, hash }) => {
    expect(lineHash(line)).toBe(hash);
  });

  it('hashes the bytes of UTF-8, and a line without its LF', () => {
    const line = '{"tool":"é€😀"}';
    const bytes = Buffer.concat([Buffer.of(0), Buffer.from(line)]);
    expect(lineHash(line)).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(lineHash(`${line}\n`)).not.toBe(lineHash(line));
  });

  it('is no plain hash: a line cannot stand for a node of a tree, nor a node for a line', () => {
    expect(lineHash('line')).not.toBe(sha256('line'));
    expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});

describe('GENESIS', () => {
  it('is as long as a hash, and zeros', () => {
    expect(GENESIS).toBe('0'.repeat(64));
  });
});

function nano(events: readonly LogEvent[]): number {
  return events.reduce((sum, { usd = '0' }) => sum + parseMoney('usd', { usd }).usd, 0);
}

/** The last line tells of the others what they tell themselves. */
function expectSums({ events }: LogState): void {
  const close = events.at(-1) as LogEvent;
  const of = (...kinds: string[]): LogEvent[] => events.filter(({ kind }) => kinds.includes(kind));
  const denials = of('tool_denied', 'budget_denied', 'egress_denied').filter(({ observed }) => observed === undefined);
  expect(close.calls).toBe(of('tool_start').length);
  expect(close.denied).toBe(denials.length);
  expect(nano([close])).toBe(nano(of('tool_ok', 'tool_error', 'charge')));
  const started = of('tool_start').map(({ call }) => call);
  const ended = of('tool_ok', 'tool_error').map(({ call }) => call);
  expect(new Set(started).size).toBe(started.length);
  expect(ended.toSorted()).toEqual(started.toSorted());
}

/** As a holder of the key opens a salted commitment. */
function opened({ log, seq }: LogEvent, canonical: string): string {
  const block = createHmac('sha512', LOG_KEY)
    .update(`leash-salt/1\n${log}\n${Math.floor(seq / 4)}`)
    .digest();
  const salt = block.subarray((seq % 4) * 16, (seq % 4) * 16 + 16);
  return `s1:${createHash('sha256').update(salt).update(canonical).digest('hex')}`;
}

describe('the chain of a session', { timeout: 30_000 }, () => {
  it('verifies, adds up and opens for random sessions', async () => {
    await fc.assert(
      fc.asyncProperty(name, fc.array(action, { maxLength: 14 }), async (prefix, actions) => {
        const text = await new Scenario(prefix, { sign: 'none' }).play(actions);
        const report = readLogs(text);
        expect(report.problem).toBeUndefined();
        expect(report.complete).toBe(true);
        expect(text).not.toContain('secret');
        for (const log of report.logs) {
          expectSums(log);
          for (const event of log.events) {
            if (event.args === undefined) continue;
            const n = event.tool?.split('#').at(-1);
            expect([opened(event, `{"n":${n}}`), opened(event, `{"n":${n},"refuse":true}`)]).toContain(event.args);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it('shows a changed byte, a deleted, doubled or exchanged line of random sessions', async () => {
    await fc.assert(
      fc.asyncProperty(
        name,
        fc.array(action, { minLength: 3, maxLength: 12 }),
        fc.array(fc.record({ at: fc.nat(), to: fc.integer({ min: 1, max: 255 }) }), { minLength: 40, maxLength: 40 }),
        async (prefix, actions, changes) => {
          const bytes = Buffer.from(await new Scenario(prefix, { sign: 'none' }).play(actions));
          const heads = headsOf(readLogs(bytes));
          const lines = linesOf(bytes);
          for (const { at, to } of changes) {
            const changed = Buffer.from(bytes);
            const place = at % bytes.length;
            changed[place] = (changed[place] as number) ^ to;
            expect(readLogs(changed, heads).complete).toBe(false);
            const line = at % lines.length;
            expect(readLogs(lines.toSpliced(line, 1).join(''), heads).complete).toBe(false);
            expect(readLogs(lines.toSpliced(to % (lines.length + 1), 0, lines[line] as string).join('')).ok).toBe(
              false,
            );
          }
        },
      ),
      { numRuns: 12 },
    );
  });
});

function linesOf(text: Buffer | string): string[] {
  return text.toString().match(/[^\n]*\n/g) ?? [];
}

describe('a changed log', { timeout: 30_000 }, () => {
  const all: readonly Action[] = [
    { do: 'call', end: 'ok', cents: 50 },
    { do: 'deny', by: 'budget' },
    { do: 'stop' },
    { do: 'deny', by: 'guard' },
    { do: 'call', end: 'throw', cents: 5 },
    { do: 'charge', cents: 7, note: 'é"' },
  ];
  const session = async (actions = all): Promise<{ bytes: Buffer; lines: string[]; report: Report }> => {
    const bytes = Buffer.from(await new Scenario('é"', { sign: 'none' }).play(actions));
    const report = readLogs(bytes);
    expect(report.complete).toBe(true);
    expect(report.logs).toHaveLength(1);
    return { bytes, lines: linesOf(bytes), report };
  };

  it('is found for every bit of every byte', async () => {
    const { bytes, report } = await session(all.slice(0, 3));
    const heads = headsOf(report);
    const missed: string[] = [];
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 1; bit < 256; bit *= 2) {
        bytes[at] = (bytes[at] as number) ^ bit;
        if (readLogs(bytes, heads).complete) missed.push(`byte ${at}, bit ${bit}`);
        bytes[at] = (bytes[at] as number) ^ bit;
      }
    }
    expect(missed).toEqual([]);
  });

  it('names the line after a changed value, and needs the head for the last one, which nobody hashes', async () => {
    const { lines, report } = await session();
    lines.forEach((line, i) => {
      const changed = lines.with(i, line.replace(/"ts":"\d/, '"ts":"3')).join('');
      if (i < lines.length - 1) expect(readLogs(changed).problem).toMatchObject({ line: i + 2, code: 'E_CHAIN' });
      else expect(readLogs(changed).complete).toBe(true);
      expect(readLogs(changed, headsOf(report)).ok).toBe(false);
    });
  });

  it('is found for every line that is missing', async () => {
    const { lines, report } = await session();
    lines.forEach((_, i) => {
      const { problem, complete } = readLogs(lines.toSpliced(i, 1).join(''), headsOf(report));
      expect(complete).toBe(false);
      const last = i === lines.length - 1;
      expect(problem).toMatchObject(last ? { code: 'E_TRUNCATED' } : { line: i + 1, code: 'E_SEQ' });
    });
  });

  it('is found for every two lines that are exchanged', async () => {
    const { lines } = await session();
    for (let i = 0; i < lines.length; i++) {
      for (let j = i + 1; j < lines.length; j++) {
        const changed = lines.with(i, lines[j] as string).with(j, lines[i] as string);
        expect(readLogs(changed.join('')).problem).toMatchObject({ line: i + 1, code: 'E_SEQ' });
      }
    }
  });

  it('is found for every line that stands twice, wherever', async () => {
    const { lines } = await session();
    for (const line of lines) {
      for (let at = 0; at <= lines.length; at++) expect(readLogs(lines.toSpliced(at, 0, line).join('')).ok).toBe(false);
    }
  });

  it('is found where it was cut off', async () => {
    const { bytes } = await session();
    for (let length = 1; length < bytes.length; length++) {
      expect(readLogs(bytes.subarray(0, length)).complete).toBe(false);
    }
  });

  it.each<{ name: string; code: string; change: (lines: string[]) => string[] }>([
    { name: 'a byte order mark', code: 'E_FORMAT', change: (lines) => [`\ufeff${lines[0]}`, ...lines.slice(1)] },
    { name: 'a blank line', code: 'E_FORMAT', change: (lines) => lines.toSpliced(2, 0, '\n') },
    { name: 'a CR', code: 'E_FORMAT', change: (lines) => lines.map((line) => line.replace('\n', '\r\n')) },
    { name: 'a space', code: 'E_FORMAT', change: edit(':1,', ': 1,') },
    { name: 'another spelling of a number', code: 'E_FORMAT', change: edit('"us":0', '"us":0.0') },
    { name: 'a fraction', code: 'E_FORMAT', change: edit('"us":0', '"us":0.5') },
    { name: 'true for 1', code: 'E_FORMAT', change: edit('"v":1', '"v":true') },
    { name: 'another version', code: 'E_FORMAT', change: edit('"v":1', '"v":2') },
    { name: 'an unknown kind', code: 'E_FORMAT', change: edit('"tool_ok"', '"tool_done"') },
    { name: 'a kind that every object has', code: 'E_FORMAT', change: edit('"tool_ok"', '"constructor"') },
    { name: 'an unknown key', code: 'E_FORMAT', change: edit('"us":0', '"us":0,"note":"x"') },
    { name: 'a doubled key', code: 'E_FORMAT', change: edit('"us":0', '"us":0,"us":0') },
    { name: 'keys in another order', code: 'E_FORMAT', change: edit(/("us":0),("usd":"0.5")/, '$2,$1') },
    { name: 'a missing key', code: 'E_FORMAT', change: edit('"us":0,', '') },
    { name: 'money as a number', code: 'E_FORMAT', change: edit('"usd":"0.5"', '"usd":5') },
    { name: 'money with a zero at its end', code: 'E_FORMAT', change: edit('"usd":"0.5"', '"usd":"0.50"') },
    { name: 'an escape that is not needed', code: 'E_FORMAT', change: edit('"tool_ok"', '"tool\\u005fok"') },
    { name: 'text of 257 characters', code: 'E_FORMAT', change: edit('by hand', 'x'.repeat(257)) },
    { name: 'a lone surrogate', code: 'E_FORMAT', change: edit('by hand', '\\ud800') },
    { name: 'a day that is none', code: 'E_FORMAT', change: edit('-20T', '-32T') },
    { name: 'another way to hash', code: 'E_FORMAT', change: edit('"s1:', '"h1:') },
    { name: 'another origin', code: 'E_FORMAT', change: edit(/"origin":"[^"]*"/, '"origin":"leash.local/x"') },
    { name: 'no beginning', code: 'E_SEQ', change: (lines) => lines.slice(1) },
    { name: 'text after the close', code: 'E_FORMAT', change: (lines) => [...lines, 'x\n'] },
    { name: 'a line after the close', code: 'E_AFTER_CLOSE', change: (lines) => [...lines, lines.at(-1) as string] },
  ])('is found for $name', async ({ code, change }) => {
    const { lines } = await session();
    const changed = change(lines);
    expect(changed.join('')).not.toBe(lines.join(''));
    expect(readLogs(changed.join('')).problem?.code).toBe(code);
  });
});

/** Changes the first line in which there is something to change. */
function edit(from: string | RegExp, to: string): (lines: string[]) => string[] {
  return (lines) => {
    const at = lines.findIndex((line) => line.replace(from, to) !== line);
    return lines.with(at, (lines[at] as string).replace(from, to));
  };
}
