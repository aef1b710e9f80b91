import { createHmac, timingSafeEqual } from 'node:crypto';
import { decodeBase64, encodeBase64 } from '../internal/base64.ts';
import { canonicalJson, snapshotJson } from '../internal/canonical-json.ts';
import { checkInteger, checkName, checkOptions } from '../internal/options.ts';
import { sha256 } from './chain.ts';
import { SALT_BYTES, saltedCommitment, saltOf } from './commitment.ts';

/** What lets anyone check the arguments of one event, and of no other. */
export interface Opening {
  readonly log: string;
  readonly seq: number;
  /** The salt of this event, in base64. */
  readonly salt: string;
  /** The arguments, as plain JSON. */
  readonly args: unknown;
}

export interface OpenCommitmentOptions {
  /** The log key. */
  readonly key: Uint8Array;
  /** Id of the log, as on its lines. */
  readonly log: string;
  /** Sequence number of the event. */
  readonly seq: number;
  /** The arguments of that event. */
  readonly args: unknown;
}

/**
 * Opens the salted commitment (`s1:`) of one event, for handing to somebody who may see its arguments. The log key stays
 * secret: the other events remain closed.
 *
 * @throws {TypeError | RangeError} an unknown option, no log id or sequence number, or arguments that are no plain finite JSON.
 */
export function openCommitment(options: OpenCommitmentOptions): Opening {
  checkOptions('openCommitment', options, ['key', 'log', 'seq', 'args']);
  const log = checkName('openCommitment.log', options.log);
  const seq = checkInteger('openCommitment.seq', options.seq, 0);
  const args = snapshotJson(options.args);
  return { log, seq, salt: encodeBase64(saltOf(options.key, log, seq)), args };
}

/** Whether the arguments of an opening are those that a log line's `args` stands for (`s1:`). Needs no key. */
export function checkOpening(opening: Pick<Opening, 'salt' | 'args'>, commitment: string): boolean {
  const salt = decodeBase64(opening.salt);
  if (salt?.length !== SALT_BYTES) return false;
  const text = canonicalJson(snapshotJson(opening.args));
  return same(saltedCommitment(salt, text), commitment);
}

/** Whether arguments are those that a keyed (`h1:`) or plain (`sha256:`) commitment stands for. */
export function matchesCommitment(args: unknown, commitment: string, key?: Uint8Array): boolean {
  const text = canonicalJson(snapshotJson(args));
  if (commitment.startsWith('sha256:')) return same(`sha256:${sha256(text)}`, commitment);
  if (!commitment.startsWith('h1:') || key === undefined) return false;
  return same(`h1:${createHmac('sha256', key).update(text).digest('hex')}`, commitment);
}

function same(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}
