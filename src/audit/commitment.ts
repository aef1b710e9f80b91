import type { KeyObject } from 'node:crypto';
import { createHmac, createSecretKey, hash } from 'node:crypto';
import { sha256 } from './chain.ts';

/**
 * How arguments appear in the log: `'s1'` salted hash, `'h1'` keyed hash, `'sha256'` plain hash. Equal arguments look
 * equal under `h1` and `sha256`; under `sha256` anyone can guess short ones.
 */
export type ArgsHash = 's1' | 'h1' | 'sha256';

/** Stands for the canonical JSON of a call's arguments in the event with this sequence number. */
export type Commit = (canonical: string, seq: number) => string;

export const SALT_BYTES = 16;
const SALTS_PER_BLOCK = 4;

/** The salts of the four events that share a block: HMAC-SHA-512(key, "leash-salt/1\n<log>\n<block>"). */
function saltBlock(key: KeyObject | Uint8Array, log: string, block: number): Buffer {
  return createHmac('sha512', key).update(`leash-salt/1\n${log}\n${block}`).digest();
}

/** The salt of one event, for opening it. */
export function saltOf(key: Uint8Array, log: string, seq: number): Buffer {
  const from = (seq % SALTS_PER_BLOCK) * SALT_BYTES;
  return saltBlock(key, log, Math.floor(seq / SALTS_PER_BLOCK)).subarray(from, from + SALT_BYTES);
}

/** `s1:` of canonical JSON under a salt that is known. */
export function saltedCommitment(salt: Uint8Array, canonical: string): string {
  return `s1:${hash('sha256', Buffer.concat([salt, Buffer.from(canonical)]))}`;
}

/**
 * `s1:` hex SHA-256(salt || JCS(args)), `h1:` hex HMAC-SHA-256(key, JCS(args)), `sha256:` hex SHA-256(JCS(args)).
 *
 * The salt of event `seq` is the 16 bytes number `seq % 4` of HMAC-SHA-512(key, "leash-salt/1\n<log>\n<block>") where
 * block is floor(seq / 4) in decimal: one event can be opened without opening another, and nothing has to be stored.
 */
export function createCommit(mode: ArgsHash, key: Uint8Array, log: string): Commit {
  if (mode === 'sha256') return (canonical) => `sha256:${sha256(canonical)}`;
  const secret = createSecretKey(key);
  if (mode === 'h1') return (canonical) => `h1:${createHmac('sha256', secret).update(canonical).digest('hex')}`;

  let block = -1;
  let salts: Buffer = Buffer.alloc(0);
  let scratch = Buffer.allocUnsafeSlow(4096);
  return (canonical, seq) => {
    const wanted = Math.floor(seq / SALTS_PER_BLOCK);
    if (wanted !== block) {
      salts = saltBlock(secret, log, wanted);
      block = wanted;
    }
    // A UTF-16 unit takes at most three bytes of UTF-8.
    const atMost = SALT_BYTES + canonical.length * 3;
    if (atMost > scratch.length) scratch = Buffer.allocUnsafeSlow(atMost);
    const from = (seq % SALTS_PER_BLOCK) * SALT_BYTES;
    salts.copy(scratch, 0, from, from + SALT_BYTES);
    const length = SALT_BYTES + scratch.write(canonical, SALT_BYTES, 'utf8');
    const digest = hash('sha256', scratch.subarray(0, length));
    // One huge argument must not stay in memory for the life of the session.
    if (scratch.length > 1 << 20) scratch = Buffer.allocUnsafeSlow(4096);
    return `s1:${digest}`;
  };
}
