import type { AsyncResource } from 'node:async_hooks';
import type { EventEmitter } from 'node:events';

/** When a client gets the connection itself, which then serves nobody else. */
const HANDED_OVER: ReadonlySet<unknown> = new Set(['upgrade', 'connect', 'onUpgrade', 'onRequestUpgrade']);

/**
 * What happens on a connection happens in the context of the code that opened it. A client that uses one of another's
 * gets its answers in the context that it asked in: what it does then is held where the request was, and no further.
 */
export function bindMethods(object: object, names: readonly string[], context: AsyncResource): void {
  const methods = object as Record<string, unknown>;
  for (const name of names) {
    const method = methods[name];
    if (typeof method !== 'function') continue;
    methods[name] = function (this: unknown, ...args: unknown[]): unknown {
      if (HANDED_OVER.has(name === 'emit' ? args[0] : name)) {
        for (const arg of args) if (isSocket(arg)) bindEmitter(arg, context);
      }
      return context.runInAsyncScope(() => Reflect.apply(method, this, args));
    };
  }
}

/** What of a body runs code of whoever made it. */
const BODY = ['read', 'emit', 'destroy', 'stream', 'arrayBuffer', Symbol.asyncIterator, Symbol.iterator] as const;

/** The same for a body, which is read when its turn on a connection has come. @returns what to read in its place. */
export function bindBody(body: unknown, context: AsyncResource): unknown {
  if (typeof body !== 'object' || body === null || ArrayBuffer.isView(body)) return body;
  const methods = body as Record<PropertyKey, unknown>;
  let bound: object = body;
  for (const name of BODY) {
    const method = methods[name];
    if (typeof method !== 'function') continue;
    const value = (...args: unknown[]): unknown => {
      const result: unknown = context.runInAsyncScope(() => Reflect.apply(method, body, args));
      return typeof name === 'symbol' ? bindIterator(result as Iterator<unknown>, context) : result;
    };
    const descriptor = { value, writable: true, configurable: true };
    if (Reflect.defineProperty(bound, name, descriptor)) continue;
    bound = Object.create(bound) as object;
    Object.defineProperty(bound, name, descriptor);
  }
  return bound;
}

function bindIterator(iterator: Iterator<unknown>, context: AsyncResource): object {
  const bound: Record<string, unknown> = {};
  for (const name of ['next', 'return', 'throw'] as const) {
    const method = iterator[name] as ((...args: unknown[]) => unknown) | undefined;
    if (typeof method !== 'function') continue;
    bound[name] = (...args: unknown[]) => context.runInAsyncScope(() => Reflect.apply(method, iterator, args));
  }
  return bound;
}

/** The same for all listeners of an emitter. */
export function bindEmitter(emitter: EventEmitter, context: AsyncResource): void {
  bindMethods(emitter, ['emit'], context);
}

function isSocket(value: unknown): value is EventEmitter {
  return typeof value === 'object' && value !== null && 'remoteAddress' in value && 'emit' in value;
}
