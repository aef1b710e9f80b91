import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkpointNote, signCheckpoint } from '../../src/audit/checkpoint.ts';
import { type EventProof, proveEvent, verifyEventProof } from '../../src/audit/inclusion.ts';
import { certify, generateSessionKey, rawPublicKey } from '../../src/audit/keys.ts';
import { inParts, SignedLog, textOf } from '../helpers/signed-log.ts';

const root = generateKeyPairSync('ed25519');
const trust = [rawPublicKey(root.publicKey).toString('base64')];
const log = new SignedLog({ root: root.privateKey });
log.calls(4).checkpoint().call('é').rotate().calls(3).checkpoint().charge();
const lastCheckpoint = log.lines.length - 2;

function prove(seq: number, text = log.text, id = log.id): Promise<EventProof> {
  return proveEvent(inParts(text, 1000), { log: id, seq });
}

describe('proveEvent', () => {
  it('proves every line before the last checkpoint, and no other', async () => {
    for (const [seq, line] of log.lines.entries()) {
      if (seq >= lastCheckpoint) {
        await expect(prove(seq)).rejects.toMatchObject({ code: 'NOT_SIGNED' });
        continue;
      }
      const proof = await prove(seq);
      expect(proof.line).toBe(line);
      const event = JSON.parse(line);
      const report = verifyEventProof(JSON.parse(JSON.stringify(proof)), { trust });
      expect(report).toEqual({ ok: true, trusted: true, event, origin: log.origin, size: lastCheckpoint });
    }
  });

  it('is a C2SP tlog-proof', async () => {
    const { proof, keys } = await prove(3);
    const lines = proof.split('\n');
    expect(lines.slice(0, 2)).toEqual(['c2sp.org/tlog-proof@v1', 'index 3']);
    const blank = lines.indexOf('');
    expect(lines.slice(2, blank).every((hash) => /^[\w+/]{43}=$/.test(hash))).toBe(true);
    expect(lines.slice(blank + 1, blank + 3)).toEqual([log.origin, String(lastCheckpoint)]);
    expect(keys).toHaveLength(2);
    expect(keys[1]?.key).toBe(log.signer?.publicKey);
  });

  it('finds the log among others in one file', async () => {
    const other = new SignedLog().calls(2).close();
    const text = textOf(
      other.lines.flatMap((line, i) => [line, log.lines[i] as string]).concat(log.lines.slice(other.lines.length)),
    );
    expect(verifyEventProof(await prove(2, text), { trust })).toMatchObject({ ok: true, origin: log.origin });
    const proof = await prove(2, text, other.id);
    expect(verifyEventProof(proof)).toMatchObject({ ok: true, trusted: false, origin: other.origin });
    expect(proof.keys).toEqual([{ key: other.signer?.publicKey, cert: undefined }]);
  });

  it.each([
    { name: 'a line that is not there', seq: 999, id: log.id, code: 'NOT_FOUND', message: 'the log has no line 999' },
    {
      name: 'the line after the last one',
      seq: log.lines.length,
      id: log.id,
      code: 'NOT_FOUND',
      message: `the log has no line ${log.lines.length}`,
    },
    { name: 'a log that is not there', seq: 0, id: 'other', code: 'NOT_FOUND', message: 'the log has no line 0' },
    {
      name: 'a line that no checkpoint covers',
      seq: log.lines.length - 1,
      id: log.id,
      code: 'NOT_SIGNED',
      message: `no checkpoint covers line ${log.lines.length - 1} of the log`,
    },
  ])('refuses $name', async ({ seq, id, code, message }) => {
    await expect(prove(seq, log.text, id)).rejects.toMatchObject({ code, message });
  });

  it('refuses a log that is not right, wherever', async () => {
    const edited = textOf(log.lines.with(5, (log.lines[5] as string).replace('sha256:', 'sha256:0')));
    await expect(prove(1, edited)).rejects.toMatchObject({
      code: 'E_FORMAT',
      message: 'the log is not right: line 6',
    });
    const signature = log.lines.map((line, i) =>
      i === lastCheckpoint ? line.replace(/"sig":"(.)/, (_, c) => `"sig":"${c === 'A' ? 'B' : 'A'}`) : line,
    );
    await expect(prove(1, textOf(signature))).rejects.toMatchObject({ code: expect.stringMatching(/^E_(SIG|CHAIN)$/) });
  });

  it('names no key that came after the checkpoint', async () => {
    const later = new SignedLog().call().checkpoint().rotate().charge();
    const proof = await prove(1, later.text, later.id);
    expect(proof.keys).toHaveLength(1);
    expect(verifyEventProof(proof)).toMatchObject({ ok: true });
  });

  it('refuses a log without a key', async () => {
    const unsigned = new SignedLog({ key: null }).calls(2).close();
    await expect(prove(1, unsigned.text, unsigned.id)).rejects.toMatchObject({ code: 'NOT_SIGNED' });
  });

  it.each([
    { name: 'no event', event: null, error: TypeError, message: 'proveEvent expects an options object' },
    { name: 'no log', event: { seq: 1 }, error: TypeError, message: '`proveEvent.log` must be a string' },
    { name: 'half a line', event: { log: 'x', seq: 0.5 }, error: RangeError, message: '`proveEvent.seq` must be an' },
    { name: 'a line before the first', event: { log: 'x', seq: -1 }, error: RangeError, message: '`proveEvent.seq`' },
    {
      name: 'an unknown key',
      event: { log: 'x', seq: 1, size: 1 },
      error: TypeError,
      message: 'proveEvent: unknown option `size`',
    },
  ])('refuses $name', async ({ event, error, message }) => {
    const proved = proveEvent(inParts(''), event as { log: string; seq: number });
    await expect(proved).rejects.toThrow(error);
    await expect(proved).rejects.toThrow(message);
  });
});

describe('verifyEventProof', () => {
  let proof: EventProof;
  beforeAll(async () => {
    proof = await prove(4);
  });

  it('trusts the roots that it is given, the key itself where it is told to, and else says so', async () => {
    const other = rawPublicKey(generateKeyPairSync('ed25519').publicKey).toString('base64');
    expect(verifyEventProof(proof, { trust: [other, ...trust] })).toMatchObject({ ok: true, trusted: true });
    expect(verifyEventProof(proof, { trust: [other] })).toEqual({ ok: false, code: 'E_CERT', trusted: false });
    expect(verifyEventProof(proof, { trust: [] })).toMatchObject({ ok: false, code: 'E_CERT' });
    expect(verifyEventProof(proof)).toMatchObject({ ok: true, trusted: false });
    expect(verifyEventProof(proof, { tofu: true })).toMatchObject({ ok: true, trusted: true });
  });

  const [a, b] = [generateSessionKey(), generateSessionKey()];
  it.each<{ name: string; change: (proof: EventProof) => unknown; code: string }>([
    { name: 'another line', change: (proof) => ({ ...proof, line: log.lines[5] }), code: 'E_FORMAT' },
    {
      name: 'a changed line',
      change: (proof) => ({ ...proof, line: proof.line.replace('"us":65', '"us":66') }),
      code: 'E_ROOT',
    },
    {
      name: 'a line in another spelling',
      change: (proof) => ({ ...proof, line: proof.line.replace('"us":65', '"us":65.0') }),
      code: 'E_FORMAT',
    },
    {
      name: 'a line with a doubled key',
      change: (proof) => ({ ...proof, line: proof.line.replace('"us":65', '"us":1,"us":65') }),
      code: 'E_DUPKEY',
    },
    {
      name: 'a line of another log',
      change: (proof) => ({ ...proof, line: proof.line.replace(log.id, '0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11') }),
      code: 'E_FOREIGN',
    },
    {
      name: 'another index',
      change: (proof) => ({ ...proof, proof: proof.proof.replace('index 4', 'index 5') }),
      code: 'E_FORMAT',
    },
    {
      name: 'an index with a zero',
      change: (proof) => ({ ...proof, proof: proof.proof.replace('index 4', 'index 04') }),
      code: 'E_FORMAT',
    },
    {
      name: 'a changed hash',
      change: (proof) => ({
        ...proof,
        proof: proof.proof.replace(/(index 4\n)(.)/, (_, head, c) => head + (c === 'A' ? 'B' : 'A')),
      }),
      code: 'E_ROOT',
    },
    {
      name: 'a hash in another spelling',
      change: (proof) => ({
        ...proof,
        proof: proof.proof.replace(
          /(index 4\n.{42})(.)/,
          (_, head, c) => head + String.fromCharCode(c.charCodeAt(0) + 1),
        ),
      }),
      code: 'E_FORMAT',
    },
    {
      name: 'a hash too few',
      change: (proof) => ({ ...proof, proof: proof.proof.replace(/(index 4\n)[^\n]+\n/, '$1') }),
      code: 'E_ROOT',
    },
    {
      name: 'more data',
      change: (proof) => ({ ...proof, proof: proof.proof.replace('\nindex', '\nextra AAAA\nindex') }),
      code: 'E_FORMAT',
    },
    {
      name: 'another header',
      change: (proof) => ({ ...proof, proof: proof.proof.replace('@v1', '@v2') }),
      code: 'E_FORMAT',
    },
    {
      name: 'another size',
      change: (proof) => ({
        ...proof,
        proof: proof.proof.replace(`\n${lastCheckpoint}\n`, `\n${lastCheckpoint + 1}\n`),
      }),
      code: 'E_SIG',
    },
    {
      name: 'another origin',
      change: (proof) => ({ ...proof, proof: proof.proof.replaceAll('test.local/', 'other.local/') }),
      code: 'E_CERT',
    },
    {
      name: 'an extension line',
      change: (proof) => ({ ...proof, proof: proof.proof.replace('\n\n—', '\nmore\n\n—') }),
      code: 'E_FORMAT',
    },
    {
      name: 'a second text',
      change: (proof) => ({ ...proof, proof: proof.proof.replace('\n\n—', '\n\nmore\n\n—') }),
      code: 'E_SIG',
    },
    { name: 'no signature', change: (proof) => ({ ...proof, proof: proof.proof.replace(/— .*/s, '') }), code: 'E_SIG' },
    { name: 'the key of before', change: (proof) => ({ ...proof, keys: proof.keys.slice(0, 1) }), code: 'E_SIG' },
    { name: 'the last key alone', change: (proof) => ({ ...proof, keys: proof.keys.slice(1) }), code: 'E_CERT' },
    { name: 'no keys', change: (proof) => ({ ...proof, keys: [] }), code: 'E_KEY' },
    {
      name: 'a key more',
      change: (proof) => ({
        ...proof,
        keys: [...proof.keys, { key: a.publicKey, cert: Buffer.alloc(64).toString('base64') }],
      }),
      code: 'E_CERT',
    },
    {
      name: 'a key without a certificate',
      change: (proof) => ({ ...proof, keys: [proof.keys[0], { key: proof.keys[1]?.key }] }),
      code: 'E_CERT',
    },
    {
      name: 'a weak key',
      change: (proof) => ({ ...proof, keys: [{ ...proof.keys[0], key: Buffer.alloc(32).toString('base64') }] }),
      code: 'E_KEY',
    },
    {
      name: 'another first key',
      change: (proof) => ({ ...proof, keys: [{ ...proof.keys[0], key: b.publicKey }] }),
      code: 'E_CERT',
    },
    {
      name: 'a certificate that is a number',
      change: (proof) => ({ ...proof, keys: [{ ...proof.keys[0], cert: 7 }, ...proof.keys.slice(1)] }),
      code: 'E_CERT',
    },
    { name: 'keys in a set', change: (proof) => ({ ...proof, keys: new Set(proof.keys) }), code: 'E_FORMAT' },
    { name: 'a proof in a list', change: (proof) => ({ ...proof, proof: [proof.proof] }), code: 'E_FORMAT' },
    { name: 'half a character', change: (proof) => ({ ...proof, line: `${proof.line}\ud800` }), code: 'E_FORMAT' },
    {
      name: 'half a character in a text',
      change: (proof) => ({ ...proof, line: proof.line.replace('stripe', '\ud800') }),
      code: 'E_FORMAT',
    },
    { name: 'an empty proof', change: (proof) => ({ ...proof, proof: '' }), code: 'E_FORMAT' },
    { name: 'a line in a list', change: (proof) => ({ ...proof, line: [proof.line] }), code: 'E_FORMAT' },
    { name: 'something in front', change: (proof) => ({ ...proof, proof: `x${proof.proof}` }), code: 'E_FORMAT' },
    { name: 'nothing', change: () => undefined, code: 'E_FORMAT' },
    { name: 'null', change: () => null, code: 'E_FORMAT' },
    { name: 'a text', change: () => 'proof', code: 'E_FORMAT' },
    { name: 'no line', change: ({ proof, keys }) => ({ proof, keys }), code: 'E_FORMAT' },
    { name: 'a line that is no text', change: (proof) => ({ ...proof, line: 7 }), code: 'E_FORMAT' },
    { name: 'keys that are none', change: (proof) => ({ ...proof, keys: [null] }), code: 'E_KEY' },
    { name: 'keys that are no list', change: (proof) => ({ ...proof, keys: { length: 1 } }), code: 'E_FORMAT' },
    {
      name: 'a getter that throws',
      change: () => ({
        get line() {
          throw new Error('no');
        },
      }),
      code: 'E_FORMAT',
    },
  ])('refuses $name, and does not throw over it', ({ change, code }) => {
    expect(verifyEventProof(change(proof), { trust })).toEqual({ ok: false, code, trusted: false });
  });

  it('refuses a weak key, whoever certified it', async () => {
    const key = generateSessionKey();
    const own = new SignedLog({ key }).call().checkpoint();
    const right = await prove(1, own.text, own.id);
    const weak = Buffer.alloc(32).toString('base64');
    const cert = certify(key.privateKey, own.origin, weak) as string;
    expect(verifyEventProof(right)).toMatchObject({ ok: true });
    expect(verifyEventProof({ ...right, keys: [...right.keys, { key: weak, cert }] })).toMatchObject({ code: 'E_KEY' });
  });

  it('refuses a checkpoint of somebody else about the same lines', async () => {
    const { privateKey } = generateSessionKey();
    const [origin = '', size = '', rootText = ''] = proof.proof.slice(proof.proof.indexOf('\n\n') + 2).split('\n');
    const checkpoint = { origin, size: Number(size), root: rootText };
    const note = checkpointNote(checkpoint, privateKey, signCheckpoint(privateKey, checkpoint));
    const forged = proof.proof.slice(0, proof.proof.indexOf('\n\n') + 2) + note;
    expect(verifyEventProof({ ...proof, proof: forged }, { trust })).toMatchObject({ ok: false, code: 'E_SIG' });
  });

  it('refuses any character of the proof changed', () => {
    for (let at = 0; at < proof.proof.length; at++) {
      const changed = proof.proof.slice(0, at) + (proof.proof[at] === 'x' ? 'y' : 'x') + proof.proof.slice(at + 1);
      expect(verifyEventProof({ ...proof, proof: changed }, { trust }).ok, `character ${at}`).toBe(false);
    }
  });

  it('refuses any character of the line changed', () => {
    for (let at = 0; at < proof.line.length; at++) {
      const changed = proof.line.slice(0, at) + (proof.line[at] === '1' ? '2' : '1') + proof.line.slice(at + 1);
      expect(verifyEventProof({ ...proof, line: changed }, { trust }).ok, `character ${at}`).toBe(false);
    }
  });

  it.each([
    {
      name: 'an unknown option',
      options: { heads: [] },
      error: TypeError,
      message: 'verifyEventProof: unknown option',
    },
    { name: 'trust and tofu', options: { trust, tofu: true }, error: TypeError, message: '`verifyEventProof.tofu`' },
    {
      name: 'a root that is none',
      options: { trust: ['x'] },
      error: RangeError,
      message: '`verifyEventProof.trust[0]`',
    },
  ])('throws over $name', ({ options, error, message }) => {
    const verify = (): unknown => verifyEventProof(proof, options as { trust: string[] });
    expect(verify).toThrow(error);
    expect(verify).toThrow(message);
  });
});
