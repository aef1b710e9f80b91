import { canonicalHost, formatHost } from '../policy/host.ts';
import { isProcessAdmitted } from './child-processes.ts';
import { type Restore, replace, throwing, together } from './replace.ts';
import type { CurrentScope, EgressScope } from './scope.ts';

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

/** A question that the platform hands to its resolver, with what waits for the answer. */
interface Question {
  readonly callback?: unknown;
  readonly reject?: unknown;
}

/**
 * Functions that code took from `node:dns` and `node:child_process` before they were held come down to these, which the
 * platform looks up at each call. Where it does not hand them out (the permission model), that code is not held.
 */
export function holdSavedFunctions(current: CurrentScope): Restore {
  const resolver = binding('cares_wrap');
  const channel = (resolver['ChannelWrap'] as { readonly prototype?: object } | undefined)?.prototype ?? {};
  const asking = Object.getOwnPropertyNames(channel).filter((name) => /^(?:query|getHostByAddr)/.test(name));
  const restores = [
    replace(resolver, 'getaddrinfo', (original) => ask(current, original, nameRefusal)),
    replace(resolver, 'getnameinfo', (original) => ask(current, original, (scope) => scope.leave('dns-query'))),
    ...asking.map((name) =>
      replace(channel as Record<string, unknown>, name, (original) =>
        ask(current, original, (scope) => scope.leave('dns-query')),
      ),
    ),
    // What starts by a function that is held has been asked about.
    replace(
      binding('spawn_sync'),
      'spawn',
      throwing(() => (isProcessAdmitted() ? undefined : current()), 'child-process'),
    ),
  ];
  return together(restores);
}

function binding(name: string): Record<string, unknown> {
  try {
    return (process as unknown as { binding(name: string): Record<string, unknown> }).binding(name);
  } catch {
    return {};
  }
}

function nameRefusal(scope: EgressScope, name: unknown): Error | undefined {
  const host = typeof name === 'string' ? canonicalHost(name) : undefined;
  if (host?.kind === 'address') return undefined;
  return host === undefined ? scope.leave('dns-query') : scope.name(formatHost(host));
}

function ask(
  current: CurrentScope,
  original: AnyFunction,
  refusalOf: (scope: EgressScope, name: unknown) => Error | undefined,
): AnyFunction {
  return function (this: unknown, ...args: unknown[]): unknown {
    const scope = current();
    const refusal = scope === undefined ? undefined : refusalOf(scope, args[1]);
    if (refusal === undefined) return Reflect.apply(original, this, args);
    const { callback, reject } = args[0] as Question;
    const tell = typeof callback === 'function' ? callback : reject;
    // Nobody to tell, so that the platform has to.
    if (typeof tell !== 'function') throw refusal;
    process.nextTick(tell as (error: Error) => void, refusal);
    return 0;
  };
}
