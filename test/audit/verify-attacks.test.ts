import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { lineHash } from '../../src/audit/chain.ts';
import { rawPublicKey } from '../../src/audit/keys.ts';
import { type VerifyOptions, type VerifyReport, verifyLog } from '../../src/audit/verify.ts';
import { attacksOn, longLog } from '../helpers/log-attacks.ts';
import { inParts, SignedLog, textOf } from '../helpers/signed-log.ts';

const root = generateKeyPairSync('ed25519');
const trust = [rawPublicKey(root.publicKey).toString('base64')];
const log = longLog(root.privateKey);
const { lines } = log;

function check(file: string | Uint8Array, options?: VerifyOptions): Promise<VerifyReport> {
  return verifyLog(inParts(file), options);
}

/** Closed, and nothing wrong: what an attack must never look like. */
async function passes(file: string | Uint8Array, options?: VerifyOptions): Promise<boolean> {
  const { ok, state } = await check(file, options);
  return ok && state === 'closed';
}

describe('a closed log of 300 lines', () => {
  it('is right as it is', async () => {
    expect(lines).toHaveLength(300);
    expect(await check(log.text, { trust })).toMatchObject({
      ok: true,
      state: 'closed',
      events: 300,
      signedThrough: 299,
    });
  });

  it.each(attacksOn(log))('is refused with $name', async ({ change, code, line, needsTrust }) => {
    const file = change(log);
    const report = await check(file, { trust });
    expect(report).toMatchObject({ ok: false, code, firstBadLine: line });
    // Signatures are looked at later than all else.
    if (code === 'E_SIG') expect(report.logs).toMatchObject([{ events: line - 1, firstBadLine: line, code }]);
    expect(await passes(file)).toBe(needsTrust === true);
    expect(await passes(file, { tofu: true })).toBe(needsTrust === true);
  });

  it('is never closed once its end was cut off, and then only heads or a close that is wanted show it', async () => {
    const heads = [{ log: log.id, seq: 299, hash: lineHash(lines[299] as string) }];
    for (let length = 1; length < 300; length += 7) {
      const cut = textOf(lines.slice(0, length));
      expect(await check(cut, { trust })).toMatchObject({ ok: true, state: 'open', events: length });
      expect(await check(cut, { trust, heads })).toMatchObject({
        ok: false,
        code: 'E_TRUNCATED',
        firstBadLine: length + 1,
      });
      expect(await check(cut, { trust, requireClosed: true })).toMatchObject({ ok: false, code: 'E_TRUNCATED' });
    }
  });

  it('is open, and tells how much is not signed, where its end was written anew', async () => {
    const end = lines.findLastIndex((line, i) => i < 298 && line.includes('"kind":"checkpoint"'));
    const kept = lines.slice(0, end + 3);
    const forged = (kept.at(-1) as string).replace(/"ts":"\d/, '"ts":"3');
    const file = textOf(kept.with(-1, forged));
    const report = await check(file, { trust });
    expect(report).toMatchObject({ ok: true, state: 'open', signedThrough: end });
    expect(report.logs[0]?.unsigned).toBe(2);
    const heads = [{ log: log.id, seq: end + 2, hash: lineHash(lines[end + 2] as string) }];
    expect(await check(file, { trust, heads })).toMatchObject({ ok: false, code: 'E_ROOT', firstBadLine: end + 3 });
  });

  it('is refused with the lines of another log of the same key between', async () => {
    const other = new SignedLog({ root: root.privateKey }).calls(5).close();
    const swapped = other.lines.map((line) => line.replaceAll(other.id, log.id));
    for (let at = 0; at <= 300; at += 50) {
      expect(await passes(textOf(lines.toSpliced(at, 0, ...swapped)))).toBe(false);
    }
  });
});

describe('a log without a key', () => {
  const unsigned = new SignedLog({ key: null }).calls(5).close();

  it('is chained and nothing more: who writes all of it anew passes', async () => {
    expect(await passes(unsigned.text)).toBe(true);
    const forged = new SignedLog({ id: unsigned.id, key: null }).calls(2).close();
    expect(await passes(forged.text)).toBe(true);
    expect(
      await check(forged.text, { heads: [{ log: unsigned.id, seq: 3, hash: lineHash(unsigned.lines[3] as string) }] }),
    ).toMatchObject({ code: 'E_ROOT' });
  });

  it('takes no checkpoint, of whoever', async () => {
    const signed = new SignedLog({ id: unsigned.id });
    const checkpoint = signed.checkpoint().lines.at(-1) as string;
    const open = new SignedLog({ id: unsigned.id, key: null });
    const line = checkpoint.replace(/"prev":"\w+"/, `"prev":"${open.prev}"`);
    expect(await check(textOf([...open.lines, line]))).toMatchObject({ ok: false, code: 'E_KEY', firstBadLine: 2 });
    expect(await check(textOf([...unsigned.lines, line]))).toMatchObject({
      ok: false,
      code: 'E_AFTER_CLOSE',
      firstBadLine: 13,
    });
  });

  it('is refused with any other spelling of its last line', async () => {
    const last = unsigned.lines.at(-1) as string;
    for (const [from, to] of [
      ['"calls":5', '"calls":5.0'],
      ['"calls":5', '"calls":5,"x":{}'],
      ['{"v"', '{ "v"'],
      ['"closed"', '"\\u0063losed"'],
      ['"calls":5', '"calls":true'],
    ] as const) {
      expect(await check(textOf(unsigned.lines.with(-1, last.replace(from, to))))).toMatchObject({
        ok: false,
        code: 'E_FORMAT',
      });
    }
  });
});
