import { randomBytes, randomUUID } from 'node:crypto';
import { LeashError } from '../errors.ts';
import { decodeBase64 } from '../internal/base64.ts';
import { NotJsonError } from '../internal/canonical-json.ts';
import { checkInteger, checkName, checkOneOf, checkOptions, kindOf } from '../internal/options.ts';
import { SALT_BYTES, saltedCommitment } from './commitment.ts';
import { signJws, verifyJws } from './jws.ts';
import type { Key } from './key.ts';
import { keyId, rawPublicKey, readPublicKey } from './keys.ts';
import { checkOpening } from './opening.ts';
import { signPaseto, verifyPaseto } from './paseto.ts';
import {
  MAX_LIFE_MS,
  type ProofClaims,
  type ProofFormat,
  type ProofSubject,
  PURPOSE,
  readClaims,
  writeClaims,
} from './proof-claims.ts';
import type { SeenProofs } from './proof-seen.ts';
import { isKeyId, TokenError } from './token.ts';

const JWS_TYPE = `${PURPOSE}+jwt`;
const FOOTER = /^\{"kid":"([^"\\]{1,128})","typ":"([a-z0-9.+-]{1,64})"\}$/;
const KEY_BYTES = 32;

/** Why a proof is not to be relied on. */
export type ProofReason =
  | 'malformed'
  | 'key-unknown'
  | 'signature'
  | 'purpose'
  | 'version'
  | 'audience'
  | 'expired'
  | 'not-yet-valid'
  | 'args-mismatch'
  | 'replayed';

const MESSAGES: Readonly<Record<ProofReason, string>> = {
  malformed: 'it is no well-formed proof token',
  'key-unknown': 'it names a key that is not among the trusted ones',
  signature: 'its signature does not verify',
  purpose: 'it is a token of another purpose',
  version: 'its version is not known',
  audience: 'it is for another audience',
  expired: 'it has expired',
  'not-yet-valid': 'it was issued in the future',
  'args-mismatch': 'it is not about these arguments',
  replayed: 'it was used before',
};

/** A proof that is not to be relied on. `reason` is stable; nothing of the token stands in the message. */
export class ProofInvalidError extends LeashError {
  declare readonly code: 'PROOF_INVALID';
  readonly reason: ProofReason;

  constructor(reason: ProofReason) {
    super('PROOF_INVALID', `the proof is refused: ${MESSAGES[reason]}`);
    this.reason = reason;
  }
}
Object.defineProperty(ProofInvalidError.prototype, 'name', {
  value: 'ProofInvalidError',
  configurable: true,
  writable: true,
});

export interface SignProofOptions {
  /** Default: `'paseto'`. */
  readonly format?: ProofFormat | undefined;
  /** The session's Ed25519 private key. */
  readonly key: Key;
  /** By which the verifier finds the public key: 1 to 128 characters of `A-Z a-z 0-9 . _ ~ : + / = @ -`. */
  readonly keyId: string;
  readonly claims: ProofSubject;
  /** How long the proof is good: 1 to 300 000. Default 60 000. A JWS counts whole seconds; there the end is rounded up. */
  readonly ttlMs?: number | undefined;
  /** Epoch ms now. Default: `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/**
 * A token that tells one relying party that one call was allowed, with these arguments, and where the log says so. Two
 * tokens for the same call are two proofs, each with a salt and an id of its own.
 *
 * `'paseto'` is v4.public with the footer `{"kid":…,"typ":"leash-proof"}` and the implicit assertion `leash-proof`;
 * `'jws'` is compact with the header `{"alg":"Ed25519","kid":…,"typ":"leash-proof+jwt"}`. All JSON is canonical (RFC 8785).
 *
 * Errors name options as `call.proof` has them.
 *
 * @throws {TypeError} no Ed25519 private key, no key id, or a claim that a verifier would refuse.
 * @throws {RangeError} a life that is not from 1 to 300 000 ms.
 */
export function signProof(options: SignProofOptions): string {
  checkOptions('signProof', options, ['format', 'key', 'keyId', 'claims', 'ttlMs', 'now']);
  const { format = 'paseto', key, keyId, claims, ttlMs = 60_000, now = Date.now } = options;
  checkOneOf('call.proof.format', format, ['paseto', 'jws']);
  if (!isKeyId(keyId)) {
    throw new TypeError('`signProof.keyId` must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ : + / = @ -');
  }
  const life = checkLife('call.proof.ttlMs', ttlMs, 1);
  const { args, ...said } = claims;
  if (typeof args !== 'string') throw new TypeError('`signProof.claims.args` must be canonical JSON as text');
  const salt = randomBytes(SALT_BYTES);
  const ah = saltedCommitment(salt, args);
  const all = { ...said, jti: randomUUID(), ah, as: salt.toString('base64') };
  const payload = writeClaims(format, all, readNow('signProof.now', now), life);
  return format === 'jws'
    ? signJws(key, { kid: keyId, typ: JWS_TYPE }, payload)
    : signPaseto(key, payload, `{"kid":"${keyId}","typ":"${PURPOSE}"}`, PURPOSE);
}

/** The public key of a session, as `verifyProof` takes it. */
export interface ProofKey {
  readonly kid: string;
  /** The raw 32 bytes in base64, as `key` in a log's `session_open`. */
  readonly publicKey: string;
}

/**
 * The key of a session, for `verifyProof`: from the `origin` and `key` of its log's `session_open`, and the `key` of each
 * `key_rotated`. Whether to trust it is for the root's certificate to say, which `verifyLog` checks.
 *
 * @throws {TypeError | RangeError} no origin, or no base64 of an Ed25519 public key that may be used.
 */
export function proofKey(origin: string, publicKey: string): ProofKey {
  checkName('proofKey.origin', origin);
  const key = readPublicKey(publicKey);
  if (key === undefined) throw new RangeError('`proofKey.publicKey` must be base64 of an Ed25519 public key');
  return { kid: keyId(origin, rawPublicKey(key)).toString('hex'), publicKey };
}

export interface VerifyProofOptions {
  /** The trusted keys, as a list or by key id. The proof's key id chooses one; no other is tried. */
  readonly keys: readonly ProofKey[] | ReadonlyMap<string, string>;
  /** Who is verifying: `aud` must be this very string. */
  readonly audience: string;
  /**
   * The arguments in hand. Where this property is present, even as undefined, they must be those that were allowed. Default:
   * nobody looks at them.
   */
  readonly args?: unknown;
  /** Epoch ms now. Default: `Date.now`. */
  readonly now?: (() => number) | undefined;
  /** How far the two clocks may be apart: 0 to 300 000. Default: 0. */
  readonly leewayMs?: number | undefined;
  /** Makes each proof good for one use. Default: none, so that a proof can be shown again until it expires. */
  readonly seen?: SeenProofs;
}

/**
 * The claims of a proof, PASETO or JWS, once everything about it is right: purpose, key, signature, version, structure,
 * audience, times, arguments, and last that it was not used before. All claims of version 1 must be there and no other:
 * a claim that this verifier does not know might narrow what the proof allows.
 *
 * A proof tells what a leash decided and recorded. That the record still stands is seen in the log, at `log`, `seq` and `h`.
 *
 * @throws {ProofInvalidError} the proof is not to be relied on.
 * @throws {TypeError | RangeError} a wrong option or key; and whatever `seen` throws. Neither is a yes.
 */
export async function verifyProof(token: string, options: VerifyProofOptions): Promise<ProofClaims> {
  checkOptions('verifyProof', options, ['keys', 'audience', 'args', 'now', 'leewayMs', 'seen']);
  const { keys, audience, now = Date.now, leewayMs = 0, seen } = options;
  const trusted = trustedKeys(keys);
  checkName('verifyProof.audience', audience);
  const leeway = checkLife('verifyProof.leewayMs', leewayMs, 0);
  // A store that is undefined by mistake would quietly make every proof good for many uses.
  if ('seen' in options && typeof seen?.take !== 'function') {
    throw new TypeError(`\`verifyProof.seen\` must have a method \`take\`, got ${kindOf(seen)}`);
  }
  const at = readNow('verifyProof.now', now);

  const { kid, claims } = readProof(token, trusted);
  if (claims.aud !== audience) throw new ProofInvalidError('audience');
  if (claims.iat > at + leeway) throw new ProofInvalidError('not-yet-valid');
  const until = claims.exp + leeway;
  if (at >= until) throw new ProofInvalidError('expired');
  if ('args' in options && !isAbout(claims, options.args)) throw new ProofInvalidError('args-mismatch');
  // Last: a token that is refused for another reason must not use up the id of one that is good.
  if (seen !== undefined) {
    const first: unknown = await seen.take(`${kid}/${claims.jti}`, until);
    if (typeof first !== 'boolean') {
      throw new TypeError(`\`verifyProof.seen\` must answer true or false, got ${kindOf(first)}`);
    }
    if (!first) throw new ProofInvalidError('replayed');
  }
  return claims;
}

/** Everything that the token alone decides. */
function readProof(token: unknown, keys: ReadonlyMap<string, string>): { kid: string; claims: ProofClaims } {
  let chosen = '';
  const keyFor = (kid: string | undefined, ours: boolean): Key => {
    if (!isKeyId(kid)) throw new ProofInvalidError('malformed');
    if (!ours) throw new ProofInvalidError('purpose');
    const publicKey = keys.get(kid);
    if (publicKey === undefined) throw new ProofInvalidError('key-unknown');
    chosen = kid;
    const key = readPublicKey(publicKey);
    if (key === undefined) throw badKey();
    return key;
  };
  try {
    // The header of a JWS is an object in base64url and starts `eyJ`, so no token can be taken for both.
    const format = typeof token === 'string' && token.startsWith('v4.') ? 'paseto' : 'jws';
    const payload =
      format === 'jws'
        ? verifyJws(token, ({ kid, typ }) => keyFor(kid, typ === JWS_TYPE))
        : verifyPaseto(
            token,
            (footer) => {
              const [, kid, typ] = FOOTER.exec(footer) ?? [];
              return keyFor(kid, typ === PURPOSE);
            },
            PURPOSE,
          );
    const claims = readClaims(format, payload);
    if (typeof claims === 'string') throw new ProofInvalidError(claims);
    return { kid: chosen, claims };
  } catch (error) {
    throw error instanceof TokenError ? new ProofInvalidError(error.reason) : error;
  }
}

function isAbout({ as: salt, ah }: ProofClaims, args: unknown): boolean {
  try {
    return checkOpening({ salt, args }, ah);
  } catch (error) {
    // What is no JSON cannot have been committed to.
    if (error instanceof NotJsonError) return false;
    throw error;
  }
}

/** @throws {TypeError} two keys with one id: the token would not say which of them is meant. */
function trustedKeys(keys: VerifyProofOptions['keys']): ReadonlyMap<string, string> {
  if (keys instanceof Map) return keys;
  if (!Array.isArray(keys)) throw new TypeError(`\`verifyProof.keys\` must be a list or a Map, got ${kindOf(keys)}`);
  const byId = new Map<string, string>();
  for (const key of keys as readonly Partial<ProofKey>[]) {
    const { kid, publicKey } = key ?? {};
    if (!isKeyId(kid)) throw new TypeError('`verifyProof.keys` has an entry without a key id');
    if (byId.has(kid)) throw new TypeError('`verifyProof.keys` has two entries with one key id');
    if (typeof publicKey !== 'string' || decodeBase64(publicKey)?.length !== KEY_BYTES) throw badKey();
    byId.set(kid, publicKey);
  }
  return byId;
}

function badKey(): TypeError {
  return new TypeError(
    'a key of `verifyProof.keys` must be the 32 bytes of an Ed25519 public key in base64, none of small order',
  );
}

/** Milliseconds from `min` to the longest life that a proof may have. */
function checkLife(option: string, ms: unknown, min: number): number {
  const checked = checkInteger(option, ms, min);
  if (checked > MAX_LIFE_MS) throw new RangeError(`\`${option}\` must be at most ${MAX_LIFE_MS}, got ${checked}`);
  return checked;
}

function readNow(option: string, now: unknown): number {
  if (typeof now !== 'function') throw new TypeError(`\`${option}\` must be a function, got ${kindOf(now)}`);
  const epochMs: unknown = now();
  if (typeof epochMs !== 'number' || !Number.isFinite(epochMs)) {
    throw new RangeError(`\`${option}\` must return epoch milliseconds, got ${kindOf(epochMs)}`);
  }
  return Math.floor(epochMs);
}
