import type { CrossedError } from './messages.ts';

export const MAX_CAUSES = 4;
export const MAX_NAME_CHARS = 256;
export const MAX_MESSAGE_CHARS = 8_192;

/** What crosses of an error: its name, its message, its code, and the same of its causes. */
export function crossError(error: unknown, depth = 0): CrossedError {
  try {
    if (typeof error !== 'object' || error === null) {
      return { name: 'Error', message: String(error).slice(0, MAX_MESSAGE_CHARS) };
    }
    const { name, message, code, cause } = error as Record<string, unknown>;
    return {
      name: typeof name === 'string' ? name.slice(0, MAX_NAME_CHARS) : 'Error',
      message: typeof message === 'string' ? message.slice(0, MAX_MESSAGE_CHARS) : '',
      code: typeof code === 'string' ? code : undefined,
      cause: cause === undefined || depth === MAX_CAUSES ? undefined : crossError(cause, depth + 1),
    };
  } catch {
    return { name: 'Error', message: 'an error that cannot be looked at' };
  }
}

export function rebuildError({ name, message, code, cause }: CrossedError): Error {
  const options = cause === undefined ? undefined : { cause: rebuildError(cause) };
  const error = name === 'TypeError' ? new TypeError(message, options) : new Error(message, options);
  if (error.name !== name) Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  return code === undefined ? error : Object.assign(error, { code });
}
