import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fileSink } from '../../src/audit/file-sink.ts';
import { priorHeads } from '../../src/audit/prior-heads.ts';
import type { PriorHead } from '../../src/audit/sink.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import { createLeash } from '../../src/leash.ts';
import { SignedLog, textOf } from '../helpers/signed-log.ts';
import { call } from '../helpers/signed-session.ts';

let directory: string;
let path: string;
let files = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leashkit-prior-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  path = join(directory, `${files++}.jsonl`);
});

const headOf = ({ id, lines, prev }: SignedLog): PriorHead => ({ log: id, size: lines.length, hash: prev });
const headsIn = (text: string): readonly PriorHead[] => {
  writeFileSync(path, text);
  const descriptor = openSync(path, 'r');
  try {
    return priorHeads(descriptor, statSync(path).size);
  } finally {
    closeSync(descriptor);
  }
};

describe('priorHeads', () => {
  it('is empty for a file without a line', () => {
    expect(headsIn('')).toEqual([]);
    expect(headsIn('{"v":1,"log":')).toEqual([]);
  });

  it.each([
    ['no UUID', '{"v":1,"log":"------------------------------------","seq":0,"x":"y"}'],
    ['a UUID with a capital', '{"v":1,"log":"0A000000-0000-4000-8000-000000000000","seq":0,"x":"y"}'],
    ['text before it', ` ${new SignedLog().lines[0]}`],
    ['a number with zeros', '{"v":1,"log":"0a000000-0000-4000-8000-000000000000","seq":007,"x":"y"}'],
  ])('does not name a line with %s, which no log could name', (_, line) => {
    expect(headsIn(`${line}\n`)).toEqual([]);
  });

  it('has the last line of each log, the one that wrote last being the last', () => {
    const [a, b, c] = [new SignedLog(), new SignedLog().calls(2), new SignedLog().call().close()] as const;
    const text = a.text + b.text + c.text;
    expect(headsIn(text)).toEqual([headOf(a), headOf(b), headOf(c)]);
    const before = a.text;
    a.call();
    expect(headsIn(text + a.text.slice(before.length))).toEqual([headOf(b), headOf(c), headOf(a)]);
  });

  it('does not take a torn line, nor what is no line of a log, for a head', () => {
    const log = new SignedLog().calls(3);
    const head = headOf(log);
    const { text } = new SignedLog();
    const next = text.slice(0, -30);
    // The last one lacks its LF alone.
    for (const after of [
      text.slice(0, -1),
      next,
      'text\n',
      '{}\n',
      '\n',
      `${next}\n`,
      '{"v":2,"log":"x","seq":3,"prev":""}\n',
    ]) {
      expect(headsIn(log.text + after)).toEqual([head]);
    }
  });

  it.each([
    { name: 'the line that opened its parent', torn: ({ text }: SignedLog) => text.slice(0, text.indexOf('"}') + 2) },
    {
      name: 'arguments that were written as they are',
      torn: ({ lines }: SignedLog) => (lines[3] as string).slice(0, (lines[3] as string).indexOf('"}') + 2),
    },
  ])('does not take a line for a head that was torn behind $name', ({ torn }) => {
    const parent = new SignedLog();
    const log = new SignedLog({ parent: { log: parent.id, seq: 0, hash: parent.prev } }).call();
    log.event('charge', ',"x":{"raw":{"to":"bob"},"n":1}');
    const fragment = torn(log);
    expect(fragment).toMatch(/"\}$/);
    const before = fragment.includes('session_open') ? parent.text : parent.text + textOf(log.lines.slice(0, 3));
    const next = new SignedLog().recovered(fragment);
    expect(headsIn(`${before}${fragment}\n${next.text}`)).toEqual([...headsIn(before), headOf(next)]);
  });

  it('names the eight that wrote last', () => {
    const logs = Array.from({ length: 11 }, () => new SignedLog().call());
    expect(headsIn(logs.map(({ text }) => text).join(''))).toEqual(logs.slice(-8).map(headOf));
  });

  it('looks at the end of a file alone, and never takes half a line for one', () => {
    const log = new SignedLog();
    const last = new SignedLog().calls(20);
    const text = log.text + textOf(Array(100).fill(new SignedLog().calls(2).lines[1])) + last.text;
    for (let extra = 0; extra < 400; extra += 37) {
      const padding = `${'x'.repeat(65_536 - Buffer.byteLength(text) + extra)}\n`;
      expect(headsIn(padding + text).at(-1)).toEqual(headOf(last));
    }
    expect(headsIn(`${log.text}${'x'.repeat(65_536)}\n${last.text}`)).toEqual([headOf(last)]);
    // Arguments that were written as they are may look like a line, right where the part that is looked at begins.
    const within = new SignedLog().text + last.text;
    expect(headsIn(`x${within}${'x'.repeat(65_535 - Buffer.byteLength(within))}\n`)).toEqual([headOf(last)]);
    // Where the part that is looked at begins inside a line, wherever that is.
    const before = new SignedLog();
    for (let inside = 1; inside < Buffer.byteLength(before.text); inside += 13) {
      const padding = 'x'.repeat(65_536 - 1 - inside - Buffer.byteLength(last.text));
      expect(headsIn(`${before.text}${padding}\n${last.text}`)).toEqual([headOf(last)]);
    }
  });
});

describe('a session in a file of others', () => {
  const session = async (calls: number): Promise<void> => {
    const leash = createLeash({ guards: [], audit: fileSink(path) });
    await call(leash, calls);
    await leash.close();
  };
  const opens = (): { log: string; prior?: PriorHead[] }[] =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.includes('"session_open"'))
      .map((line) => JSON.parse(line));

  it('names their last lines, so that one that is cut off shows', async () => {
    await session(2);
    const first = readFileSync(path, 'utf8');
    await session(1);
    await session(0);
    const [a, b, c] = opens();
    expect(a).not.toHaveProperty('prior');
    expect(b?.prior?.map(({ log, size }) => ({ log, size }))).toEqual([{ log: a?.log, size: 7 }]);
    expect(c?.prior?.map(({ log, size }) => ({ log, size }))).toEqual([
      { log: a?.log, size: 7 },
      { log: b?.log, size: 5 },
    ]);
    expect(await verifyLog(path)).toMatchObject({ ok: true, state: 'closed', absent: [] });
    // Somebody cuts off the end of the first log.
    const all = readFileSync(path, 'utf8');
    const lines = first.split('\n');
    for (let keep = 1; keep < 7; keep++) {
      writeFileSync(path, `${lines.slice(0, keep).join('\n')}\n${all.slice(first.length)}`);
      expect(await verifyLog(path)).toMatchObject({ ok: false });
    }
    // All of it: that it is absent can be seen.
    writeFileSync(path, all.slice(first.length));
    expect(await verifyLog(path)).toMatchObject({ ok: true, absent: [a?.log] });
  });

  it('names no line that a crash tore off, so that the verifier does not miss the rest of it', async () => {
    const log = new SignedLog().call().event('charge', ',"x":{"raw":{"to":"bob"},"n":1}');
    const torn = log.lines[3] as string;
    writeFileSync(path, textOf(log.lines.slice(0, 3)) + torn.slice(0, torn.indexOf('"}') + 2));
    await session(1);
    await session(1);
    expect(opens()[2]?.prior).toMatchObject([{ log: log.id, size: 3 }, { log: opens()[1]?.log }]);
    expect(await verifyLog(path)).toMatchObject({ ok: true, fragments: 1, absent: [] });
  });

  it('names one that goes on, and the verifier takes both', async () => {
    const first = createLeash({ guards: [], audit: fileSink(path) });
    await call(first, 1);
    const second = createLeash({ guards: [], audit: fileSink(path) });
    await call(first, 1);
    await call(second, 1);
    await first.close();
    await second.close();
    expect(opens()[1]?.prior).toMatchObject([{ log: opens()[0]?.log, size: 3 }]);
    expect(await verifyLog(path)).toMatchObject({ ok: true, state: 'closed', absent: [] });
  });
});
