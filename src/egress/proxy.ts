import { shown } from '../internal/options.ts';

/** @throws {TypeError} anything but the origin of an HTTP proxy, with or without credentials; the message has neither. */
export function parseProxy(option: string, text: unknown): URL {
  let url: URL | undefined;
  try {
    url = typeof text === 'string' ? new URL(text) : undefined;
  } catch {}
  const origin = url !== undefined && url.pathname === '/' && url.search === '' && url.hash === '';
  if (url !== undefined && origin && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  const got = typeof text === 'string' ? 'another text' : shown(text);
  throw new TypeError(`\`${option}\` must be an origin such as 'http://proxy.internal:3128', got ${got}`);
}
