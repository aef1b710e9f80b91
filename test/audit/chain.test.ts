import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GENESIS, lineHash, sha256 } from '../../src/audit/chain.ts';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { isLeashError } from '../../src/errors.ts';
import type { Guard } from '../../src/guard.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { egress } from '../../src/guards/egress.ts';
import { createLeash, type Leash } from '../../src/leash.ts';
import { parseMoney } from '../../src/money.ts';
import { FakeClock } from '../helpers/clock.ts';
import { headsOf, type LogEvent, type LogState, type Report, readLogs } from '../helpers/log-verifier.ts';

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

const KEY = Buffer.from('a key of the log that tests know');
const ALLOWED = 'https://allowed.test';

type Action =
  | { readonly do: 'call'; readonly end: 'ok' | 'throw' | 'later' | 'never'; readonly cents: number }
  | { readonly do: 'deny'; readonly by: 'guard' | 'budget' | 'egress' | 'args' }
  | { readonly do: 'charge' | 'hold'; readonly cents: number; readonly note: string | undefined }
  | { readonly do: 'fetch' | 'stop' | 'resolve' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'child'; readonly observe: boolean; readonly actions: readonly Action[] };

const name = fc
  .oneof(
    fc.constantFrom('"},"prev":"', '\n{"v":1}', '\u2028', '\\', '__proto__', '\u0000', '😀'.repeat(99), 'é'),
    fc.string({ unit: 'binary', maxLength: 200 }),
  )
  .map((text) => text.slice(0, 200).toWellFormed());
const cents = fc.integer({ min: 0, max: 120 });

const { action } = fc.letrec<{ action: Action }>((tie) => ({
  action: fc.oneof(
    { maxDepth: 3 },
    fc.record({ do: fc.constant('call' as const), end: fc.constantFrom('ok', 'throw', 'later', 'never'), cents }),
    fc.record({ do: fc.constant('deny' as const), by: fc.constantFrom('guard', 'budget', 'egress', 'args') }),
    fc.record({
      do: fc.constantFrom('charge', 'hold'),
      cents,
      note: fc.option(name.filter(Boolean), { nil: undefined }),
    }),
    fc.record({ do: fc.constantFrom('fetch', 'resolve', 'resolve', 'resolve', 'resolve', 'resolve', 'stop') }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: -5000, max: 5000 }) }),
    fc.record({
      do: fc.constant('child' as const),
      observe: fc.boolean(),
      actions: fc.array(tie('action'), { maxLength: 6 }),
    }),
  ) as fc.Arbitrary<Action>,
}));

/** Refuses what the arguments ask it to refuse. */
const picky: Guard = {
  name: 'picky "},"prev":"',
  check: ({ args }) =>
    (args as { refuse?: boolean }).refuse
      ? { allow: false, code: 'PICKY', reason: '"},"prev":"\n\ud800' }
      : { allow: true },
};

/** Lets a random session happen; the log is in the sink when it is over. */
class Scenario {
  readonly sink = memorySink();
  readonly clock = new FakeClock();
  readonly prefix: string;
  readonly #resolvers: (() => void)[] = [];
  readonly #running: Promise<unknown>[] = [];
  #calls = 0;

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  async play(actions: readonly Action[], hash: 's1' | 'h1' | 'sha256' = 's1'): Promise<string> {
    const leash = createLeash({
      guards: [egress({ allow: [ALLOWED] }), picky, budget({ usd: 10 }), budget({ usd: 2, per: 'call' }), callCap(30)],
      agent: this.prefix || 'agent',
      stopOn: ['CALL_CAP_REACHED'],
      clock: this.clock,
      audit: { sink: this.sink, key: KEY, args: hash },
    });
    await this.#act(leash, actions);
    this.#resolve();
    // Refused calls, and those whose leash is closed before they end.
    const ended = Promise.allSettled(this.#running);
    await Promise.race([ended, new Promise(setImmediate)]);
    await leash.close();
    return this.sink.lines.map((line) => `${line}\n`).join('');
  }

  async #act(leash: Leash, actions: readonly Action[]): Promise<void> {
    for (const action of actions) {
      try {
        await this.#do(leash, action);
      } catch (error) {
        if (!isLeashError(error)) throw error;
      }
    }
  }

  async #do(leash: Leash, action: Action): Promise<unknown> {
    switch (action.do) {
      case 'call':
        return this.#call(leash, action.end, action.cents);
      case 'deny':
        return this.#deny(leash, action.by);
      case 'charge':
        return leash.charge({ usd: action.cents / 100 }, action.note);
      case 'hold': {
        const hold = await leash.hold({ usd: action.cents / 100 }, action.note);
        return action.cents % 3 === 0 ? hold.release() : action.cents % 3 === 1 ? hold.settle('$0.5') : undefined;
      }
      case 'fetch':
        return leash.fetch('https://elsewhere.test/secret');
      case 'stop':
        return leash.stop(`${this.prefix} by hand`);
      case 'resolve':
        return this.#resolve();
      case 'wait':
        return this.clock.advance(action.ms);
      case 'child': {
        const mode = action.observe ? 'observe' : 'enforce';
        const child = leash.child({ guards: [budget({ usd: 1 }), picky], mode, agent: `${this.prefix}child` });
        await this.#act(child, action.actions);
        return action.actions.length % 2 === 0 ? child.close() : undefined;
      }
    }
  }

  /** The number at the end of its name is in its arguments. */
  #tool(): { readonly tool: string; readonly n: number } {
    const n = this.#calls++;
    return { tool: `${this.prefix}#${n}`, n };
  }

  async #call(leash: Leash, end: string, cents: number): Promise<void> {
    const { tool, n } = this.#tool();
    const running = leash.run({ tool, args: { n }, cost: { usd: cents / 100 } }, async () => {
      if (end === 'throw') throw new TypeError('a secret');
      if (end === 'later') await new Promise<void>((resolve) => this.#resolvers.push(resolve));
      if (end === 'never') await new Promise(() => {});
      return n;
    });
    running.catch(() => {});
    this.#running.push(running);
    if (end === 'ok') await running;
    // One that is refused or throws has its line before the next action.
    else await new Promise(setImmediate);
  }

  #deny(leash: Leash, by: 'guard' | 'budget' | 'egress' | 'args'): Promise<unknown> {
    const { tool, n } = this.#tool();
    const bad: unknown = by === 'args' ? { n, secret: Number.NaN } : { n, ...(by === 'guard' ? { refuse: true } : {}) };
    const url = by === 'egress' ? 'https://elsewhere.test/secret' : `${ALLOWED}/`;
    return leash.run({ tool, args: bad, url, cost: by === 'budget' ? '$2.01' : 'free' }, () => n);
  }

  #resolve(): void {
    for (const resolve of this.#resolvers.splice(0)) resolve();
  }
}

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
  const block = createHmac('sha512', KEY)
    .update(`leash-salt/1\n${log}\n${Math.floor(seq / 4)}`)
    .digest();
  const salt = block.subarray((seq % 4) * 16, (seq % 4) * 16 + 16);
  return `s1:${createHash('sha256').update(salt).update(canonical).digest('hex')}`;
}

describe('the chain of a session', { timeout: 30_000 }, () => {
  it('verifies, adds up and opens for random sessions', async () => {
    await fc.assert(
      fc.asyncProperty(name, fc.array(action, { maxLength: 14 }), async (prefix, actions) => {
        const text = await new Scenario(prefix).play(actions);
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
          const bytes = Buffer.from(await new Scenario(prefix).play(actions));
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
    const bytes = Buffer.from(await new Scenario('é"').play(actions));
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
