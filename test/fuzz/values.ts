/**
 * JSON that can tell what JSON cannot: `{"$":"bigint","is":"5"}` and the like stand for values that no JSON text holds.
 * Everything else is itself, `__proto__` as an own property included.
 */
const MAKERS: Readonly<Record<string, (is: unknown) => unknown>> = {
  bigint: (is) => (/^-?\d{1,60}$/.test(String(is)) ? BigInt(String(is)) : 0n),
  number: (is) => Number(is),
  undefined: () => undefined,
  symbol: () => Symbol('symbol'),
  function: () => () => 'function',
  bytes: (is) => new Uint8Array(Buffer.from(String(is), 'base64')),
  date: () => new Date(0),
  map: (is) => new Map([[is, is]]),
  holes: (is) => Array(Math.min(10_000, Math.max(0, Math.trunc(Number(is)) || 0))),
  throws: () => ({
    get usd() {
      throw new Error('an accessor threw');
    },
  }),
  cycle: () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    return cycle;
  },
  'no prototype': (is) => Object.assign(Object.create(null), is),
};

/** The value that a text stands for; undefined where the text is no JSON. */
export function valueFrom(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: made(JSON.parse(text)) };
  } catch {
    return undefined;
  }
}

function made(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) return json.map(made);
  const { $: kind, is } = json as { $?: unknown; is?: unknown };
  if (typeof kind === 'string' && Object.hasOwn(MAKERS, kind)) return MAKERS[kind]?.(made(is));
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(json)) {
    Object.defineProperty(copy, key, { value: made(item), enumerable: true, configurable: true, writable: true });
  }
  return copy;
}

/** Every string that stands in a value: what no message may repeat. */
export function stringsIn(value: unknown, depth = 0): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null || depth > 6 || value instanceof Uint8Array) return [];
  try {
    return Object.entries(value).flatMap(([key, item]) => [key, ...stringsIn(item, depth + 1)]);
  } catch {
    return [];
  }
}

/** Nodes of JSON that make trouble anywhere. */
export const NASTY: readonly string[] = [
  'null',
  'true',
  '0',
  '-0',
  '-1',
  '0.1',
  '1e21',
  '1e-7',
  '1e400',
  '5e-324',
  '9007199254740991',
  '9007199254740992',
  '4294967296',
  '""',
  '"\\ud800"',
  '"\\u0000"',
  '"\\u202e"',
  '"__proto__"',
  '"constructor"',
  '[]',
  '{}',
  '[[]]',
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"toString":null}',
  '{"length":3}',
  '{"then":1}',
  ...Object.keys(MAKERS).map((kind) => `{"$":"${kind}","is":"NaN"}`),
  '{"$":"number","is":"Infinity"}',
  '{"$":"number","is":"-0"}',
  '{"$":"bigint","is":"9007199254740993"}',
  '{"$":"bigint","is":"-1"}',
  '{"$":"holes","is":3}',
];
