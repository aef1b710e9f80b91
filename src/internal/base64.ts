/** Standard alphabet with padding (RFC 4648 §4): the only base64 that the log knows. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/**
 * The bytes, or `undefined` for anything that is not exactly what `encodeBase64` makes of them: Node reads the URL
 * alphabet, missing padding, white space and stray low bits too, and then one signature would have several texts.
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
