import type { OutgoingRequest, Target } from '../guard.ts';
import type { EgressReason } from './denial.ts';
import { targetOf } from './policy.ts';

/** The options of undici's `dispatch`. */
export type DispatchOptions = Record<PropertyKey, unknown>;

/** What `dispatch` was asked for, read once: nothing that the caller or a getter does later changes what is sent. */
export interface DispatchSnapshot {
  /** A copy, with the origin as it was judged and headers as a flat list. */
  readonly options: DispatchOptions;
  readonly request: OutgoingRequest;
  /** Why it is no HTTP request to any host, if it is not. */
  readonly misplaced: { readonly reason: EgressReason; readonly target: Target } | undefined;
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
  const options = copyOf(given);
  // That of `undici.request`, which some versions leave in.
  delete options['dispatcher'];
  const { method, path, servername } = options;
  const origin = bound ?? options['origin'];
  if (origin === undefined || origin === null) throw new TypeError('a request needs an `origin`');
  if (typeof method !== 'string') throw new TypeError('the `method` of a request must be a string');
  if (typeof path !== 'string') throw new TypeError('the `path` of a request must be a string');
  const headers = flatHeaders(options['headers']);
  if (headers !== undefined) options['headers'] = headers;
  const { scheme, host, port, text, misplaced } = readOrigin(String(origin));
  options['origin'] = text;
  const request: OutgoingRequest = { scheme, host, port, method, path };
  return { options, request, misplaced, hosts: hostsOf(headers ?? []), servername };
}

interface Origin extends Pick<OutgoingRequest, 'scheme' | 'host' | 'port'>, Pick<DispatchSnapshot, 'misplaced'> {
  readonly text: string;
}

const MAX_ORIGINS = 1_000;
const origins = new Map<string, Origin>();

function readOrigin(text: string): Origin {
  let origin = origins.get(text);
  if (origin === undefined) {
    origin = parseOrigin(text);
    if (origins.size >= MAX_ORIGINS) origins.clear();
    origins.set(text, origin);
  }
  return origin;
}

function parseOrigin(text: string): Origin {
  const nowhere: Target = { scheme: 'http', host: '', port: 0 };
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return { scheme: 'http', host: '', port: 0, text, misplaced: { reason: 'bad-host', target: nowhere } };
  }
  const target = targetOf(url);
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  const place = { scheme, host: url.hostname, port: target.port } as const;
  if (!/^https?:$/.test(url.protocol)) return { ...place, text, misplaced: { reason: 'scheme', target } };
  // The parser keeps neither in an origin, so that what else stands there would get lost.
  if (`${url.origin}/` !== url.href) return { ...place, text, misplaced: { reason: 'bad-host', target } };
  return { ...place, text: url.origin, misplaced: undefined };
}

/** Also what is inherited: undici reads it too. */
function copyOf(given: object): DispatchOptions {
  const copy: DispatchOptions = {};
  for (const key in given) copy[key] = (given as DispatchOptions)[key];
  for (const key of Object.getOwnPropertySymbols(given)) copy[key] = (given as DispatchOptions)[key];
  return copy;
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
