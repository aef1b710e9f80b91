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

/** The same for all listeners of an emitter. */
export function bindEmitter(emitter: EventEmitter, context: AsyncResource): void {
  bindMethods(emitter, ['emit'], context);
}

function isSocket(value: unknown): value is EventEmitter {
  return typeof value === 'object' && value !== null && 'remoteAddress' in value && 'emit' in value;
}
