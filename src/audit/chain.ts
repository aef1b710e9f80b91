import { hash } from 'node:crypto';

/** What the first line of a log names as the hash of the line before it. */
export const GENESIS: string = '0'.repeat(64);

/** The hash that the next line carries as `prev`: SHA-256(0x00 || line), which is the RFC 6962 hash of that leaf. */
export function lineHash(line: string): string {
  return hash('sha256', `\0${line}`);
}

/** Hex SHA-256 of a text's UTF-8 bytes. */
export function sha256(text: string): string {
  return hash('sha256', text);
}
