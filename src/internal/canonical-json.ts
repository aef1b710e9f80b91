/*! Bundles fast-json-stable-stringify (MIT, James Halliday, Evgeny Poberezkin); its licence is in LICENSE. */
import stableStringify from 'fast-json-stable-stringify';

/** Objects and arrays inside one another. */
export const MAX_DEPTH = 512;
/** Values in one document: a shared reference counts each time, so a small graph cannot unfold without end. */
const MAX_VALUES = 1_000_000;

/** Why JSON cannot carry a value, and where. Names of properties are content and appear as `*`. */
export class NotJsonError extends Error {
  readonly rule: string;
  readonly path: string;

  constructor(rule: string, path: string) {
    super(`not JSON: ${rule}`);
    this.rule = rule;
    this.path = path;
  }
}

class Reader {
  values = 0;
  rule = '';
  /** Steps to the refused value, innermost first. */
  readonly path: string[] = [];
  readonly ancestors: object[] = [];
  readonly freezes: boolean;

  constructor(freezes: boolean) {
    this.freezes = freezes;
  }

  refuse(rule: string): typeof REFUSED {
    this.rule = rule;
    return REFUSED;
  }
}

const REFUSED = Symbol('refused');

/**
 * A copy of `value` as plain finite JSON: null, booleans, finite numbers (-0 becomes 0), well-formed strings, arrays
 * and plain objects. Every property is read once. Properties that are undefined, symbols or not enumerable are left out.
 *
 * @throws {NotJsonError} for anything else: NaN, bigint, functions, Map, Date and other classes, holes, cycles, lone
 * surrogates, a getter that throws, more than 512 levels or a million values.
 */
export function snapshotJson(value: unknown): unknown {
  return read(value, new Reader(false));
}

/** The same, and nobody can change it. */
export function frozenJson(value: unknown): unknown {
  return read(value, new Reader(true));
}

/** A copy of what `frozenJson` returned that may be changed. Nothing is checked again. */
export function thawedJson(frozen: unknown): unknown {
  if (typeof frozen !== 'object' || frozen === null) return frozen;
  if (Array.isArray(frozen)) return frozen.map(thawedJson);
  const copied: Record<string, unknown> = { ...frozen };
  for (const key of Object.keys(copied)) {
    const item = copied[key];
    // Sets the property also for `__proto__`: it is the copy's own already.
    if (typeof item === 'object' && item !== null) copied[key] = thawedJson(item);
  }
  return copied;
}

function read(value: unknown, reader: Reader): unknown {
  let copied: unknown;
  try {
    copied = copy(value, reader);
  } catch {
    // A getter or proxy that throws; its error may say anything, so it goes no further.
    copied = reader.refuse('unreadable');
  }
  if (copied === REFUSED) {
    throw new NotJsonError(reader.rule, reader.path.length === 0 ? '' : `/${reader.path.reverse().join('/')}`);
  }
  return copied;
}

function copy(value: unknown, reader: Reader): unknown {
  if (++reader.values > MAX_VALUES) return reader.refuse('too_large');
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? value : reader.refuse('lone_surrogate');
    case 'number':
      return Number.isFinite(value) ? (value === 0 ? 0 : value) : reader.refuse('not_finite');
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : copyObject(value, reader);
    default:
      return reader.refuse(typeof value);
  }
}

function copyObject(value: object, reader: Reader): unknown {
  const { ancestors } = reader;
  if (ancestors.length >= MAX_DEPTH) return reader.refuse('too_deep');
  if (ancestors.includes(value)) return reader.refuse('cycle');
  ancestors.push(value);
  const copied = Array.isArray(value) ? copyArray(value, reader) : copyRecord(value, reader);
  ancestors.pop();
  return reader.freezes ? Object.freeze(copied) : copied;
}

function copyArray(value: readonly unknown[], reader: Reader): unknown {
  const { length } = value;
  if (length > MAX_VALUES) return reader.refuse('too_large');
  const copied: unknown[] = [];
  for (let i = 0; i < length; i++) {
    const item = copy(value[i], reader);
    if (item === REFUSED) {
      reader.path.push(String(i));
      return REFUSED;
    }
    copied.push(item);
  }
  return copied;
}

function copyRecord(value: object, reader: Reader): unknown {
  const prototype = Object.getPrototypeOf(value);
  // A root prototype, of this realm or another: everything with a class of its own has a longer chain.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return reader.refuse('not_plain_object');
  const copied: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const read = (value as Record<string, unknown>)[key];
    if (read === undefined) continue;
    const item = key.isWellFormed() ? copy(read, reader) : reader.refuse('lone_surrogate');
    if (item === REFUSED) {
      reader.path.push('*');
      return REFUSED;
    }
    // Assigning would call the setter of Object.prototype instead of making a property.
    if (key === '__proto__') {
      Object.defineProperty(copied, key, { value: item, enumerable: true, configurable: true, writable: true });
    } else copied[key] = item;
  }
  return copied;
}

/**
 * RFC 8785 (JCS) text of plain finite JSON, as `snapshotJson` returns it. On other values the library behind it makes
 * one text out of different values, so nothing else may come here.
 */
export function canonicalJson(json: unknown): string {
  return stableStringify(json);
}
