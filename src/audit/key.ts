/**
 * A `KeyObject` of node:crypto, as far as the package's declarations speak of it: a program without the types of Node can
 * use them.
 */
export interface Key {
  readonly type: string;
  readonly asymmetricKeyType?: string | undefined;
}

type SignElsewhere = (bytes: Uint8Array) => Promise<Uint8Array>;

/**
 * Who stands behind session keys: a private Ed25519 `KeyObject`, or a function that signs with one that is held elsewhere,
 * as a KMS does. The function gets the bytes and resolves to the 64 bytes of their Ed25519 signature.
 */
export type RootSigner = Key | SignElsewhere;
