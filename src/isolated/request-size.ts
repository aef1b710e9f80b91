import type { RequestMessage } from './messages.ts';

/** A longer body goes piece by piece, and then cannot be repeated where a redirect asks for that. */
export const MAX_WHOLE_BYTES: number = 4 * 1024 * 1024;
export const MAX_HEADERS = 1_000;
const MAX_HEAD_CHARS = 262_144;

/** What a worker asks for is held in the memory of the program. @throws {TypeError} it is too much. */
export function checkSize({ url, method, headers, options, body }: RequestMessage): void {
  const head = [url, method, ...Object.values(options), ...headers.flat()];
  const length = head.reduce((sum, text) => sum + text.length, 0);
  if (length > MAX_HEAD_CHARS || headers.length > MAX_HEADERS) {
    throw new TypeError(`a request of an isolated worker has at most ${MAX_HEAD_CHARS} characters of URL and headers`);
  }
  if (body instanceof Uint8Array && body.length > MAX_WHOLE_BYTES)
    throw new TypeError('a body is too long for one piece');
}
