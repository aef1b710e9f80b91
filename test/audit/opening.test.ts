import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ArgsHash } from '../../src/audit/commitment.ts';
import { checkOpening, matchesCommitment, type Opening, openCommitment } from '../../src/audit/opening.ts';
import { NotJsonError } from '../../src/internal/canonical-json.ts';
import { openSession, sha256Of, verified } from '../helpers/signed-session.ts';

const KEY = Buffer.alloc(32, 5);

interface Start {
  readonly log: string;
  readonly seq: number;
  readonly args: string;
}

/** What a log says of calls with these arguments. */
const starts = async (of: readonly unknown[], args: ArgsHash = 's1', key: Uint8Array = KEY): Promise<Start[]> => {
  const { sink, leash } = openSession({ args, key });
  for (const given of of) await leash.run({ tool: 'tool', args: given }, () => {});
  await leash.close();
  expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed' });
  return sink.lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === 'tool_start');
};

describe('an opening', () => {
  it('shows the arguments of one event to somebody without the key', async () => {
    const args = { b: [1, 0.5, null], a: { to: 'acct_€' } };
    const [start] = await starts([args]);
    const { log, seq, args: commitment } = start as Start;
    const opening = openCommitment({ key: KEY, log, seq, args });
    expect(Object.keys(opening)).toEqual(['log', 'seq', 'salt', 'args']);
    expect(Buffer.from(opening.salt, 'base64')).toHaveLength(16);
    const sent: Opening = JSON.parse(JSON.stringify(opening));
    expect(checkOpening(sent, commitment)).toBe(true);
    expect(checkOpening({ ...sent, args: { a: { to: 'acct_€' }, b: [1, 0.5, null] } }, commitment)).toBe(true);
    for (const other of [{ ...args, b: [1, 0.5] }, { ...args, c: 1 }, {}, null, 'acct_€']) {
      expect(checkOpening({ ...sent, args: other }, commitment)).toBe(false);
    }
  });

  it('opens no other event, of the same arguments or of any', async () => {
    const same = Array.from({ length: 9 }, () => ({ pin: 7 }));
    const events = await starts(same);
    const openings = events.map(({ log, seq }) => openCommitment({ key: KEY, log, seq, args: { pin: 7 } }));
    openings.forEach((opening, i) => {
      expect(events.map(({ args }) => checkOpening(opening, args))).toEqual(events.map((_, j) => i === j));
    });
    expect(new Set(openings.map(({ salt }) => salt)).size).toBe(9);
  });

  it('needs the key of this log and the place of this event', async () => {
    const [start] = await starts([{ pin: 7 }]);
    const { log, seq, args } = start as Start;
    const open = { key: KEY, log, seq, args: { pin: 7 } };
    const [other] = await starts([{ pin: 7 }]);
    for (const change of [{ key: Buffer.alloc(32, 6) }, { log: (other as Start).log }, { seq: seq + 1 }]) {
      expect(checkOpening(openCommitment({ ...open, ...change }), args)).toBe(false);
    }
    expect(checkOpening(openCommitment(open), args)).toBe(true);
  });

  it('holds the arguments as they were when it was made', () => {
    const args = { to: ['alice'] };
    const opening = openCommitment({ key: KEY, log: 'log', seq: 1, args });
    args.to[0] = 'mallory';
    expect(opening.args).toEqual({ to: ['alice'] });
  });

  it.each<{ name: string; salt: (salt: string) => string }>([
    { name: 'shorter', salt: () => Buffer.alloc(15).toString('base64') },
    { name: 'longer', salt: () => Buffer.alloc(17).toString('base64') },
    { name: 'without padding', salt: (salt) => salt.replace(/=+$/, '') },
    { name: 'with a space', salt: (salt) => `${salt} ` },
    { name: 'empty', salt: () => '' },
  ])('has a salt of one spelling: $name', async ({ salt }) => {
    const [start] = await starts([1]);
    const { log, seq, args } = start as Start;
    const opening = openCommitment({ key: KEY, log, seq, args: 1 });
    expect(checkOpening({ ...opening, salt: salt(opening.salt) }, args)).toBe(false);
  });

  it.each(['', 's1:', `s1:${'é'.repeat(64)}`, `s1:${'0'.repeat(63)}€`, `s1:${'0'.repeat(60)}😀`])(
    'is not of what is no commitment: %s',
    (commitment) => {
      const { salt } = openCommitment({ key: KEY, log: 'log', seq: 0, args: 1 });
      expect(checkOpening({ salt, args: 1 }, commitment)).toBe(false);
    },
  );

  it('is of plain JSON or none', () => {
    const open = (args: unknown): Opening => openCommitment({ key: KEY, log: 'log', seq: 0, args });
    for (const args of [Number.NaN, 1n, new Date(), () => {}]) {
      expect(() => open(args)).toThrow(NotJsonError);
      expect(() => checkOpening({ salt: open(1).salt, args }, `s1:${'0'.repeat(64)}`)).toThrow(NotJsonError);
    }
    expect(() => openCommitment({ key: KEY, log: 'log', seq: 0, args: 1, arg: 1 } as never)).toThrow(
      /openCommitment.*`?arg`?/,
    );
    expect(() => openCommitment({ key: KEY, log: '', seq: 0, args: 1 })).toThrow(/openCommitment\.log/);
    for (const seq of [-1, 0.5, Number.NaN]) {
      expect(() => openCommitment({ key: KEY, log: 'log', seq, args: 1 })).toThrow(/openCommitment\.seq/);
    }
  });

  it('opens whatever JSON a call was given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue({ maxDepth: 4 }), { minLength: 1, maxLength: 6 }), async (values) => {
        const events = await starts(values);
        events.forEach(({ log, seq, args }, i) => {
          expect(checkOpening(openCommitment({ key: KEY, log, seq, args: values[i] }), args)).toBe(true);
        });
      }),
      { numRuns: 40 },
    );
  }, 30_000);
});

describe('matchesCommitment', () => {
  it('knows the arguments of a keyed and of a plain commitment', async () => {
    const args = { to: 'acct_€', cents: [1, 2] };
    const [keyed] = await starts([args], 'h1');
    const [plain] = await starts([args], 'sha256');
    const { args: h1 } = keyed as Start;
    const { args: sha256 } = plain as Start;
    const swapped = { cents: [1, 2], to: 'acct_€' };
    expect(matchesCommitment(swapped, h1, KEY)).toBe(true);
    expect(matchesCommitment(swapped, sha256)).toBe(true);
    expect(matchesCommitment(args, h1)).toBe(false);
    expect(matchesCommitment(args, h1, Buffer.alloc(32, 6))).toBe(false);
    expect(matchesCommitment({ ...args, cents: [1] }, h1, KEY)).toBe(false);
    expect(matchesCommitment({ ...args, cents: [1] }, sha256, KEY)).toBe(false);
  });

  it('knows no salted one, and nothing that is no commitment', async () => {
    const [salted] = await starts([1]);
    const wide = ['sha256:', 'h1:'].map((mode) => `${mode}${'0'.repeat(63)}é`);
    for (const commitment of [
      (salted as Start).args,
      '',
      'sha256:',
      `sha1:${'0'.repeat(40)}`,
      sha256Of('1'),
      ...wide,
    ]) {
      expect(matchesCommitment(1, commitment, KEY)).toBe(false);
    }
  });
});

describe('somebody with the log alone who tries every PIN', () => {
  const pins = Array.from({ length: 1000 }, (_, pin) => ({ pin }));
  const guess = (commitment: string): unknown[] =>
    pins.filter((args) => {
      const text = JSON.stringify(args);
      return [`sha256:${sha256Of(text)}`, `s1:${sha256Of(text)}`, `h1:${sha256Of(text)}`].includes(commitment);
    });

  it('finds it behind a plain hash', async () => {
    const [start] = await starts([{ pin: 421 }], 'sha256');
    expect(guess((start as Start).args)).toEqual([{ pin: 421 }]);
  });

  it.each(['s1', 'h1'] as const)('does not find it behind %s, nor with what opens another event', async (mode) => {
    const events = await starts([{ pin: 421 }, { pin: 7 }], mode);
    const [secret, shown] = events as [Start, Start];
    expect(guess(secret.args)).toEqual([]);
    expect(pins.filter((args) => matchesCommitment(args, secret.args, Buffer.alloc(32)))).toEqual([]);
    if (mode !== 's1') return;
    const { salt } = openCommitment({ key: KEY, log: shown.log, seq: shown.seq, args: { pin: 7 } });
    expect(pins.filter((args) => checkOpening({ salt, args }, shown.args))).toEqual([{ pin: 7 }]);
    expect(pins.filter((args) => checkOpening({ salt, args }, secret.args))).toEqual([]);
  });

  it('cannot see under the salted hash that two calls were equal', async () => {
    const distinct = async (mode: ArgsHash): Promise<number> =>
      new Set((await starts([{ pin: 1 }, { pin: 1 }, { pin: 1 }], mode)).map(({ args }) => args)).size;
    expect([await distinct('s1'), await distinct('h1'), await distinct('sha256')]).toEqual([3, 1, 1]);
  });
});
