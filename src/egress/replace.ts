type AnyFunction = (...args: never[]) => unknown;

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
  make: (original: (this: unknown, ...args: unknown[]) => unknown) => (this: unknown, ...args: unknown[]) => unknown,
): Restore {
  const descriptor = Object.getOwnPropertyDescriptor(object, key);
  const original = descriptor?.value as AnyFunction | undefined;
  if (descriptor === undefined || typeof original !== 'function') return () => {};
  const replacement = make(original as (this: unknown, ...args: unknown[]) => unknown);
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
