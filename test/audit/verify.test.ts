import { createHash, generateKeyPairSync } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { lineHash } from '../../src/audit/chain.ts';
import { rootText } from '../../src/audit/checkpoint.ts';
import { toolStart } from '../../src/audit/event.ts';
import { headOfNote } from '../../src/audit/head.ts';
import { certify, generateSessionKey, rawPublicKey, type SessionKey } from '../../src/audit/keys.ts';
import { keyFields } from '../../src/audit/signing.ts';
import { type LogHead, type VerifyOptions, type VerifyReport, verifyLog } from '../../src/audit/verify.ts';
import { merkleRoot } from '../../src/internal/merkle.ts';
import { FREE } from '../../src/money.ts';
import { inParts, SignedLog, textOf } from '../helpers/signed-log.ts';

const directory = mkdtempSync(join(tmpdir(), 'leashkit-verify-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function check(file: string | Uint8Array | SignedLog, options?: VerifyOptions): Promise<VerifyReport> {
  return verifyLog(inParts(file instanceof SignedLog ? file.text : file), options);
}

const root = generateKeyPairSync('ed25519');
const otherRoot = generateKeyPairSync('ed25519');
const base64 = (key: typeof root): string => rawPublicKey(key.publicKey).toString('base64');

function rootAt(lines: readonly string[], size: number): string {
  return rootText(merkleRoot(lines.slice(0, size).map(lineHash)));
}

describe('verifyLog', () => {
  it('tells all of a closed log', async () => {
    const log = new SignedLog({ root: root.privateKey }).calls(3).checkpoint().charge().close();
    expect(await check(log)).toEqual({
      ok: true,
      state: 'closed',
      events: 11,
      signedThrough: 10,
      fragments: 0,
      absent: [],
      logs: [
        {
          log: log.id,
          origin: log.origin,
          ok: true,
          state: 'closed',
          events: 11,
          signedThrough: 10,
          unsigned: 0,
          trusted: false,
          key: log.signer?.publicKey,
          hash: log.prev,
          root: rootAt(log.lines, 11),
        },
      ],
    });
  });

  it.each([
    { name: 'nothing', log: '', events: 0, signedThrough: 0, state: 'open' },
    { name: 'a first line', log: new SignedLog(), events: 1, signedThrough: 0, unsigned: 1 },
    { name: 'unsigned events', log: new SignedLog().calls(2), events: 5, signedThrough: 0, unsigned: 5 },
    { name: 'a checkpoint', log: new SignedLog().calls(2).checkpoint(), events: 6, signedThrough: 5, unsigned: 0 },
    { name: 'events after it', log: new SignedLog().checkpoint().calls(2), events: 6, signedThrough: 1, unsigned: 4 },
    { name: 'two of them', log: new SignedLog().checkpoint().checkpoint(), events: 3, signedThrough: 2, unsigned: 0 },
    { name: 'no key', log: new SignedLog({ key: null }).calls(1), events: 3, signedThrough: 0, unsigned: 3 },
  ])('takes an open log with $name', async ({ log, events, signedThrough, unsigned }) => {
    const report = await check(log);
    expect(report).toMatchObject({ ok: true, state: 'open', events, signedThrough });
    expect(report.logs[0]?.unsigned).toBe(unsigned);
  });

  it('takes a log without a key for what it is', async () => {
    const log = new SignedLog({ key: null }).calls(2).close();
    const report = await check(log);
    expect(report).toMatchObject({ ok: true, state: 'closed', events: 6, signedThrough: 0 });
    expect(report.logs[0]).toMatchObject({ state: 'closed', unsigned: 6, trusted: false });
    expect(report.logs[0]).not.toHaveProperty('key');
  });

  it('knows the lines that the format allows wherever they stand', async () => {
    const log = new SignedLog().call('é€😀 "\\').calls(2).charge().stop().checkpoint().rotate().call().rotate().close();
    expect(await check(log)).toMatchObject({ ok: true, state: 'closed', events: 16 });
  });

  it('wants arguments to be hashed as the log says', async () => {
    for (const [args, ok] of [
      ['sha256', true],
      ['s1', false],
      ['h1', false],
    ] as const) {
      const log = new SignedLog()
        .event('tool_start', toolStart('c', '"t"', `${args}:${'ab'.repeat(32)}`, FREE))
        .close();
      const report = await check(log);
      expect(report.ok).toBe(ok);
      if (!ok) expect(report).toMatchObject({ code: 'E_FORMAT', firstBadLine: 2 });
    }
  });

  it('knows most lines at a glance, and reads the others in full', async () => {
    const { text } = new SignedLog().calls(40).checkpoint().charge().stop().calls(3).close();
    const parse = vi.spyOn(JSON, 'parse');
    try {
      expect(await check(text)).toMatchObject({ ok: true, state: 'closed', events: 92 });
      const read = parse.mock.calls.map(([line]) => /"kind":"(\w+)"/.exec(line)?.[1]);
      expect(read).toEqual(['session_open', 'checkpoint', 'kill_switch', 'session_close', 'checkpoint']);
    } finally {
      parse.mockRestore();
    }
  });

  it('reads a file, a stream of it and parts of any length alike', async () => {
    const text = new SignedLog().call('é€😀').calls(20).checkpoint().calls(5).close().text;
    const path = join(directory, 'whole.jsonl');
    writeFileSync(path, text);
    const whole = await verifyLog(path);
    expect(whole).toMatchObject({ ok: true, state: 'closed', events: 56 });
    expect(await verifyLog(createReadStream(path))).toEqual(whole);
    for (const length of [1, 2, 7, 255, 4096, text.length * 2]) {
      expect(await verifyLog(inParts(text, length))).toEqual(whole);
    }
  });

  it('reads files that are longer than what is read at once', async () => {
    const log = new SignedLog().calls(2_000).checkpoint().calls(2_000, 'é').close();
    const path = join(directory, 'long.jsonl');
    writeFileSync(path, log.text);
    const told: number[] = [];
    const report = await verifyLog(path, { onProgress: (bytes) => told.push(bytes) });
    expect(report).toMatchObject({ ok: true, state: 'closed', events: 8_004 });
    const size = Buffer.byteLength(log.text);
    expect(size).toBeGreaterThan(2 << 20);
    expect(told.at(-1)).toBe(size);
    expect(told.length).toBeGreaterThan(2);
    expect(told.toSorted((a, b) => a - b)).toEqual(told);
  });

  it('keeps nothing of a part that is written over when the next one is asked for', async () => {
    const log = new SignedLog().calls(9).close();
    const bytes = Buffer.from(log.text);
    const buffer = Buffer.alloc(100);
    async function* again(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 100) {
        buffer.fill(0);
        yield buffer.subarray(0, bytes.copy(buffer, 0, at, at + 100));
      }
    }
    expect(await verifyLog(again())).toMatchObject({ ok: true, state: 'closed' });
  });

  it('leaves the bytes that it is given as they are', async () => {
    const bytes = Buffer.from(new SignedLog().calls(9).close().text);
    const before = Buffer.from(bytes);
    await check(bytes);
    expect(bytes.equals(before)).toBe(true);
  });

  it('rejects with the error of a source that cannot be read', async () => {
    await expect(verifyLog(join(directory, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x');
      throw new Error('gone');
    }
    await expect(verifyLog(failing())).rejects.toThrow('gone');
    async function* texts(): AsyncGenerator<string> {
      yield 'x';
    }
    await expect(verifyLog(texts() as unknown as AsyncIterable<Uint8Array>)).rejects.toThrow('must give bytes');
  });

  it.each<{ name: string; options: unknown; error: typeof TypeError | typeof RangeError; option: string }>([
    { name: 'an unknown option', options: { trusted: [] }, error: TypeError, option: '`trusted`' },
    { name: 'no object', options: null, error: TypeError, option: 'verifyLog' },
    { name: 'a trust that is no list', options: { trust: 'x' }, error: TypeError, option: '`verifyLog.trust`' },
    { name: 'a key that is no text', options: { trust: [7] }, error: TypeError, option: '`verifyLog.trust[0]`' },
    { name: 'a key that is no base64', options: { trust: ['!'] }, error: RangeError, option: '`verifyLog.trust[0]`' },
    {
      name: 'a key of 31 bytes',
      options: { trust: [Buffer.alloc(31).toString('base64')] },
      error: RangeError,
      option: 'trust[0]',
    },
    {
      name: 'a weak key',
      options: { trust: [Buffer.alloc(32).toString('base64')] },
      error: RangeError,
      option: 'small order',
    },
    { name: 'a tofu that is no boolean', options: { tofu: 1 }, error: TypeError, option: '`verifyLog.tofu`' },
    { name: 'both', options: { tofu: true, trust: [] }, error: TypeError, option: '`verifyLog.tofu`' },
    {
      name: 'a requireClosed that is no boolean',
      options: { requireClosed: 'yes' },
      error: TypeError,
      option: 'requireClosed',
    },
    { name: 'heads that are no list', options: { heads: {} }, error: TypeError, option: '`verifyLog.heads`' },
    { name: 'a head that is none', options: { heads: [null] }, error: TypeError, option: 'verifyLog.heads[0]' },
    {
      name: 'a head without a log',
      options: { heads: [{ size: 1, root: base64(root) }] },
      error: TypeError,
      option: 'heads[0].log',
    },
    {
      name: 'a head with a log alone',
      options: { heads: [{ log: 'x' }] },
      error: TypeError,
      option: '`verifyLog.heads[0]`',
    },
    {
      name: 'a head with half of both',
      options: { heads: [{ log: 'x', size: 1, hash: 'x' }] },
      error: TypeError,
      option: 'heads[0]',
    },
    ...[{ seq: 0 }, { hash: 'ab'.repeat(32) }, { seq: 0, hash: 'ab'.repeat(32) }].map((more) => ({
      name: `a head of both kinds: ${Object.keys(more)}`,
      options: { heads: [{ log: 'x', size: 1, root: base64(root), ...more }] },
      error: TypeError,
      option: '`verifyLog.heads[0]` must have either',
    })),
    {
      name: 'a root that is no base64',
      options: { heads: [{ log: 'x', size: 1, root: '!' }] },
      error: RangeError,
      option: 'heads[0].root',
    },
    ...[`0${'ab'.repeat(32)}`, `${'ab'.repeat(32)}0`].map((hash) => ({
      name: `the hash ${hash}`,
      options: { heads: [{ log: 'x', seq: 1, hash }] },
      error: RangeError,
      option: 'heads[0].hash',
    })),
    {
      name: 'a head of no lines',
      options: { heads: [{ log: 'x', size: 0, root: base64(root) }] },
      error: RangeError,
      option: 'heads[0].size',
    },
    {
      name: 'a root in hex',
      options: { heads: [{ log: 'x', size: 1, root: 'ab'.repeat(32) }] },
      error: RangeError,
      option: 'heads[0].root',
    },
    {
      name: 'a hash in base64',
      options: { heads: [{ log: 'x', seq: 1, hash: base64(root) }] },
      error: RangeError,
      option: 'heads[0].hash',
    },
    {
      name: 'a seq below 0',
      options: { heads: [{ log: 'x', seq: -1, hash: 'ab'.repeat(32) }] },
      error: RangeError,
      option: 'heads[0].seq',
    },
  ])('refuses $name', async ({ options, error, option }) => {
    const verified = check('', options as VerifyOptions);
    await expect(verified).rejects.toThrow(error);
    await expect(verified).rejects.toThrow(option);
  });
});

describe('verifyLog of several logs in one file', () => {
  /** The lines of each log in their order, the logs mixed. */
  function mixed(logs: readonly SignedLog[], choices: readonly number[] = []): string[] {
    const queues = logs.map(({ lines }) => [...lines]);
    const lines: string[] = [];
    for (let i = 0; queues.some(({ length }) => length > 0); i++) {
      const left = queues.filter(({ length }) => length > 0);
      lines.push(left[(choices[i % choices.length] ?? i) % left.length]?.shift() as string);
    }
    return lines;
  }

  it('checks each by itself, however they are mixed', async () => {
    const logs = [
      new SignedLog().calls(9).checkpoint().calls(3).close(),
      new SignedLog({ key: null }).calls(5).close(),
      new SignedLog().rotate().calls(2).checkpoint().charge(),
    ];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 40 }), async (choices) => {
        const report = await check(textOf(mixed(logs, choices)));
        expect(report).toMatchObject({ ok: true, state: 'open', events: 28 + 12 + 8, signedThrough: 27 + 0 + 6 });
        const states = Object.fromEntries(report.logs.map(({ log, state, unsigned }) => [log, [state, unsigned]]));
        expect(states).toEqual({
          [logs[0]?.id as string]: ['closed', 0],
          [logs[1]?.id as string]: ['closed', 12],
          [logs[2]?.id as string]: ['open', 1],
        });
      }),
      { numRuns: 30 },
    );
  });

  it('names the line of the file, and lets the other logs be', async () => {
    const [one, two] = [new SignedLog().calls(9).close(), new SignedLog().calls(9).close()];
    const lines = mixed([one, two]);
    const at = lines.indexOf(one.lines[6] as string);
    const report = await check(textOf(lines.with(at, (one.lines[6] as string).replace('"us":65', '"us":66'))));
    const bad = lines.indexOf(one.lines[7] as string) + 1;
    expect(report).toMatchObject({ ok: false, state: 'open', firstBadLine: bad, code: 'E_CHAIN', events: 7 + 21 });
    expect(report.logs).toEqual([
      expect.objectContaining({ log: one.id, ok: false, state: 'open', events: 7, firstBadLine: bad, code: 'E_CHAIN' }),
      expect.objectContaining({ log: two.id, ok: true, state: 'closed', events: 21 }),
    ]);
    expect(report.logs[0]).not.toHaveProperty('hash');
  });

  it('names the first bad line of all', async () => {
    const [one, two] = [new SignedLog().calls(9).close(), new SignedLog().calls(9).close()];
    // The first log breaks late, the second one early.
    const lines = [...one.lines.toSpliced(15, 1), ...two.lines.toSpliced(3, 1)];
    expect(await check(textOf(lines))).toMatchObject({ firstBadLine: 16, code: 'E_SEQ' });
    const turned = [...two.lines.toSpliced(3, 1), ...one.lines.toSpliced(15, 1)];
    expect(await check(textOf(turned))).toMatchObject({ firstBadLine: 4, code: 'E_SEQ' });
    const signature = one.lines.map((line) => line.replace(/"sig":"(.)/, (_, c) => `"sig":"${c === 'A' ? 'B' : 'A'}`));
    expect(await check(textOf([...signature, ...two.lines.toSpliced(3, 1)]))).toMatchObject({
      firstBadLine: 21,
      code: 'E_SIG',
    });
  });

  it('tells of a line that is none which log it was of, where it says so', async () => {
    const [one, two] = [new SignedLog().calls(3).close(), new SignedLog().calls(3).close()];
    const lines = mixed([one, two]);
    const at = lines.indexOf(two.lines[4] as string);
    const report = await check(textOf(lines.with(at, `${two.lines[4]} `)));
    expect(report).toMatchObject({ firstBadLine: at + 1, code: 'E_FORMAT' });
    expect(report.logs.map(({ ok }) => ok)).toEqual([true, false]);
  });

  it('tells which log a bad line was of where nothing of that log follows, and of no log where it is not sure', async () => {
    const [one, two] = [new SignedLog().calls(3).close(), new SignedLog().calls(3).close()];
    const bad = two.lines.length;
    const of = (last: string): Promise<VerifyReport> => check(textOf([...two.lines.with(-1, last), ...one.lines]));
    const spoiled = await of(`${two.lines.at(-1)} `);
    expect(spoiled).toMatchObject({ ok: false, code: 'E_FORMAT', firstBadLine: bad });
    expect(spoiled.logs).toMatchObject([{ log: two.id, ok: false, code: 'E_FORMAT', firstBadLine: bad }, { ok: true }]);
    for (const last of [`x${two.lines.at(-1)}`, `{"v":1,"log":"${two.id}0"`]) {
      const report = await of(last);
      expect(report).toMatchObject({ ok: false, code: 'E_FORMAT', firstBadLine: bad });
      expect(report.logs.map(({ ok }) => ok)).toEqual([true, true]);
    }
  });

  it('names the first bad line of a log whatever comes of it later', async () => {
    const [one, two] = [new SignedLog().calls(3), new SignedLog().calls(3)];
    const broken = one.lines.toSpliced(3, 1);
    const report = await check(textOf([...broken.slice(0, 4), ...two.lines, `${broken[4]} `]));
    expect(report).toMatchObject({ code: 'E_SEQ', firstBadLine: 4 });
    expect(report.logs).toMatchObject([{ code: 'E_SEQ', firstBadLine: 4, events: 3 }, { ok: true }]);
  });

  it('knows no origin of a log whose first line is not there', async () => {
    const report = await check(textOf(new SignedLog().calls(2).lines.slice(1)));
    expect(report.logs).toMatchObject([{ origin: '', ok: false, code: 'E_SEQ', events: 0 }]);
  });

  it('calls no log closed behind whose end something stands', async () => {
    const closed = new SignedLog().call().close();
    const report = await check(textOf([...closed.lines, closed.lines.at(-1) as string]));
    expect(report).toMatchObject({ ok: false, state: 'open', code: 'E_AFTER_CLOSE' });
    expect(report.logs).toMatchObject([{ state: 'open', events: closed.lines.length }]);
  });

  it('holds no log to what another says of one that is broken', async () => {
    const broken = new SignedLog().calls(3);
    const other = new SignedLog({ prior: [{ log: broken.id, size: 4, hash: 'ab'.repeat(32) }] });
    const report = await check(textOf([...broken.lines.toSpliced(4, 1), ...other.lines]));
    expect(report.logs).toMatchObject([
      { ok: false, code: 'E_SEQ', events: 4 },
      { ok: true, events: 1 },
    ]);
  });

  it('looks at every log that another names', async () => {
    const [one, two] = [new SignedLog().call(), new SignedLog().call()];
    const head = ({ id, prev }: SignedLog, hash = prev) => ({ log: id, size: 3, hash });
    const named = (...prior: readonly ReturnType<typeof head>[]): Promise<VerifyReport> =>
      check(one.text + two.text + new SignedLog({ prior }).text);
    expect(await named(head(one), head(two))).toMatchObject({ ok: true });
    expect(await named(head(one), head(two, one.prev))).toMatchObject({ ok: false, code: 'E_CHAIN', firstBadLine: 7 });
  });

  it('wants a log that a head names though another log may name it too', async () => {
    const [away, here] = [new SignedLog().call(), { size: 3, hash: 'ab'.repeat(32) }];
    const { text } = new SignedLog({ prior: [{ log: away.id, ...here }] });
    expect(await check(text)).toMatchObject({ ok: true, absent: [away.id] });
    const heads = [{ log: away.id, size: 3, root: rootAt(away.lines, 3) }];
    expect(await check(text, { heads })).toMatchObject({ ok: false, code: 'E_TRUNCATED', absent: [away.id] });
  });

  it.each([
    { name: 'is the parent of another', of: (log: SignedLog) => ({ parent: { log: log.id, seq: 3, hash: log.prev } }) },
    { name: 'came before another', of: (log: SignedLog) => ({ prior: [{ log: log.id, size: 4, hash: log.prev }] }) },
  ])('holds a log that $name to what the other says of it', async ({ of }) => {
    const first = new SignedLog().call().charge();
    const second = new SignedLog(of(first)).close();
    const lost = textOf([...first.lines.slice(0, -1), ...second.lines]);
    expect(await check(textOf([...first.lines, ...second.lines]))).toMatchObject({ ok: true, absent: [] });
    expect(await check(lost)).toMatchObject({ ok: false, code: 'E_TRUNCATED', firstBadLine: 7 });
    const edited = first.lines.with(-1, (first.lines.at(-1) as string).replace('model', 'other'));
    expect(await check(textOf([...edited, ...second.lines]))).toMatchObject({ code: 'E_CHAIN', firstBadLine: 5 });
    expect(await check(textOf([...second.lines]))).toMatchObject({ ok: true, absent: [first.id] });
    // Of a log that has gone on since then nobody can tell: these bytes come but once.
    first.charge();
    expect(await check(textOf([...first.lines, ...second.lines]))).toMatchObject({ ok: true, absent: [] });
    expect(await check(textOf([...second.lines, ...first.lines]))).toMatchObject({ ok: true, absent: [] });
    expect(await check(textOf([...second.lines, ...edited]))).toMatchObject({ code: 'E_CHAIN', firstBadLine: 7 });
  });

  it('looks for all that is said of a log that is behind, in whatever order', async () => {
    const first = new SignedLog().calls(3);
    const [one = '', two = '', ...more] = first.lines;
    const said = (size: number): string => {
      return new SignedLog({ prior: [{ log: first.id, size, hash: lineHash(first.lines[size - 1] as string) }] }).text;
    };
    expect(await check(textOf([one]) + said(5) + said(3) + textOf([two, ...more]))).toMatchObject({
      ok: true,
      absent: [],
    });
    expect(await check(textOf([one]) + said(5) + said(3) + textOf([two]))).toMatchObject({ code: 'E_TRUNCATED' });
  });

  it.each([
    { where: 'is elsewhere', before: '' },
    { where: 'is behind', before: new SignedLog({ id: '0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11', key: null }).text },
  ])('is as quick where thousands of lines are expected of a log that $where', async ({ before }) => {
    const heads = (i: number) =>
      Array.from({ length: 64 }, (_, k) => ({
        log: '0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11',
        size: 1e9 - i * 64 - k,
        hash: 'ab'.repeat(32),
      }));
    // Looked through at each line, they took half a minute.
    const logs = Array.from({ length: 1_000 }, (_, i) => new SignedLog({ key: null, prior: heads(i) }).text);
    expect(await check(before + logs.join(''))).toMatchObject({ ok: before === '' });
  });

  it('takes no line of a log any more after its first bad one', async () => {
    const [one, two] = [new SignedLog().calls(3).close(), new SignedLog().calls(3)];
    const wrong = (one.lines[3] as string).replace('"usd"', '"sat"');
    const other = two.lines.slice(0, 2);
    const lines = [...one.lines.slice(0, 3), wrong.replace('"seq":3', '"seq":4'), ...other, ...one.lines.slice(3)];
    const report = await check(textOf(lines));
    expect(report).toMatchObject({ code: 'E_SEQ', firstBadLine: 4, events: 5 });
    expect(report.logs.map(({ events }) => events)).toEqual([3, 2]);
  });

  it('wants no log to be its own parent', async () => {
    const id = '0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11';
    const log = new SignedLog({ id, parent: { log: id, seq: 0, hash: 'ab'.repeat(32) } });
    expect(await check(log)).toMatchObject({ code: 'E_FORMAT', firstBadLine: 1 });
  });
});

describe('verifyLog with keys to trust', () => {
  const certified = (): SignedLog => new SignedLog({ root: root.privateKey }).calls(2).close();

  it.each([
    { name: 'certified, by a root that is trusted', options: { trust: [base64(root)] }, ok: true, trusted: true },
    {
      name: 'certified, by one of several',
      options: { trust: [base64(otherRoot), base64(root)] },
      ok: true,
      trusted: true,
    },
    { name: 'certified, by another root', options: { trust: [base64(otherRoot)] }, ok: false, code: 'E_CERT' },
    { name: 'certified, where nobody is trusted', options: { trust: [] }, ok: false, code: 'E_CERT' },
    { name: 'certified, where certificates are not looked at', options: {}, ok: true, trusted: false },
    { name: 'taken as it is', options: { tofu: true }, ok: true, trusted: true },
    { name: 'not taken as it is', options: { tofu: false }, ok: true, trusted: false },
  ])('takes a key that is $name: $ok', async ({ options, ok, code, trusted }) => {
    const report = await check(certified(), options);
    expect(report.ok).toBe(ok);
    if (ok) expect(report.logs[0]?.trusted).toBe(trusted);
    else expect(report).toMatchObject({ code, firstBadLine: 1, events: 0 });
  });

  it.each([
    { name: 'a key without a certificate', log: () => new SignedLog().calls(2).close(), code: 'E_CERT' },
    { name: 'no key', log: () => new SignedLog({ key: null }).calls(2).close(), code: 'E_KEY' },
  ])('refuses a log with $name', async ({ log, code }) => {
    expect(await check(log(), { trust: [base64(root)] })).toMatchObject({ ok: false, code, firstBadLine: 1 });
    expect(await check(log(), { tofu: true })).toMatchObject({ ok: true, state: 'closed' });
  });

  it('never trusts a log without a key', async () => {
    const report = await check(new SignedLog({ key: null }).close(), { tofu: true });
    expect(report.logs[0]).toMatchObject({ ok: true, trusted: false });
  });

  /** A first line with these key fields, and nothing else. */
  function opened(fields: (log: SignedLog) => string): string {
    const log = new SignedLog({ key: null });
    return textOf([(log.lines[0] as string).replace(',"prev"', `${fields(log)},"prev"`)]);
  }

  it.each([
    { name: 'is of small order', key: Buffer.alloc(32).toString('base64') },
    {
      name: 'is not canonical',
      key: Buffer.concat([Buffer.of(0xee), Buffer.alloc(30, 0xff), Buffer.of(0x7f)]).toString('base64'),
    },
  ])('refuses a session key that $name', async ({ key }) => {
    expect(await check(opened(() => keyFields({ key })))).toMatchObject({ code: 'E_KEY', firstBadLine: 1 });
  });

  it('refuses a certificate of no key', async () => {
    const cert = Buffer.alloc(64).toString('base64');
    expect(await check(opened(() => `,"cert":"${cert}"`))).toMatchObject({ code: 'E_KEY', firstBadLine: 1 });
  });

  it('refuses the certificate of another log, and of another key', async () => {
    const { publicKey } = generateSessionKey();
    const cert = (origin: string, key: string): string => certify(root.privateKey, origin, key) as string;
    const options = { trust: [base64(root)] };
    const right = opened((log) => keyFields({ key: publicKey, cert: cert(log.origin, publicKey) }));
    expect(await check(right, options)).toMatchObject({ ok: true });
    const otherLog = opened((log) => keyFields({ key: publicKey, cert: cert(`${log.origin}x`, publicKey) }));
    expect(await check(otherLog, options)).toMatchObject({ code: 'E_CERT', firstBadLine: 1 });
    const otherKey = opened((log) =>
      keyFields({ key: publicKey, cert: cert(log.origin, generateSessionKey().publicKey) }),
    );
    expect(await check(otherKey, options)).toMatchObject({ code: 'E_CERT', firstBadLine: 1 });
  });

  it.each([
    { name: 'of another log', origin: 'test.local/0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11', code: 'E_FOREIGN' },
    { name: 'without a log', origin: 'test.local', code: 'E_FOREIGN' },
    { name: 'with a space', origin: 'my test.local/$', code: 'E_FORMAT' },
    { name: 'with an LF', origin: 'x\\n5\\nAAAA/$', code: 'E_FORMAT' },
  ])('refuses an origin $name', async ({ origin, code }) => {
    const log = new SignedLog();
    const line = (log.lines[0] as string).replace(log.origin, origin.replace('$', log.id));
    expect(await check(textOf([line]))).toMatchObject({ ok: false, code, firstBadLine: 1 });
  });
});

describe('verifyLog of a log whose key changed', () => {
  it('follows the key, certified by the one before it', async () => {
    const log = new SignedLog({ root: root.privateKey })
      .call()
      .checkpoint()
      .rotate()
      .call()
      .checkpoint()
      .rotate()
      .close();
    const report = await check(log, { trust: [base64(root)] });
    expect(report).toMatchObject({ ok: true, state: 'closed' });
    expect(report.logs[0]).toMatchObject({ trusted: true, key: log.signer?.publicKey });
  });

  const rotated = (fields: (log: SignedLog, next: SessionKey) => string): string => {
    const log = new SignedLog().call();
    return log.event('key_rotated', fields(log, generateSessionKey())).text;
  };
  it.each([
    {
      name: 'certified by itself',
      fields: (log: SignedLog, next: SessionKey) =>
        keyFields({ key: next.publicKey, cert: certify(next.privateKey, log.origin, next.publicKey) as string }),
      code: 'E_CERT',
    },
    {
      name: 'certified by the root',
      fields: (log: SignedLog, next: SessionKey) =>
        keyFields({ key: next.publicKey, cert: certify(root.privateKey, log.origin, next.publicKey) as string }),
      code: 'E_CERT',
    },
    {
      name: 'not certified',
      fields: (_: SignedLog, next: SessionKey) => keyFields({ key: next.publicKey }),
      code: 'E_FORMAT',
    },
    {
      name: 'weak',
      fields: (log: SignedLog) => {
        const key = Buffer.alloc(32).toString('base64');
        return keyFields({ key, cert: certify(root.privateKey, log.origin, key) as string });
      },
      code: 'E_KEY',
    },
  ])('refuses a new key that is $name', async ({ fields, code }) => {
    expect(await check(rotated(fields))).toMatchObject({ ok: false, code, firstBadLine: 4 });
  });

  it('refuses a new key in a log that has none', async () => {
    const { publicKey: key } = generateSessionKey();
    const log = new SignedLog({ key: null });
    log.event('key_rotated', keyFields({ key, cert: certify(root.privateKey, log.origin, key) as string }));
    expect(await check(log)).toMatchObject({ code: 'E_KEY', firstBadLine: 2 });
  });

  it('refuses a checkpoint that the old key signed', async () => {
    const key = generateSessionKey();
    const log = new SignedLog({ key }).call();
    log.signer?.rotate(generateSessionKey().privateKey);
    const fields = new SignedLog({ id: log.id, key }).signer?.rotate(generateSessionKey().privateKey);
    log.event('key_rotated', keyFields(fields ?? { key: '' }));
    // The signer has gone over to a key that the log does not name.
    expect(await check(log.checkpoint())).toMatchObject({
      code: 'E_SIG',
      firstBadLine: 5,
      events: 4,
      signedThrough: 0,
    });
  });
});

describe('verifyLog of a log with several wrong signatures', () => {
  /** Its signer has gone over to a key that the log does not name. */
  const wrong = (): SignedLog => {
    const log = new SignedLog().call();
    log.signer?.rotate(generateSessionKey().privateKey);
    return log.checkpoint();
  };

  it('goes back to the first of them', async () => {
    const report = await check(wrong().charge().checkpoint().charge());
    expect(report).toMatchObject({ code: 'E_SIG', firstBadLine: 4, events: 3, signedThrough: 0 });
    expect(report.logs).toMatchObject([{ code: 'E_SIG', firstBadLine: 4, events: 3 }]);
  });

  it('tells of nothing else where the line is not the one that a head names', async () => {
    const log = wrong();
    const report = await check(log, { heads: [{ log: log.id, seq: 3, hash: 'ab'.repeat(32) }] });
    expect(report).toMatchObject({ code: 'E_ROOT', firstBadLine: 4, events: 4 });
  });

  it('tells of it before what else is wrong behind it', async () => {
    const log = wrong().charge().charge().charge();
    const report = await check(textOf(log.lines.toSpliced(5, 1)));
    expect(report).toMatchObject({ code: 'E_SIG', firstBadLine: 4, events: 3 });
    expect(report.logs).toMatchObject([{ code: 'E_SIG', firstBadLine: 4, events: 3 }]);
  });
});

describe('verifyLog with heads', () => {
  const log = new SignedLog().calls(5).checkpoint().calls(2).close();
  const other = new SignedLog().calls(5).close();
  const headOf = ({ id, lines }: SignedLog, size: number): LogHead => ({ log: id, size, root: rootAt(lines, size) });
  const lineOf = ({ id, lines }: SignedLog, seq: number): LogHead => ({
    log: id,
    seq,
    hash: lineHash(lines[seq] as string),
  });

  it('finds every beginning of the log in it', async () => {
    const sizes = log.lines.map((_, i) => i + 1);
    for (const size of sizes) {
      expect(await check(log, { heads: [headOf(log, size)] })).toMatchObject({ ok: true });
      expect(await check(log, { heads: [lineOf(log, size - 1)] })).toMatchObject({ ok: true });
    }
    const all = sizes.flatMap((size) => [headOf(log, size), lineOf(log, size - 1)]).toReversed();
    expect(await check(log, { heads: all })).toMatchObject({ ok: true, state: 'closed' });
  });

  it('finds what a note of it says', async () => {
    const signed = new SignedLog({ name: 'a/b' }).calls(5).checkpoint();
    const note = signed.signer?.note() ?? '';
    expect(headOfNote(note)).toEqual({ log: signed.id, size: 11, root: rootAt(signed.lines, 11) });
    const later = signed.charge();
    expect(await check(later, { heads: [headOfNote(note)] })).toMatchObject({ ok: true });
    expect(await check(textOf(later.lines.slice(0, 10)), { heads: [headOfNote(note)] })).toMatchObject({
      code: 'E_TRUNCATED',
    });
    for (const text of ['', 'o\n1\n', note.replace('\n11\n', '\n011\n')]) {
      expect(() => headOfNote(text)).toThrow(expect.objectContaining({ code: 'NOTE_INVALID' }));
    }
  });

  it('finds in no shorter log what the longer one was', async () => {
    for (let length = 1; length < log.lines.length; length++) {
      const text = textOf(log.lines.slice(0, length));
      expect(await check(text)).toMatchObject({ ok: true, state: 'open' });
      for (const heads of [
        [headOf(log, length + 1)],
        [lineOf(log, length)],
        [headOf(log, 1), headOf(log, length + 1)],
      ]) {
        expect(await check(text, { heads })).toMatchObject({
          ok: false,
          code: 'E_TRUNCATED',
          firstBadLine: length + 1,
        });
      }
    }
  });

  it.each<{ name: string; head: LogHead; line: number }>([
    { name: 'a root of another size', head: { log: log.id, size: 7, root: rootAt(log.lines, 6) }, line: 7 },
    { name: 'a root of another log', head: { log: log.id, size: 5, root: rootAt(other.lines, 5) }, line: 5 },
    {
      name: 'the hash of another line',
      head: { log: log.id, seq: 7, hash: lineHash(log.lines[6] as string) },
      line: 8,
    },
    { name: 'a root at the end', head: { log: log.id, size: 18, root: rootAt(log.lines, 17) }, line: 18 },
    { name: 'a root at the start', head: { log: log.id, size: 1, root: rootAt(log.lines, 2) }, line: 1 },
  ])('refuses a log that does not have $name', async ({ head, line }) => {
    expect(log.lines).toHaveLength(18);
    expect(await check(log, { heads: [head] })).toMatchObject({ ok: false, code: 'E_ROOT', firstBadLine: line });
  });

  it('wants every head of a log', async () => {
    const wrong: LogHead = { log: log.id, size: 7, root: rootAt(log.lines, 6) };
    for (const heads of [
      [wrong, headOf(log, 9)],
      [headOf(log, 9), wrong],
      [headOf(log, 2), wrong],
    ]) {
      expect(await check(log, { heads })).toMatchObject({ ok: false, code: 'E_ROOT', firstBadLine: 7 });
    }
  });

  it('wants every log that a head names to be there', async () => {
    const heads = [headOf(log, 3), headOf(other, 3)];
    const both = textOf([...log.lines, ...other.lines]);
    expect(await check(both, { heads })).toMatchObject({ ok: true });
    expect(await check(log, { heads })).toMatchObject({ code: 'E_TRUNCATED', firstBadLine: 19, absent: [other.id] });
    expect(await check('', { heads })).toMatchObject({ code: 'E_TRUNCATED', firstBadLine: 1 });
  });
});

describe('verifyLog with requireClosed', () => {
  const log = new SignedLog().calls(2).close();
  it.each([
    { name: 'an open log', file: textOf(log.lines.slice(0, -1)), line: 7 },
    { name: 'an open log among closed ones', file: log.text + new SignedLog().text, line: 9 },
    { name: 'a torn tail', file: `${log.text}x`, line: 8 },
    { name: 'a closed log without its last LF', file: log.text.slice(0, -1), line: 7 },
    { name: 'nothing', file: '', line: 1 },
  ])('refuses $name', async ({ file, line }) => {
    expect(await check(file)).toMatchObject({ ok: true });
    expect(await check(file, { requireClosed: true })).toMatchObject({
      ok: false,
      code: 'E_TRUNCATED',
      firstBadLine: line,
    });
  });

  it('takes closed logs, signed or not', async () => {
    const unsigned = new SignedLog({ key: null }).calls(1).close();
    expect(await check(log.text + unsigned.text, { requireClosed: true })).toMatchObject({ ok: true, state: 'closed' });
  });
});

describe('verifyLog of a torn file', () => {
  const died = new SignedLog().calls(3);
  const whole = died.text;
  const start = textOf(died.lines.slice(0, -1)).length;

  it('takes a file that ends in the middle of a line, wherever', async () => {
    for (let length = start + 1; length < whole.length; length++) {
      expect(await check(whole.slice(0, length))).toMatchObject({ ok: true, state: 'torn-tail', events: 6 });
    }
    expect(await check(`${whole}\0\0\0`)).toMatchObject({ ok: true, state: 'torn-tail', events: 7 });
    expect(await check('x')).toMatchObject({ ok: true, state: 'torn-tail', events: 0 });
  });

  it('takes the torn line once the next session has it on record', async () => {
    for (const length of [start + 1, start + 70, whole.length - 1]) {
      const fragment = whole.slice(start, length);
      const next = new SignedLog().recovered(fragment).call().close();
      const report = await check(`${whole.slice(0, length)}\n${next.text}`);
      const complete = length === whole.length - 1;
      expect(report).toMatchObject({ ok: true, state: 'open', fragments: complete ? 0 : 1 });
      expect(report.logs.map(({ state }) => state)).toEqual(['open', 'closed']);
    }
  });

  it('takes bytes that are no text, and several torn lines', async () => {
    const first = Buffer.from([0, 0xff, 0xfe, 0x80, 0]);
    const [one, two] = [new SignedLog().recovered(first).charge(), new SignedLog().recovered('{"v":1,').close()];
    const file = Buffer.concat([Buffer.from(died.text), first, Buffer.from(`\n${one.text}{"v":1,\n${two.text}`)]);
    expect(await check(file)).toMatchObject({ ok: true, state: 'open', fragments: 2 });
  });

  it('takes a record of a torn line that is not in this copy', async () => {
    expect(await check(new SignedLog().recovered('{"v":1').close())).toMatchObject({ ok: true, state: 'closed' });
  });

  /** The session that died, going on. */
  function afterDeath(): SignedLog {
    const log = new SignedLog({ id: died.id });
    log.lines.splice(0, 1, ...died.lines);
    return log;
  }

  const fragment = '{"v":1,"log":"';
  const sha256 = createHash('sha256').update(fragment).digest('hex');
  const at = died.lines.length + 1;
  it.each<{ name: string; rest: readonly string[]; line?: number }>([
    { name: 'nothing after it', rest: [] },
    { name: 'a session alone', rest: new SignedLog().lines },
    { name: 'a session that says nothing of it', rest: new SignedLog().charge().charge().lines },
    {
      name: 'the session after the next',
      rest: [...new SignedLog().lines, ...new SignedLog().recovered(fragment).lines],
    },
    { name: 'the same session, later', rest: new SignedLog().charge().recovered(fragment).lines },
    { name: 'other bytes', rest: new SignedLog().recovered('{"v":1,"log";"').lines },
    { name: 'another length', rest: new SignedLog().event('log_recovered', `,"bytes":13,"sha256":"${sha256}"`).lines },
    { name: 'another torn line between', rest: ['x', ...new SignedLog().recovered(fragment).lines] },
    { name: 'a line of its own log between', rest: [died.lines.at(-1) as string] },
    {
      name: 'an event of the session that died between',
      rest: [afterDeath().charge().lines.at(-1) as string, ...new SignedLog().recovered(fragment).lines],
    },
    {
      name: 'a record of an older session',
      rest: [...new SignedLog().lines, afterDeath().recovered(fragment).lines.at(-1) as string],
    },
    {
      name: 'a record of an older session that went on',
      rest: afterDeath().charge().recovered(fragment).lines.slice(-2),
    },
  ])('refuses a torn line with $name', async ({ rest }) => {
    const file = `${died.text}${fragment}\n${textOf(rest)}`;
    expect(await check(file)).toMatchObject({ ok: false, code: 'E_FORMAT', firstBadLine: at });
  });

  it('refuses a blank line, whoever vouches for it', async () => {
    const next = new SignedLog().event('log_recovered', `,"bytes":0,"sha256":"${createHash('sha256').digest('hex')}"`);
    expect(await check(`${died.text}\n${next.text}`)).toMatchObject({ ok: false, code: 'E_FORMAT', firstBadLine: at });
  });

  it('does not read a file without LF into memory, and takes no line of that length', async () => {
    const part = Buffer.alloc(1 << 20, 'x');
    async function* endless(last: string): AsyncGenerator<Uint8Array> {
      yield Buffer.from(died.lines[0] as string);
      for (let i = 0; i < 65; i++) yield part;
      yield Buffer.from(last);
    }
    expect(await verifyLog(endless(''))).toMatchObject({ ok: true, state: 'torn-tail', events: 0 });
    expect(await verifyLog(endless('\n'))).toMatchObject({ ok: false, code: 'E_FORMAT', firstBadLine: 1 });
  });
});
