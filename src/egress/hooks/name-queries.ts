import { canonicalHost, formatHost } from '../policy/host.ts';
import { answerLookup, type LookupCallback, resolveName } from './lookup.ts';
import { type Restore, replace, together } from './replace.ts';
import type { CurrentScope, EgressScope } from './scope.ts';

type LookupOptions = { readonly all?: boolean; readonly family?: number | string };
type Members = Record<string, unknown>;

/**
 * Questions to DNS: the name itself would tell a server what code in a call wants it to know. `lookup` is answered for
 * names that may be reached, by the leash's own resolver; all other questions are refused.
 */
export function holdNameQueries(current: CurrentScope): Restore {
  const dns = process.getBuiltinModule('node:dns');
  const restores = [
    replace(dns, 'lookup', (original) => lookupWithCallback(current, original)),
    replace(dns.promises, 'lookup', (original) => lookupWithPromise(current, original)),
    ...[dns, dns.Resolver.prototype].flatMap((owner) =>
      questions(owner).map((name) => withCallback(current, owner, name)),
    ),
    ...[dns.promises, dns.promises.Resolver.prototype].flatMap((owner) =>
      questions(owner).map((name) => withPromise(current, owner, name)),
    ),
  ];
  return together(restores);
}

/** Everything that asks a server, whatever kinds of records a later version adds. */
function questions(owner: object): readonly string[] {
  const names: string[] = [];
  for (let level = owner; level !== Object.prototype && level !== null; level = Object.getPrototypeOf(level)) {
    names.push(...Object.getOwnPropertyNames(level));
  }
  return [...new Set(names)].filter((name) => /^(?:resolve|reverse|lookupService)/.test(name));
}

function withCallback(current: CurrentScope, owner: object, name: string): Restore {
  return replace(holder(owner, name), name, (original) => {
    return function (this: unknown, ...args: unknown[]): unknown {
      const refusal = current()?.leave('dns-query');
      if (refusal === undefined) return Reflect.apply(original, this, args);
      const callback = args.findLast((arg) => typeof arg === 'function');
      if (callback === undefined) throw refusal;
      process.nextTick(callback as (error: Error) => void, refusal);
      return {};
    };
  });
}

function withPromise(current: CurrentScope, owner: object, name: string): Restore {
  return replace(holder(owner, name), name, (original) => {
    return function (this: unknown, ...args: unknown[]): unknown {
      const refusal = current()?.leave('dns-query');
      return refusal === undefined ? Reflect.apply(original, this, args) : Promise.reject(refusal);
    };
  });
}

/** The object of the prototype chain that has the member as its own. */
function holder(owner: object, name: string): Members {
  let level = owner;
  while (!Object.hasOwn(level, name)) level = Object.getPrototypeOf(level) as object;
  return level as Members;
}

function lookupWithCallback(
  current: CurrentScope,
  original: (this: unknown, ...args: unknown[]) => unknown,
): (this: unknown, ...args: unknown[]) => unknown {
  return function (this: unknown, ...args: unknown[]): unknown {
    const scope = current();
    const callback = args.findLast((arg) => typeof arg === 'function');
    if (scope === undefined || callback === undefined) return Reflect.apply(original, this, args);
    const options = optionsOf(args[0], args[1]);
    answerLookup(resolve(scope, args[0]), String(args[0]), options, callback as LookupCallback);
    return {};
  };
}

function lookupWithPromise(
  current: CurrentScope,
  original: (this: unknown, ...args: unknown[]) => unknown,
): (this: unknown, ...args: unknown[]) => unknown {
  return function (this: unknown, ...args: unknown[]): unknown {
    const scope = current();
    if (scope === undefined) return Reflect.apply(original, this, args);
    const options = optionsOf(args[0], args[1]);
    return new Promise((answer, reject) => {
      answerLookup(resolve(scope, args[0]), String(args[0]), options, (error, address, family) => {
        if (error !== null) reject(error);
        else answer(options.all ? address : { address, family });
      });
    });
  };
}

function optionsOf(name: unknown, given: unknown): LookupOptions {
  const { all, family } = (typeof given === 'number' ? { family: given } : (given ?? {})) as LookupOptions;
  // The platform gives an address back as it is, whatever family was asked for.
  const asked = typeof name === 'string' && canonicalHost(name)?.kind === 'address' ? undefined : family;
  return { all: all === true, ...(asked === undefined ? {} : { family: asked }) };
}

async function resolve(scope: EgressScope, name: unknown): Promise<readonly string[]> {
  const host = typeof name === 'string' ? canonicalHost(name) : undefined;
  const refusal = host === undefined ? scope.leave('dns-query') : undefined;
  if (refusal !== undefined) throw refusal;
  // An address is no question, and gives nothing away.
  if (host?.kind === 'address') return [formatHost(host)];
  const text = host === undefined ? '' : formatHost(host);
  const addresses = await resolveName(scope, text);
  const failure = scope.reached({ scheme: 'dns', host: text, port: 0 });
  if (failure !== undefined) throw failure;
  return addresses;
}
