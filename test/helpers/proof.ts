import { signJws } from '../../src/audit/jws.ts';
import { signPaseto } from '../../src/audit/paseto.ts';
import {
  ProofInvalidError,
  type ProofKey,
  type SignProofOptions,
  signProof,
  type VerifyProofOptions,
  verifyProof,
} from '../../src/audit/proof.ts';
import type { ProofFormat, ProofSubject } from '../../src/audit/proof-claims.ts';
import { canonicalJson, snapshotJson } from '../../src/internal/canonical-json.ts';
import { type KeyPair, keyPair } from './ed25519.ts';

export const FORMATS: readonly ProofFormat[] = ['paseto', 'jws'];
export const NOW: number = Date.UTC(2026, 10, 20, 12, 0, 0, 250);
export const LOG = '0b8f3c1e-6a53-4c0e-9d0f-0f4f0d9b8a11';

export const pair: KeyPair = keyPair();
export const other: KeyPair = keyPair();
export const KEY: ProofKey = { kid: 'f3a1b2c4', publicKey: pair.raw.toString('base64') };
export const args: { readonly cents: number; readonly to: string; readonly nested: object } = {
  cents: 1_250,
  to: 'acct_€',
  nested: { b: [1, 2, { z: null }], a: true },
};
export const subject: ProofSubject = {
  iss: `leash.local/${LOG}`,
  sub: 'shopper',
  aud: 'https://shop.example',
  tool: 'stripe.charge',
  args: canonicalJson(snapshotJson(args)),
  log: LOG,
  seq: 5,
  h: 'ab'.repeat(32),
  pol: 'cd'.repeat(32),
};

export function prove(format: ProofFormat, change: Partial<SignProofOptions> = {}): string {
  return signProof({ format, key: pair.privateKey, keyId: KEY.kid, claims: subject, now: () => NOW, ...change });
}

export function verify(token: string, change: Partial<VerifyProofOptions> = {}): ReturnType<typeof verifyProof> {
  return verifyProof(token, { keys: [KEY], audience: subject.aud, now: () => NOW, ...change });
}

/** Why it is refused; 'verified' if it is not. Whatever is no refusal is thrown. */
export async function reason(token: unknown, change: Partial<VerifyProofOptions> = {}): Promise<string> {
  try {
    await verify(token as string, change);
  } catch (error) {
    if (error instanceof ProofInvalidError) return error.reason;
    throw error;
  }
  return 'verified';
}

export type Fields = Record<string, unknown>;

/** What stands in a token, as the format spells it. */
export function fieldsOf(token: string): Fields {
  const [, middle = ''] = /^(?:v4\.public|[^.]+)\.([^.]+)/.exec(token) ?? [];
  const bytes = Buffer.from(middle, 'base64url');
  return JSON.parse((token.startsWith('v4.') ? bytes.subarray(0, -64) : bytes).toString());
}

/** The footer of a PASETO proof, or one like it. */
export const footer = (kid: string = KEY.kid, typ = 'leash-proof'): string => JSON.stringify({ kid, typ });

/** A token over any payload, signed with the right key and typed as a proof. */
export function sealed(format: ProofFormat, payload: string): string {
  return format === 'paseto'
    ? signPaseto(pair.privateKey, payload, footer(), 'leash-proof')
    : signJws(pair.privateKey, { kid: KEY.kid, typ: 'leash-proof+jwt' }, payload);
}

/** A proof with some claims replaced, or left out where undefined, signed again. */
export function altered(format: ProofFormat, change: Fields): string {
  return sealed(format, canonicalJson(snapshotJson({ ...fieldsOf(prove(format)), ...change })));
}
