import { sign } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openNote, parseCheckpoint } from '../../src/audit/checkpoint.ts';
import type { Checkpoints } from '../../src/audit/checkpoints.ts';
import { killSwitch } from '../../src/audit/event.ts';
import { generateSessionKey, readPublicKey } from '../../src/audit/keys.ts';
import { AuditLog } from '../../src/audit/log.ts';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { logInit } from '../helpers/log-init.ts';
import { call, kindsOf, openSession, rootKey, verified } from '../helpers/signed-session.ts';

const checkpointsAt = (sink: { readonly lines: readonly string[] }): number[] =>
  kindsOf(sink).flatMap((kind, i) => (kind === 'checkpoint' ? [i] : []));
const field = (line: string | undefined, key: string): string => JSON.parse(line ?? '')[key];

describe('a log that is signed by checkpoints', () => {
  it('names its key, which nobody certified, in its first line', async () => {
    const { sink, leash } = openSession();
    expect(Buffer.from(field(sink.lines[0], 'key'), 'base64')).toHaveLength(32);
    expect(JSON.parse(sink.lines[0] ?? '')).not.toHaveProperty('cert');
    await leash.close();
    expect(await verified(sink, { tofu: true })).toMatchObject({
      ok: true,
      state: 'closed',
      logs: [{ trusted: true }],
    });
    expect(await verified(sink, { trust: [rootKey().base64] })).toMatchObject({ ok: false, code: 'E_CERT' });
  });

  it('has one after 256 events, and after 256 more', async () => {
    const { sink, leash } = openSession();
    await call(leash, 127);
    expect(sink.lines).toHaveLength(255);
    await leash.run({ tool: 'tool' }, () => {
      // The 256th event is this start.
      expect(checkpointsAt(sink)).toEqual([256]);
    });
    await call(leash, 128);
    expect(checkpointsAt(sink)).toEqual([256, 513]);
    expect(await verified(sink)).toMatchObject({ ok: true, state: 'open', signedThrough: 513 });
    await leash.close();
    expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed', logs: [{ unsigned: 0 }] });
  });

  it('has a single one at its close, also where the close is the 256th event', async () => {
    for (const events of [1, 254, 255, 256]) {
      const { sink, leash } = openSession();
      if (events % 2 === 1) await call(leash, (events - 1) / 2);
      else {
        await call(leash, events / 2 - 1);
        void leash.charge({ usd: 0 });
      }
      await leash.close();
      const [last, before] = [kindsOf(sink).at(-1), kindsOf(sink).at(-2)];
      expect([before, last]).toEqual(['session_close', 'checkpoint']);
      expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed' });
    }
  });

  it('has one after each event where every one is to be signed', async () => {
    const { sink, leash } = openSession({ sign: 'each' });
    await call(leash, 2);
    leash.stop('by hand');
    await leash.close();
    const kinds = ['session_open', 'tool_start', 'tool_ok', 'tool_start', 'tool_ok', 'kill_switch', 'session_close'];
    expect(kindsOf(sink)).toEqual(kinds.flatMap((kind) => [kind, 'checkpoint']));
    expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed', signedThrough: 13 });
  });

  it('has one after each event, in a file whose last line was torn', async () => {
    const sink = memorySink();
    const torn = { bytes: 3, sha256: 'ab'.repeat(32) };
    const { leash } = openSession({ sign: 'each', sink: Object.assign(sink, { recover: () => ({ torn }) }) });
    await leash.close();
    expect(kindsOf(sink)).toEqual(['session_open', 'log_recovered', 'checkpoint', 'session_close', 'checkpoint']);
    expect(sink.lines.filter((line) => line.includes('checkpoint')).map((line) => JSON.parse(line).size)).toEqual([
      2, 4,
    ]);
  });

  it('has neither key nor checkpoint where nothing is to be signed', async () => {
    const { sink, leash } = openSession({ sign: 'none' });
    await call(leash, 300);
    await leash.close();
    expect(checkpointsAt(sink)).toEqual([]);
    expect(JSON.parse(sink.lines[0] ?? '')).not.toHaveProperty('key');
    expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed', signedThrough: 0 });
    expect(await verified(sink, { trust: [rootKey().base64] })).toMatchObject({ ok: false, code: 'E_KEY' });
  });

  describe('by the time', () => {
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it('has one a second after the first event that no other covers, and none while nothing happens', async () => {
      const { sink, leash } = openSession();
      vi.advanceTimersByTime(999);
      expect(checkpointsAt(sink)).toEqual([]);
      await call(leash);
      vi.advanceTimersByTime(1);
      expect(checkpointsAt(sink)).toEqual([3]);
      vi.advanceTimersByTime(60_000);
      expect(checkpointsAt(sink)).toEqual([3]);
      await call(leash);
      vi.advanceTimersByTime(1_000);
      expect(checkpointsAt(sink)).toEqual([3, 6]);
      expect(await verified(sink)).toMatchObject({ ok: true, state: 'open', logs: [{ unsigned: 0 }] });
      await call(leash);
      await leash.close();
      expect(vi.getTimerCount()).toBe(0);
      vi.advanceTimersByTime(60_000);
      expect(checkpointsAt(sink)).toEqual([3, 6, 10]);
    });

    it('starts again after one that the events asked for', async () => {
      const { sink, leash } = openSession();
      vi.advanceTimersByTime(600);
      await call(leash, 127);
      await leash.run({ tool: 'tool' }, () => {
        expect(checkpointsAt(sink)).toEqual([256]);
        // The second that the first event began is not over yet.
        vi.advanceTimersByTime(300);
      });
      vi.advanceTimersByTime(999);
      expect(checkpointsAt(sink)).toEqual([256]);
      vi.advanceTimersByTime(1);
      expect(checkpointsAt(sink)).toEqual([256, 258]);
      await leash.close();
    });
  });

  it('does not keep the process alive until the next one', () => {
    const timeout = vi.spyOn(globalThis, 'setTimeout');
    openSession();
    const [made] = timeout.mock.results;
    expect((made?.value as NodeJS.Timeout | undefined)?.hasRef()).toBe(false);
    timeout.mockRestore();
  });
});

describe('onCheckpoint', () => {
  it('gets each checkpoint as a signed note, once its line is handed over', async () => {
    const notes: string[] = [];
    const lengths: number[] = [];
    const sink = memorySink();
    const onCheckpoint = (note: string): void => {
      notes.push(note);
      lengths.push(sink.lines.length);
    };
    const { leash } = openSession({ sink, sign: 'each', onCheckpoint, origin: 'acme.test' });
    await call(leash);
    await leash.close();
    expect(notes).toHaveLength(4);
    expect(lengths).toEqual([2, 4, 6, 8]);
    const { origin, key } = JSON.parse(sink.lines[0] ?? '');
    const noteKey = { name: origin, key: readPublicKey(key) ?? expect.fail('no key') };
    const heads = notes.map((note) => parseCheckpoint(openNote(note, [noteKey]).text));
    expect(heads.map(({ origin: name, size }) => ({ name, size }))).toEqual(
      [1, 3, 5, 7].map((size) => ({ name: origin, size })),
    );
    const log = origin.split('/')[1];
    const expected = heads.map(({ size, root }) => ({ log, size, root }));
    expect(await verified(sink, { heads: expected })).toMatchObject({ ok: true });
    // What it is for: an end that was cut off shows.
    const cut = { lines: sink.lines.slice(0, -2) };
    expect(await verified(cut)).toMatchObject({ ok: true, state: 'open' });
    expect(await verified(cut, { heads: expected })).toMatchObject({ ok: false, code: 'E_TRUNCATED' });
    const other = { name: origin, key: generateSessionKey().privateKey };
    expect(() => openNote(notes[0] ?? '', [other])).toThrow(expect.objectContaining({ code: 'NOTE_INVALID' }));
  });

  it('does not stop the log by throwing, and what it threw is not shown', async () => {
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const onCheckpoint = vi.fn(() => {
      throw new RangeError('a secret');
    });
    const { sink, leash } = openSession({ sign: 'each', onCheckpoint });
    await call(leash, 3);
    await leash.close();
    expect(onCheckpoint).toHaveBeenCalledTimes(8);
    expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed' });
    expect(warning).toHaveBeenCalledWith('onCheckpoint threw RangeError', 'LeashAuditWarning');
    expect(JSON.stringify(warning.mock.calls)).not.toContain('secret');
    warning.mockRestore();
  });
});

describe('rotateEvery', () => {
  it.each([
    { name: 'every checkpoint, each event', sign: 'each', rotateEvery: 1, calls: 5, rotations: 11 },
    { name: 'every second one, each event', sign: 'each', rotateEvery: 2, calls: 5, rotations: 5 },
    { name: 'every checkpoint', sign: 'checkpoint', rotateEvery: 1, calls: 300, rotations: 2 },
    { name: 'every second one', sign: 'checkpoint', rotateEvery: 2, calls: 300, rotations: 1 },
    { name: 'more than there are', sign: 'each', rotateEvery: 1000, calls: 5, rotations: 0 },
  ] as const)('replaces the session key, certified by the one before: $name', async (row) => {
    const { sign: mode, rotateEvery, calls, rotations } = row;
    const root = rootKey();
    const { sink, leash } = openSession({ sign: mode, rotateEvery, signer: root.key });
    await call(leash, calls);
    const rotated = sink.lines.filter((line) => line.includes('"key_rotated"'));
    expect(rotated).toHaveLength(rotations);
    await leash.close();
    const report = await verified(sink, { trust: [root.base64] });
    expect(report).toMatchObject({ ok: true, state: 'closed', logs: [{ unsigned: 0, trusted: true }] });
    const keys = [sink.lines[0], ...rotated].map((line) => field(line, 'key'));
    expect(new Set(keys).size).toBe(rotations + 1);
    expect(report.logs[0]?.key).toBe(keys.at(-1));
    expect(kindsOf(sink).slice(-2)).toEqual(['session_close', 'checkpoint']);
    expect(sink.lines.filter((line) => line.includes('"key_rotated"'))).toHaveLength(rotations);
  });
});

describe('the session key', () => {
  it('is gone after the close', async () => {
    const sink = memorySink();
    const log = new AuditLog(logInit(sink, { sign: 'checkpoint', rotateEvery: 1 }));
    const checkpoints = log.checkpoints as Checkpoints;
    expect(checkpoints.key.type).toBe('private');
    await log.close(',"reason":"closed","calls":0,"denied":0');
    expect(() => checkpoints.key).toThrow(/destroyed/);
    expect(() => checkpoints.line('', 3, '')).toThrow(/destroyed/);
    log.note('kill_switch', killSwitch('late'));
    expect(sink.lines).toHaveLength(3);
  });

  it('is another one in every log', async () => {
    const { sink, leash } = openSession();
    leash.child({ guards: [] });
    await leash.close();
    const opens = sink.lines.filter((line) => line.includes('"session_open"'));
    expect(new Set(opens.map((line) => field(line, 'key'))).size).toBe(2);
  });

  it('is certified by a key that the process holds', async () => {
    const root = rootKey();
    const { sink, leash } = openSession({ signer: root.key });
    await call(leash, 3);
    leash.child({ guards: [] });
    await leash.close();
    expect(await verified(sink, { trust: [rootKey().base64, root.base64] })).toMatchObject({
      ok: true,
      state: 'closed',
      logs: [{ trusted: true }, { trusted: true }],
    });
    const refused = await verified(sink, { trust: [rootKey().base64] });
    expect(refused).toMatchObject({ ok: false, firstBadLine: 1, code: 'E_CERT' });
  });

  it('is certified at once by a function that answers at once', async () => {
    const root = rootKey();
    const signer = (bytes: Uint8Array): never => sign(null, bytes, root.key) as never;
    const { sink, leash } = openSession({ signer });
    expect(sink.lines).toHaveLength(1);
    await leash.close();
    expect(await verified(sink, { trust: [root.base64] })).toMatchObject({ ok: true });
  });
});
