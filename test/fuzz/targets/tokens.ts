import { headOfNote } from '../../../src/audit/head.ts';
import { verifyEventProof } from '../../../src/audit/inclusion.ts';
import { signJws } from '../../../src/audit/jws.ts';
import { formatNoteKey, parseNoteKey, readPublicKey } from '../../../src/audit/keys.ts';
import { signPaseto } from '../../../src/audit/paseto.ts';
import { ProofInvalidError, verifyProof } from '../../../src/audit/proof.ts';
import { LeashError } from '../../../src/errors.ts';
import { keyPair } from '../../helpers/ed25519.ts';
import { seedsOf } from '../corpus.ts';
import { need, outcomeOf, refusal, type Target, textOf } from '../target.ts';
import { stringsIn, valueFrom } from '../values.ts';

/** The same in every run, so that the tokens of the corpus stay signed. */
const PAIR = keyPair(Buffer.alloc(32, 7));
const KEY = { kid: 'f3a1b2c4', publicKey: PAIR.raw.toString('base64') };
const NOW = Date.UTC(2026, 10, 20, 12);
const AUDIENCE = 'https://shop.example';

const CLAIM_WORDS = [
  'v4.public.',
  'v3.local.',
  'v4.public.e30',
  '.',
  '=',
  '-',
  '_',
  '+',
  '/',
  'eyJhbGciOiJub25lIn0',
  '{"alg":"none"}',
  'kid',
  'typ',
  'exp',
  'iat',
  'aud',
  'jti',
  'purpose',
  '"leash-proof"',
  'seq',
  'dec',
  '"allow"',
  '2026-11-20T12:00:00.000Z',
  '1795176000',
  '"v":2',
  '\u0000',
  'é',
];

async function verdictOn(token: string): Promise<string> {
  try {
    const { tool } = await verifyProof(token, { keys: [KEY], audience: AUDIENCE, now: () => NOW });
    return `verified ${tool.length}`;
  } catch (error) {
    refusal(error, { kinds: [ProofInvalidError as never] });
    return (error as ProofInvalidError).reason;
  }
}

export const proofToken: Target = {
  name: 'proof-token',
  form: 'text',
  tokens: CLAIM_WORDS,
  check: async (input) => {
    const token = textOf(input);
    const verdict = await verdictOn(token);
    // Nobody but the key can make one: what verifies is, to the letter, one that the key has made.
    if (verdict.startsWith('verified')) {
      need(
        seedsOf('proof-token').some(({ bytes }) => bytes.toString() === token),
        'takes a token that the key has not signed',
      );
    }
    return verdict;
  },
};

export const proofClaims: Target = {
  name: 'proof-claims',
  form: 'json',
  tokens: CLAIM_WORDS,
  check: async (input) => {
    const payload = textOf(input);
    if (payload.length > 8_000) return 'long';
    const footer = `{"kid":"${KEY.kid}","typ":"leash-proof"}`;
    const paseto = await verdictOn(signPaseto(PAIR.privateKey, payload, footer, 'leash-proof'));
    const jws = await verdictOn(signJws(PAIR.privateKey, { kid: KEY.kid, typ: 'leash-proof+jwt' }, payload));
    for (const verdict of [paseto, jws])
      need(verdict !== 'signature' && verdict !== 'key-unknown', 'does not know its own signature');
    // Times are written in different ways, so that no payload is both.
    need(!(paseto.startsWith('verified') && jws.startsWith('verified')), 'takes one payload in both formats');
    return `${paseto} ${jws}`;
  },
};

export const note: Target = {
  name: 'note',
  form: 'text',
  tokens: [
    '\n\n',
    '\n',
    '— ',
    '+',
    'leash.local/',
    'AAAA',
    '=',
    '0',
    '-1',
    '9007199254740993',
    '01',
    '\u0000',
    '\r\n',
    '\u00a0',
    'e3',
  ],
  check: (input) => {
    const text = textOf(input);
    const head = outcomeOf(() => headOfNote(text), { kinds: [LeashError as never] });
    if (typeof head !== 'string') {
      const { log, size, root } = head.value as { log: string; size: number; root: string };
      need(
        Number.isSafeInteger(size) && size >= 0 && text.includes(`\n${size}\n${root}\n`),
        'reads another head than is written',
      );
      need(!log.includes('/'), 'reads a log with a slash in its name');
    }
    const key = outcomeOf(() => parseNoteKey(text), { kinds: [RangeError, TypeError] });
    if (typeof key !== 'string') need(formatNoteKey(key.value) === text, 'reads another key than it writes');
    const bare = readPublicKey(text);
    return `${typeof head} ${typeof key} ${bare === undefined}`;
  },
};

export const eventProof: Target = {
  name: 'event-proof',
  form: 'json',
  tokens: ['line', 'proof', 'keys', 'key', 'cert', 'c2sp.org/tlog-proof@v1', 'index 0', '\\n', '[]', '{"key":"AAAA"}'],
  check: (input) => {
    const read = valueFrom(textOf(input));
    if (read === undefined) return 'no JSON';
    const report = verifyEventProof(read.value);
    const { ok, trusted, code } = report as { ok: boolean; trusted: boolean; code?: string };
    need(!trusted, 'trusts a key although none was to be trusted');
    need(ok === (code === undefined), 'tells no code, or one although it is right');
    if (ok) {
      const lines = seedsOf('event-proof').flatMap(({ bytes }) => stringsIn(valueFrom(bytes.toString())?.value));
      need(lines.includes((read.value as { line: string }).line), 'takes a line that was not signed');
    }
    return code ?? 'ok';
  },
};
