/**
 * The same object with these members in place of its own. Of a plain object it is a copy, frozen or not. Of an instance
 * of a class it is a view: everything else is read from and written to the instance itself, and methods see the
 * instance as `this`, so that private fields work. What a method calls on `this` is therefore not replaced.
 *
 * @param methodsOn `'view'`: methods see the view as `this`, and so find the members in place of their own.
 */
export function withMembers<T extends object>(
  target: T,
  members: Readonly<Record<string, unknown>>,
  methodsOn: 'instance' | 'view' = 'instance',
): T {
  const prototype: object | null = Object.getPrototypeOf(target);
  if (prototype !== null && prototype !== Object.prototype) return viewOf(target, members, methodsOn);
  const descriptors = Object.getOwnPropertyDescriptors(target);
  return Object.create(prototype, { ...descriptors, ...Object.getOwnPropertyDescriptors({ ...members }) }) as T;
}

/**
 * That view, also of a plain object: for one that changes itself, or on which callbacks are set. A member with a setter
 * may be set; any other stays what it is.
 */
export function viewOf<T extends object>(
  target: T,
  members: Readonly<Record<string, unknown>>,
  methodsOn: 'instance' | 'view' = 'instance',
): T {
  const unbound = methodsOn === 'view';
  const bound = new WeakMap<object, unknown>();
  const replaces = (key: PropertyKey): boolean => Object.hasOwn(members, key);
  const settable = (key: PropertyKey): boolean => Object.getOwnPropertyDescriptor(members, key)?.set !== undefined;
  const read = (key: PropertyKey): unknown => {
    if (replaces(key)) return members[key as string];
    const value: unknown = Reflect.get(target, key, target);
    if (typeof value !== 'function' || key === 'constructor' || unbound) return value;
    // The same function each time: frameworks compare.
    if (!bound.has(value)) bound.set(value, value.bind(target));
    return bound.get(value);
  };
  // A proxy has to show frozen members of its own target as they are, so its target is another object.
  return new Proxy(Object.create(Object.getPrototypeOf(target)) as T, {
    get: (_, key) => read(key),
    // What is held must stay held.
    set: (_, key, value) =>
      replaces(key) ? settable(key) && Reflect.set(members, key, value) : Reflect.set(target, key, value, target),
    has: (_, key) => replaces(key) || Reflect.has(target, key),
    deleteProperty: (_, key) => !replaces(key) && Reflect.deleteProperty(target, key),
    defineProperty: (_, key, descriptor) => !replaces(key) && Reflect.defineProperty(target, key, descriptor),
    ownKeys: () => Reflect.ownKeys(target),
    getOwnPropertyDescriptor(_, key) {
      const own = Reflect.getOwnPropertyDescriptor(target, key);
      if (own === undefined) return undefined;
      return { value: read(key), enumerable: own.enumerable ?? false, configurable: true, writable: !replaces(key) };
    },
  });
}
