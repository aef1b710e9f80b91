import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { CurrentScope, Way } from './scope.ts';

type AnyFunction = (...args: never[]) => unknown;
type Method = (this: unknown, ...args: unknown[]) => unknown;

/** Puts a platform function back as it was. */
export type Restore = () => void;

/**
 * Puts a function of the platform behind another, which looks like it: same name, length and properties. Nothing happens
 * where there is none, or where it cannot be replaced: what is not held shows when canaries are sent. Restoring leaves what
 * somebody has put there in the meantime.
 */
export function replace<O extends object>(
  object: O,
  key: keyof O & string,
  make: (original: Method) => Method,
): Restore {
  const descriptor = Object.getOwnPropertyDescriptor(object, key);
  const original = descriptor?.value as AnyFunction | undefined;
  if (descriptor === undefined || typeof original !== 'function') return () => {};
  const replacement = make(original as Method);
  const own = Object.getOwnPropertyDescriptors(original) as PropertyDescriptorMap;
  delete own['prototype'];
  Object.defineProperties(replacement, own);
  if (!Reflect.defineProperty(object, key, { ...descriptor, value: replacement })) return () => {};
  return () => {
    if (Object.getOwnPropertyDescriptor(object, key)?.value === replacement) {
      Object.defineProperty(object, key, descriptor);
    }
  };
}

/** One for several. */
export function together(restores: readonly Restore[]): Restore {
  return () => {
    for (const restore of restores) restore();
  };
}

/** Listens on channels of `node:diagnostics_channel`. */
export function listen(listeners: Readonly<Record<string, (message: unknown) => void>>): Restore {
  for (const [channel, listener] of Object.entries(listeners)) subscribe(channel, listener);
  return () => {
    for (const [channel, listener] of Object.entries(listeners)) unsubscribe(channel, listener);
  };
}

/** For `replace`: a function that throws where code may not leave by it. */
export function throwing(current: CurrentScope, way: Way): (original: Method) => Method {
  return (original) =>
    function (this: unknown, ...args: unknown[]): unknown {
      const refusal = current()?.leave(way);
      if (refusal !== undefined) throw refusal;
      return Reflect.apply(original, this, args);
    };
}
