import { createHash, createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ArgsHash, createCommit } from '../../src/audit/commitment.ts';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { createLeash } from '../../src/leash.ts';
import { type LogEvent, readLogs } from '../helpers/log-verifier.ts';

const KEY = Buffer.from('0123456789abcdef0123456789abcdef');
const LOG = '00000000-0000-4000-8000-000000000000';

/** The documented way to the salt of one event, for who holds the key. */
function saltOf(key: Uint8Array, log: string, seq: number): Uint8Array {
  const block = Math.floor(seq / 4);
  const index = seq % 4;
  const salts = createHmac('sha512', key).update(`leash-salt/1\n${log}\n${block}`).digest();
  return salts.subarray(16 * index, 16 * (index + 1));
}

/** The documented way to open an event, for who was given its salt and the arguments. */
function openSalted(salt: Uint8Array, canonical: string): string {
  return `s1:${createHash('sha256').update(salt).update(canonical, 'utf8').digest('hex')}`;
}

const keyed = (key: Uint8Array, canonical: string): string =>
  `h1:${createHmac('sha256', key).update(canonical).digest('hex')}`;
const plain = (canonical: string): string => `sha256:${createHash('sha256').update(canonical).digest('hex')}`;

describe('createCommit', () => {
  it.each<{ mode: ArgsHash; wanted: string }>([
    { mode: 's1', wanted: 's1:d8645ee57aaa621b7d97f414bd5359d661d0fc957c489f73b9c00537640eb7b8' },
    { mode: 'h1', wanted: 'h1:f0546246da9e2349100c845a8561214788d75d900f3c086a72fcfa03bb1f42ab' },
    { mode: 'sha256', wanted: 'sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862' },
  ])('gives the same text for ever: $mode', ({ mode, wanted }) => {
    expect(createCommit(mode, KEY, LOG)('{"a":1}', 5)).toBe(wanted);
  });

  it.each([
    { name: 'nothing', canonical: '' },
    { name: 'null', canonical: 'null' },
    { name: 'an object', canonical: '{"amount":1200,"card":"4242"}' },
    { name: 'characters of two bytes', canonical: '"éèü"' },
    { name: 'characters of three bytes', canonical: `"${'€'.repeat(100)}"` },
    { name: 'characters of four bytes', canonical: `"${'😀'.repeat(100)}"` },
    { name: '4080 bytes, with the salt 4096', canonical: `"${'x'.repeat(4078)}"` },
    { name: '4081 bytes', canonical: `"${'x'.repeat(4079)}"` },
    { name: 'a third of 4080 characters of three bytes', canonical: '€'.repeat(1360) },
    { name: 'one more of them', canonical: '€'.repeat(1361) },
    { name: '100 000 bytes', canonical: `"${'x'.repeat(100_000)}"` },
    { name: 'two million bytes', canonical: `"${'€'.repeat(700_000)}"` },
  ])('commits to $name', ({ canonical }) => {
    const salted = createCommit('s1', KEY, LOG);
    for (let seq = 0; seq < 9; seq++) {
      expect(salted(canonical, seq)).toBe(openSalted(saltOf(KEY, LOG, seq), canonical));
      // What a long one left in memory is no part of a short one.
      expect(salted('1', seq)).toBe(openSalted(saltOf(KEY, LOG, seq), '1'));
    }
    expect(createCommit('h1', KEY, LOG)(canonical, 3)).toBe(keyed(KEY, canonical));
    expect(createCommit('sha256', KEY, LOG)(canonical, 3)).toBe(plain(canonical));
  });

  it('commits to any text at any place, in any order', () => {
    const salted = createCommit('s1', KEY, LOG);
    const seqs = fc.oneof(fc.nat(40), fc.maxSafeNat());
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 3000 }), seqs, (canonical, seq) => {
        expect(salted(canonical, seq)).toBe(openSalted(saltOf(KEY, LOG, seq), canonical));
      }),
    );
  });

  it('has another salt for every event of every log under every key', () => {
    const salts = new Set<string>();
    let made = 0;
    for (const key of [KEY, randomBytes(16), randomBytes(64)]) {
      for (const log of [LOG, LOG.replace('4', '5')]) {
        const salted = createCommit('s1', key, log);
        for (let seq = 0; seq < 50; seq++, made++) salts.add(salted('{"same":"arguments"}', seq));
      }
    }
    expect(salts.size).toBe(made);
  });

  it('links equal arguments under h1 and sha256, and under h1 for one key alone', () => {
    for (const mode of ['h1', 'sha256'] as const) {
      const commit = createCommit(mode, KEY, LOG);
      expect(commit('1', 0)).toBe(commit('1', 7));
      expect(commit('1', 0)).not.toBe(commit('2', 0));
      expect(createCommit(mode, KEY, 'another log')('1', 0)).toBe(commit('1', 0));
    }
    expect(createCommit('h1', randomBytes(32), LOG)('1', 0)).not.toBe(createCommit('h1', KEY, LOG)('1', 0));
  });
});

describe('the arguments in a log', () => {
  /** The events of calls with these arguments, each in its own tool. */
  const logged = async (hash: ArgsHash, calls: readonly unknown[], key = KEY): Promise<readonly LogEvent[]> => {
    const sink = memorySink();
    const leash = createLeash({ guards: [], audit: { sink, args: hash, key } });
    for (const args of calls) await leash.run({ tool: 'tool', args }, () => 'done');
    await leash.close();
    const report = readLogs(`${sink.lines.join('\n')}\n`);
    expect(report.complete).toBe(true);
    return report.logs.flatMap(({ events }) => events.filter(({ args }) => args !== undefined));
  };

  it('are opened one event at a time by who is given its salt', async () => {
    const [first, second] = await logged('s1', [{ b: 'é', a: [1, 2] }, { a: null }]);
    expect(first?.args).toBe(openSalted(saltOf(KEY, first?.log ?? '', first?.seq ?? -1), '{"a":[1,2],"b":"é"}'));
    const salt = saltOf(KEY, second?.log ?? '', second?.seq ?? -1);
    expect(second?.args).toBe(openSalted(salt, '{"a":null}'));
    expect(second?.args).not.toBe(openSalted(salt, '{"a":0}'));
    // The salt of one event says nothing of another.
    expect(first?.args).not.toBe(openSalted(salt, '{"a":[1,2],"b":"é"}'));
  });

  it.each<{ hash: ArgsHash; different: number }>([
    { hash: 's1', different: 12 },
    { hash: 'h1', different: 1 },
    { hash: 'sha256', different: 1 },
  ])('of 12 equal calls in two logs have $different commitments under $hash', async ({ hash, different }) => {
    const calls = Array.from({ length: 6 }, () => ({ to: 'the same' }));
    const events = [...(await logged(hash, calls)), ...(await logged(hash, calls))];
    expect(events).toHaveLength(12);
    expect(new Set(events.map(({ args }) => args)).size).toBe(different);
  });

  it('are guessed from a plain hash, and from no other without the key', async () => {
    const pins = Array.from({ length: 10_000 }, (_, n) => `{"pin":"${String(n).padStart(4, '0')}"}`);
    const dictionary = new Map(pins.map((pin) => [createHash('sha256').update(pin).digest('hex'), pin]));
    const guess = async (hash: ArgsHash): Promise<string | undefined> => {
      const [event] = await logged(hash, [{ pin: '4711' }], randomBytes(32));
      return dictionary.get(event?.args?.split(':')[1] ?? '');
    };
    expect(await guess('sha256')).toBe('{"pin":"4711"}');
    expect(await guess('h1')).toBeUndefined();
    expect(await guess('s1')).toBeUndefined();
  });

  it('need the key as it was when the session was opened', async () => {
    const key = Buffer.from(KEY);
    const sink = memorySink();
    const leash = createLeash({ guards: [], audit: { sink, key } });
    key.fill(0);
    await leash.run({ tool: 'tool', args: 1 }, () => 'done');
    await leash.close();
    const event = readLogs(`${sink.lines.join('\n')}\n`).logs[0]?.events[1] as LogEvent;
    expect(event.args).toBe(openSalted(saltOf(KEY, event.log, event.seq), '1'));
  });

  it('have a key of their own in every session that was given none', async () => {
    const sink = memorySink();
    for (let i = 0; i < 2; i++) {
      const leash = createLeash({ guards: [], audit: { sink, args: 'h1' } });
      await leash.run({ tool: 'tool', args: 1 }, () => 'done');
      await leash.close();
    }
    const events = readLogs(`${sink.lines.join('\n')}\n`).logs.map((log) => log.events[1]?.args);
    expect(events[0]).toMatch(/^h1:[0-9a-f]{64}$/);
    expect(events[0]).not.toBe(events[1]);
  });

  it.each([
    { name: 'no bytes', key: 'a string', error: TypeError },
    { name: '15 bytes', key: new Uint8Array(15), error: RangeError },
  ])('refuse a key of $name', ({ key, error }) => {
    const make = (): unknown => createLeash({ guards: [], audit: { sink: memorySink(), key: key as Uint8Array } });
    expect(make).toThrow(error);
    expect(make).toThrow('audit.key');
  });
});
