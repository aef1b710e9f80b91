import type { Target } from '../../guard.ts';
import { TextCache } from '../../internal/text-cache.ts';
import type { EgressReason } from '../policy/denial.ts';
import { targetOf } from '../policy/policy.ts';
import { copyInto } from './copy-options.ts';
import { type Origin, originAt } from './origin.ts';

/** The options of undici's `dispatch`. */
export type DispatchOptions = Record<PropertyKey, unknown>;

/** What `dispatch` was asked for, read once: nothing that the caller or a getter does later changes what is sent. */
export interface DispatchSnapshot {
  /** A copy, with the origin as it was judged and headers as a flat list. */
  readonly options: DispatchOptions;
  readonly origin: Origin;
  /** Why it is no HTTP request to any host, if it is not. */
  readonly misplaced: { readonly reason: EgressReason; readonly target: Target } | undefined;
  readonly method: string;
  readonly path: string;
  /** What is to be sent as `Host`, as often as it is. */
  readonly hosts: readonly string[];
  readonly servername: unknown;
}

/**
 * @param bound the origin that the dispatcher goes to whatever the options say, if it is bound to one.
 * @throws {TypeError} what undici refuses too, and cannot be judged.
 */
export function readDispatch(given: unknown, bound?: string): DispatchSnapshot {
  if (typeof given !== 'object' || given === null) throw new TypeError('the options of a request must be an object');
  const options: DispatchOptions = copyInto({}, given);
  // That of `undici.request`, which some versions leave in.
  delete options['dispatcher'];
  const { method, path, servername } = options;
  const named = bound ?? options['origin'];
  if (named === undefined || named === null) throw new TypeError('a request needs an `origin`');
  if (typeof method !== 'string') throw new TypeError('the `method` of a request must be a string');
  if (typeof path !== 'string') throw new TypeError('the `path` of a request must be a string');
  const headers = flatHeaders(options['headers']);
  if (headers !== undefined) options['headers'] = headers;
  const { text, origin, misplaced } = placed(String(named));
  options['origin'] = text;
  return { options, origin, misplaced, method, path, hosts: hostsOf(headers ?? []), servername };
}

interface Placed extends Pick<DispatchSnapshot, 'origin' | 'misplaced'> {
  readonly text: string;
}

const places = new TextCache<Placed>();

function placed(text: string): Placed {
  return places.get(text) ?? places.keep(text, readPlace(text));
}

function readPlace(text: string): Placed {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    const origin = originAt('http', '', 0);
    return { text, origin, misplaced: { reason: 'bad-host', target: origin.target } };
  }
  const target = targetOf(url);
  const origin = originAt(url.protocol === 'https:' ? 'https' : 'http', url.hostname, target.port);
  if (!/^https?:$/.test(url.protocol)) return { text, origin, misplaced: { reason: 'scheme', target } };
  // The parser keeps neither credentials nor a path in an origin, so that they would get lost.
  if (`${url.origin}/` !== url.href) return { text, origin, misplaced: { reason: 'bad-host', target } };
  return { text: url.origin, origin, misplaced: undefined };
}

/** Names and values in turn, which every version of undici takes: it knows a list, an iterable of pairs, and a record. */
function flatHeaders(headers: unknown): readonly unknown[] | undefined {
  if (headers === undefined || headers === null) return undefined;
  if (typeof headers !== 'object') throw new TypeError('the `headers` of a request must be an object or an array');
  const flat: unknown[] = [];
  const add = (name: unknown, value: unknown): void => {
    flat.push(String(name), Array.isArray(value) ? [...value] : value);
  };
  if (Array.isArray(headers)) {
    if (headers.length % 2 !== 0) throw new TypeError('a list of `headers` must hold names and values in turn');
    for (let i = 0; i < headers.length; i += 2) add(headers[i], headers[i + 1]);
  } else if (Symbol.iterator in headers) {
    for (const pair of headers as Iterable<unknown>) {
      if (!Array.isArray(pair) || pair.length !== 2) throw new TypeError('iterable `headers` must give pairs');
      add(pair[0], pair[1]);
    }
  } else {
    for (const [name, value] of Object.entries(headers)) add(name, value);
  }
  return flat;
}

function hostsOf(flat: readonly unknown[]): readonly string[] {
  const hosts: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    if (/^host$/i.test(flat[i] as string) && flat[i + 1] !== undefined) hosts.push(String(flat[i + 1]));
  }
  return hosts;
}
