import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

/** An Ed25519 key pair, with its raw halves for libraries that want them. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly seed: Buffer;
  readonly raw: Buffer;
}

/** The pair of a 32-byte seed; a new one without. */
export function keyPair(seed?: Buffer): KeyPair {
  const privateKey =
    seed === undefined
      ? generateKeyPairSync('ed25519').privateKey
      : createPrivateKey({
          key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
          format: 'der',
          type: 'pkcs8',
        });
  const publicKey = createPublicKey(privateKey);
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' });
  return { privateKey, publicKey, seed: Buffer.from(d, 'base64url'), raw: Buffer.from(x, 'base64url') };
}
