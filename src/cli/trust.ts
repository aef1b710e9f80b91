import { parseNoteKey, rawPublicKey, readPublicKey } from '../audit/keys.ts';
import { encodeBase64 } from '../internal/base64.ts';
import { type Input, type Option, UsageError } from './command.ts';

/** The options of commands that check signatures. */
export const TRUST_OPTIONS: { readonly trust: Option; readonly tofu: Option } = {
  trust: {
    type: 'string',
    multiple: true,
    argument: 'KEY',
    help: 'root key, in base64 or as a note key: one of these must have certified each session key',
  },
  tofu: { type: 'boolean', help: 'take session keys as they come (trust on first use)' },
};

export interface Trusted {
  /** Base64 of the 32 bytes of each root key. */
  readonly trust?: readonly string[];
  readonly tofu?: true;
}

/** @throws {UsageError} a key that is none or may not be used, or both options at once. */
export function readTrustOptions(input: Input): Trusted {
  const trust = input.list('trust').map(rootKey);
  const tofu = input.flag('tofu');
  if (tofu && trust.length > 0) throw new UsageError('--tofu takes any key, --trust only some: give one of them');
  return { ...(trust.length > 0 ? { trust } : {}), ...(tofu ? { tofu } : {}) };
}

function rootKey(text: string): string {
  if (readPublicKey(text) !== undefined) return text;
  try {
    return encodeBase64(rawPublicKey(parseNoteKey(text).key));
  } catch (error) {
    const wanted = '--trust must be an Ed25519 public key, in base64 or as a note key';
    throw new UsageError(`${wanted}, got ${text}`, { cause: error });
  }
}

export const UNTRUSTED =
  'its session key is checked against no root key (--trust): somebody else may have written all of it';
export const FIRST_USE = 'its session key is taken as it came (--tofu)';
