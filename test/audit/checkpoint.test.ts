import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GENESIS, lineHash } from '../../src/audit/chain.ts';
import {
  type Checkpoint,
  checkpointBody,
  checkpointHolds,
  checkpointNote,
  openNote,
  parseCheckpoint,
  rootText,
  signCheckpoint,
} from '../../src/audit/checkpoint.ts';
import {
  generateSessionKey,
  type NoteKey,
  parseNoteKey,
  publicHalf,
  rawPublicKey,
  verifyCertificate,
} from '../../src/audit/keys.ts';
import { parseLine } from '../../src/audit/line.ts';
import { keyFields, LogSigner } from '../../src/audit/signing.ts';
import { EMPTY_ROOT, merkleRoot } from '../../src/internal/merkle.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/signed-note.json', import.meta.url), 'utf8')) as {
  readonly text: string;
  readonly peter: { readonly vkey: string; readonly seed: string; readonly signature: string };
  readonly enoch: { readonly vkey: string; readonly signature: string };
};
const { text } = vectors;
const peter = parseNoteKey(vectors.peter.vkey);
const enoch = parseNoteKey(vectors.enoch.vkey);

const LOG = '0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11';
const ORIGIN = `test.local/${LOG}`;
const HEAD = `{"v":1,"log":"${LOG}","seq":`;
const checkpoint: Checkpoint = { origin: ORIGIN, size: 12, root: rootText(EMPTY_ROOT) };
const invalid = expect.objectContaining({ code: 'NOTE_INVALID' });
const refusal = (what: string): unknown =>
  expect.objectContaining({ code: 'NOTE_INVALID', message: `the note is not valid: ${what}` });

describe('signCheckpoint', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');

  it('signs the body of C2SP tlog-checkpoint', async () => {
    expect(checkpointBody(checkpoint)).toBe(`${ORIGIN}\n12\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`);
    expect(await checkpointHolds(publicKey, checkpoint, signCheckpoint(privateKey, checkpoint))).toBe(true);
  });

  it.each<{ name: string; change: Partial<Checkpoint> }>([
    { name: 'another origin', change: { origin: `${ORIGIN}x` } },
    { name: 'another size', change: { size: 13 } },
    { name: 'another root', change: { root: rootText(GENESIS) } },
  ])('gives no signature for $name', async ({ change }) => {
    const signature = signCheckpoint(privateKey, checkpoint);
    expect(await checkpointHolds(publicKey, { ...checkpoint, ...change }, signature)).toBe(false);
  });

  it('gives nothing that another spelling of the signature would pass for', async () => {
    const signature = signCheckpoint(privateKey, checkpoint);
    for (const other of ['', signature.slice(0, -2), `${signature}\n`, signature.replace(/.==$/, 'B==')]) {
      expect(await checkpointHolds(publicKey, checkpoint, other)).toBe(false);
    }
  });
});

describe('openNote', () => {
  it.each([
    { name: 'one signature of two known keys', keys: [peter, enoch], lines: [vectors.peter], by: [peter] },
    { name: 'both signatures', keys: [peter, enoch], lines: [vectors.peter, vectors.enoch], by: [peter, enoch] },
    { name: 'one known key among two', keys: [peter], lines: [vectors.enoch, vectors.peter], by: [peter] },
    { name: 'a signature twice', keys: [enoch], lines: [vectors.enoch, vectors.enoch], by: [enoch] },
  ])('opens the reference note with $name', ({ keys, lines, by }) => {
    const note = `${text}\n${lines.map(({ signature }) => signature).join('')}`;
    expect(openNote(note, keys)).toEqual({ text, signedBy: by });
  });

  const { signature } = vectors.peter;
  const wrong = signature.replace('x08go/ZJ', 'x08go/ZK');
  it.each([
    { name: 'a text alone', note: text, what: 'it has no signature' },
    { name: 'no signature', note: `${text}\n`, what: 'a signature line is malformed' },
    { name: 'no LF at the end', note: `${text}\n${signature.slice(0, -1)}`, what: 'it has no signature' },
    { name: 'a signature alone', note: signature, what: 'it has no signature' },
    { name: 'a control character', note: `\u0001${text}\n${signature}`, what: 'it is not a text' },
    { name: 'a CR', note: `${text}\r\n${signature}`, what: 'it is not a text' },
    { name: 'a tab', note: `\t${text}\n${signature}`, what: 'it is not a text' },
    { name: 'a lone surrogate', note: `\ud800${text}\n${signature}`, what: 'it is not a text' },
    { name: 'a text that never ends', note: `${'x'.repeat(1_000_000)}\n\n${signature}`, what: 'it is not a text' },
    { name: 'a name with a space', note: `${text}\n${signature.replace('Neumann', ' Neumann')}` },
    { name: 'a line that is no signature', note: `${text}\n${signature}Unexpected line.\n` },
    { name: 'a hyphen for the dash', note: `${text}\n${signature.replace('—', '-')}` },
    { name: 'something before the dash', note: `${text}\nx${signature}` },
    { name: 'something behind the signature', note: `${text}\n${signature.slice(0, -1)} x\n` },
    { name: 'a signature without its padding', note: `${text}\n${signature.replace('=\n', '\n')}` },
    { name: 'a key id alone', note: `${text}\n— PeterNeumann x08gow==\n` },
    {
      name: 'another text',
      note: `${text.replace('If', 'Of')}\n${signature}`,
      what: 'a signature does not hold',
    },
    {
      name: 'a signature of a known key that does not hold',
      note: `${text}\n${wrong}`,
      what: 'a signature does not hold',
    },
    {
      name: 'such a signature beside one that does',
      note: `${text}\n${vectors.enoch.signature}${wrong}`,
      what: 'a signature does not hold',
    },
    {
      name: 'unknown keys alone',
      note: `${text}\n${signature.replace('PeterNeumann', 'CarmenSandiego')}`,
      what: 'no known key signed it',
    },
    {
      name: 'another id',
      note: `${text}\n${signature.replace('x08g', 'xxxx')}`,
      what: 'no known key signed it',
    },
    {
      name: 'too many signatures',
      note: `${text}\n${signature.repeat(101)}`,
      what: 'it has too many signatures',
    },
  ])('refuses $name', ({ note, what = 'a signature line is malformed' }) => {
    expect(() => openNote(note, [peter, enoch])).toThrow(refusal(what));
  });

  it('takes as many signatures, and as long a text, as it may have', () => {
    expect(openNote(`${text}\n${signature.repeat(100)}`, [peter]).signedBy).toEqual([peter]);
    const { privateKey: key } = generateSessionKey();
    const noteOf = (length: number): string => {
      const long: Checkpoint = { ...checkpoint, origin: 'o', root: 'x'.repeat(length) };
      return checkpointNote(long, key, signCheckpoint(key, long));
    };
    const longest = 1_000_000 - noteOf(0).length;
    expect(openNote(noteOf(longest), [{ name: 'o', key }]).text).toHaveLength(longest + 'o\n12\n\n'.length);
    expect(() => openNote(noteOf(longest + 1), [{ name: 'o', key }])).toThrow(refusal('it is not a text'));
  });

  it('takes no signature of a known key under another name', () => {
    const { privateKey: key } = generateSessionKey();
    const other: Checkpoint = { ...checkpoint, origin: 'other.local' };
    const note = checkpointNote(other, key, signCheckpoint(key, other));
    expect(openNote(note, [{ name: 'other.local', key }]).text).toBe(checkpointBody(other));
    expect(() => openNote(note, [{ name: ORIGIN, key }])).toThrow(refusal('no known key signed it'));
  });

  it.each(['\t', '\r', '\u0000', '\u001f'])('refuses %j in what a known key signed', (control) => {
    const { privateKey: key } = generateSessionKey();
    const signed: Checkpoint = { ...checkpoint, root: `${checkpoint.root}\n${control}more` };
    const note = checkpointNote(signed, key, signCheckpoint(key, signed));
    expect(() => openNote(note, [{ name: ORIGIN, key }])).toThrow(invalid);
  });

  it('knows no key where none is given', () => {
    expect(() => openNote(`${text}\n${signature}`, [])).toThrow(invalid);
  });

  it('takes the last blank line for the end of the text', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const tricky: Checkpoint = { ...checkpoint, root: `${checkpoint.root}\n\n— a b` };
    const note = checkpointNote(tricky, publicKey, signCheckpoint(privateKey, tricky));
    const opened = openNote(note, [{ name: ORIGIN, key: publicKey }]);
    expect(opened.text).toBe(checkpointBody(tricky));
    expect(() => parseCheckpoint(opened.text)).toThrow(invalid);
  });
});

describe('checkpointNote', () => {
  it('makes the signature line of the reference', () => {
    const seed = Buffer.from(vectors.peter.seed, 'base64').subarray(1);
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const named: Checkpoint = { ...checkpoint, origin: 'PeterNeumann' };
    const note = checkpointNote(named, key, signCheckpoint(key, named));
    expect(note.split('\n')[4]).toMatch(/^— PeterNeumann x08go[\w+/]+=$/);
    expect(openNote(note, [peter]).text).toBe(checkpointBody(named));
  });
});

describe('parseCheckpoint', () => {
  const { root } = checkpoint;

  it('reads what was written', () => {
    expect(parseCheckpoint(checkpointBody(checkpoint))).toEqual(checkpoint);
    expect(parseCheckpoint(`o\n0\n${root}\n`)).toEqual({ origin: 'o', size: 0, root });
  });

  it.each([
    { name: 'no LF at the end', text: `o\n1\n${root}` },
    { name: 'an extension line', text: `o\n1\n${root}\nmore\n` },
    { name: 'an extension line without LF', text: `o\n1\n${root}\nmore` },
    { name: 'a blank line', text: `o\n1\n${root}\n\n` },
    { name: 'no origin', text: `\n1\n${root}\n` },
    { name: 'no size', text: `o\n\n${root}\n` },
    { name: 'a size with a zero before it', text: `o\n01\n${root}\n` },
    { name: 'a size with a sign', text: `o\n+1\n${root}\n` },
    { name: 'a size with an exponent', text: `o\n1e3\n${root}\n` },
    { name: 'a size that no number holds exactly', text: `o\n9007199254740993\n${root}\n` },
    { name: 'a root of 31 bytes', text: `o\n1\n${Buffer.alloc(31).toString('base64')}\n` },
    { name: 'a root in another spelling', text: `o\n1\n${root.replace('=', '')}\n` },
  ])('refuses $name', ({ text }) => {
    expect(() => parseCheckpoint(text)).toThrow(refusal('it is not a checkpoint'));
  });
});

describe('LogSigner', () => {
  const lines = ['one', 'two', 'three'].map(lineHash);
  const signerOf = (key = generateSessionKey()): { signer: LogSigner; key: NoteKey } => {
    const signer = new LogSigner({ key: key.privateKey, origin: ORIGIN });
    for (const line of lines) signer.push(line);
    return { signer, key: { name: ORIGIN, key: key.privateKey } };
  };

  it('makes the checkpoint line of the format', async () => {
    const { signer, key } = signerOf();
    const line = signer.checkpointLine(HEAD, 3, GENESIS);
    const root = rootText(merkleRoot(lines));
    const { sig } = JSON.parse(line) as { sig: string };
    expect(line).toBe(`${HEAD}3,"kind":"checkpoint","size":3,"root":"${root}","sig":"${sig}","prev":"${GENESIS}"}`);
    expect(parseLine(line)).toMatchObject({ kind: 'checkpoint', size: 3, root });
    const { publicKey } = signer;
    expect(publicKey).toBe(rawPublicKey(key.key).toString('base64'));
    expect(openNote(signer.note(), [key])).toEqual({ text: `${ORIGIN}\n3\n${root}\n`, signedBy: [key] });
  });

  it('covers no other number of lines than there are, and never none', () => {
    const { signer } = signerOf();
    const line = 'a checkpoint covers the lines before it';
    expect(() => signer.checkpointLine(HEAD, 2, GENESIS)).toThrow(line);
    expect(() => signer.checkpointLine(HEAD, 4, GENESIS)).toThrow(line);
    const empty = new LogSigner({ key: generateSessionKey().privateKey, origin: ORIGIN });
    expect(() => empty.checkpointLine(HEAD, 0, GENESIS)).toThrow(line);
    expect(() => empty.note()).toThrow('a note tells of a checkpoint that was made');
  });

  it('goes over to another key, which the old one certifies', () => {
    const { signer, key } = signerOf();
    const before = signer.checkpointLine(HEAD, 3, GENESIS);
    const next = generateSessionKey();
    const fields = signer.rotate(next.privateKey);
    expect(fields.key).toBe(next.publicKey);
    expect(signer.publicKey).toBe(next.publicKey);
    expect(verifyCertificate(publicHalf(key.key), ORIGIN, fields.key, fields.cert ?? '')).toBe(true);
    // The note is still of the checkpoint that was made before.
    expect(openNote(signer.note(), [key]).text).toContain('\n3\n');
    signer.push(lineHash(before));
    signer.checkpointLine(HEAD, 4, GENESIS);
    const nextKey = { name: ORIGIN, key: next.privateKey };
    expect(openNote(signer.note(), [nextKey]).text).toContain('\n4\n');
    expect(() => openNote(signer.note(), [key])).toThrow(invalid);
  });

  it('signs nothing once the key is destroyed, and still has the last note', () => {
    const { signer, key } = signerOf();
    signer.checkpointLine(HEAD, 3, GENESIS);
    signer.destroy();
    const gone = 'the key of the log was destroyed';
    expect(() => signer.checkpointLine(HEAD, 3, GENESIS)).toThrow(gone);
    expect(() => signer.rotate(generateSessionKey().privateKey)).toThrow(gone);
    expect(openNote(signer.note(), [key]).text).toContain('\n3\n');
  });

  it.each([
    { name: 'a space', origin: 'my log/x' },
    { name: 'a plus sign', origin: 'a+b/x' },
    { name: 'an LF', origin: 'a\n12\nb/x' },
    { name: 'nothing', origin: '' },
  ])('refuses an origin with $name', ({ origin }) => {
    const { privateKey: key } = generateSessionKey();
    expect(() => new LogSigner({ key, origin })).toThrow(
      new RangeError('the origin of a log must hold no white space and no plus sign'),
    );
  });

  it('refuses a public key and a key of another kind', () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    expect(() => new LogSigner({ key: publicKey, origin: ORIGIN })).toThrow(
      new TypeError('`key` must be an Ed25519 private KeyObject'),
    );
    const { signer } = signerOf();
    expect(() => signer.rotate(generateKeyPairSync('x25519').privateKey)).toThrow(
      new TypeError('`nextKey` must be an Ed25519 private KeyObject'),
    );
  });
});

describe('keyFields', () => {
  it.each([
    { fields: { key: 'K' }, text: ',"key":"K"' },
    { fields: { key: 'K', cert: 'C' }, text: ',"key":"K","cert":"C"' },
    { fields: { key: 'K', cert: undefined }, text: ',"key":"K"' },
  ])('are $text', ({ fields, text }) => {
    expect(keyFields(fields)).toBe(text);
  });
});
