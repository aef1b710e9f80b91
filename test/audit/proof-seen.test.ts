import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signJws } from '../../src/audit/jws.ts';
import { signPaseto } from '../../src/audit/paseto.ts';
import { memorySeen } from '../../src/audit/proof-seen.ts';
import { canonicalJson } from '../../src/internal/canonical-json.ts';
import { FakeClock } from '../helpers/clock.ts';
import { FORMATS, fieldsOf, footer, KEY, NOW, other, prove, reason, verify } from '../helpers/proof.ts';

describe.each(FORMATS)('a proof for one use (%s)', (format) => {
  it('can be used once', async () => {
    const seen = memorySeen({ now: () => NOW });
    const token = prove(format);
    expect(await reason(token, { seen })).toBe('verified');
    expect(await reason(token, { seen })).toBe('replayed');
    expect(await reason(prove(format), { seen })).toBe('verified');
  });

  it('can be used once by many at the same time, with a store that answers later too', async () => {
    const taken = new Set<string>();
    const later = {
      take: async (id: string) => {
        await Promise.resolve();
        if (taken.has(id)) return false;
        taken.add(id);
        return true;
      },
    };
    for (const seen of [memorySeen({ now: () => NOW }), later]) {
      const token = prove(format);
      const answers = await Promise.all(Array.from({ length: 50 }, () => reason(token, { seen })));
      expect(answers.filter((answer) => answer === 'verified')).toHaveLength(1);
      expect(answers.filter((answer) => answer === 'replayed')).toHaveLength(49);
    }
  });

  it('is used up by nothing but a use that passes', async () => {
    const ids: string[] = [];
    const seen = { take: (id: string) => ids.push(id) > 0 };
    const token = prove(format);
    expect(await reason(token, { seen, audience: 'somebody else' })).toBe('audience');
    expect(await reason(token, { seen, args: {} })).toBe('args-mismatch');
    expect(await reason(token, { seen, now: () => NOW + 100_000 })).toBe('expired');
    expect(await reason(token, { seen, now: () => NOW - 100_000 })).toBe('not-yet-valid');
    expect(await reason(`${token.slice(0, -4)}AAAA`, { seen })).toMatch(/signature|malformed/);
    expect(ids).toEqual([]);
    const { jti } = await verify(token, { seen });
    expect(ids).toEqual([`${KEY.kid}/${jti}`]);
  });

  it('is used up for its own key alone', async () => {
    const seen = memorySeen({ now: () => NOW });
    const mine = prove(format);
    const fields = canonicalJson(fieldsOf(mine));
    const theirs =
      format === 'paseto'
        ? signPaseto(other.privateKey, fields, footer('theirs'), 'leash-proof')
        : signJws(other.privateKey, { kid: 'theirs', typ: 'leash-proof+jwt' }, fields);
    const keys = [KEY, { kid: 'theirs', publicKey: other.raw.toString('base64') }];
    expect(await reason(theirs, { seen, keys })).toBe('verified');
    expect(await reason(mine, { seen, keys })).toBe('verified');
  });

  it('is remembered for as long as it could pass', async () => {
    const untils: number[] = [];
    const seen = { take: (_: string, until: number) => untils.push(until) > 0 };
    const { exp } = await verify(prove(format), { seen, leewayMs: 5_000 });
    expect(untils).toEqual([exp + 5_000]);
  });

  it.each([
    {
      name: 'throws',
      take: () => {
        throw new Error('down');
      },
      error: 'down',
    },
    { name: 'rejects', take: () => Promise.reject(new Error('down')), error: 'down' },
    { name: 'answers nothing', take: () => undefined, error: /true or false/ },
    { name: 'answers OK', take: () => 'OK', error: /true or false/ },
    { name: 'answers 1 later', take: async () => 1, error: /true or false/ },
  ])('is not accepted when the store $name', async ({ take, error }) => {
    await expect(verify(prove(format), { seen: { take: take as never } })).rejects.toThrow(error);
  });
});

describe('memorySeen', () => {
  it('takes each id once', () => {
    const seen = memorySeen({ now: () => NOW });
    expect([seen.take('a', NOW + 1), seen.take('b', NOW + 1), seen.take('a', NOW + 1)]).toEqual([true, true, false]);
  });

  it('refuses what has expired, or never expires by a number', () => {
    const seen = memorySeen({ now: () => NOW });
    expect([seen.take('a', NOW), seen.take('b', NOW - 1), seen.take('c', Number.NaN)]).toEqual([false, false, false]);
  });

  it('refuses everything while its clock is broken', () => {
    let now = Number.NaN;
    const seen = memorySeen({ now: () => now });
    expect(seen.take('a', NOW + 1)).toBe(false);
    now = NOW;
    expect(seen.take('a', NOW + 1)).toBe(false);
  });

  it('makes nothing usable again when the clock goes back', () => {
    const clock = new FakeClock(0, NOW);
    const seen = memorySeen({ now: () => clock.wall() });
    expect(seen.take('a', NOW + 1_000)).toBe(true);
    clock.jump(undefined, NOW + 5_000);
    // Enough to make it forget what has expired.
    for (let i = 0; i < 3_000; i++) seen.take(`other-${i}`, NOW + 6_000);
    clock.jump(undefined, NOW);
    expect(seen.take('a', NOW + 1_000)).toBe(false);
  });

  it('is what the number of live ids makes it, whatever came before', () => {
    const clock = new FakeClock(0, NOW);
    const seen = memorySeen({ now: () => clock.wall() });
    let largest = 0;
    for (let i = 0; i < 50_000; i++) {
      clock.advance(1);
      seen.take(String(i), clock.wall() + 100);
      largest = Math.max(largest, seen.size);
    }
    expect(largest).toBe(1_024);
    for (let i = 0; i < 10_000; i++) expect(seen.take(`live-${i}`, clock.wall() + 100)).toBe(true);
    expect(seen.size).toBeGreaterThanOrEqual(10_000);
    clock.advance(100);
    for (let i = 0; i < 20_000; i++) {
      clock.advance(1);
      seen.take(`last-${i}`, clock.wall() + 100);
    }
    expect(seen.size).toBeLessThanOrEqual(1_024);
  });

  it('forgets what expires at this very moment', () => {
    let now = NOW;
    const seen = memorySeen({ now: () => now });
    for (let i = 0; i < 1_024; i++) seen.take(`${i}`, NOW + 1);
    now = NOW + 1;
    expect(seen.take('new', NOW + 2)).toBe(true);
    expect(seen.size).toBe(1);
  });

  it('agrees with a store that forgets nothing, for every proof that can still pass', () => {
    const step = fc.record({
      id: fc.integer({ min: 0, max: 30 }),
      advance: fc.nat(40),
      life: fc.integer({ min: 1, max: 300 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const clock = new FakeClock(0, NOW);
        const seen = memorySeen({ now: () => clock.wall() });
        const until = new Map<number, number>();
        for (const { id, advance, life } of steps) {
          clock.advance(advance);
          const end = until.get(id) ?? clock.wall() + life;
          const first = !until.has(id);
          until.set(id, end);
          expect(seen.take(String(id), end)).toBe(first && end > clock.wall());
        }
      }),
    );
  });

  it.each([
    {
      name: 'a clock that is no function',
      options: { now: NOW },
      message: '`memorySeen.now` must be a function, got a number',
    },
    { name: 'an unknown option', options: { max: 1 }, message: 'memorySeen: unknown option `max`' },
    { name: 'null', options: null, message: 'memorySeen expects an options object' },
  ])('refuses $name', ({ options, message }) => {
    const make = (): unknown => memorySeen(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});
