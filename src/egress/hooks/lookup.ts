import type { EgressScope } from './scope.ts';

export type LookupCallback = (error: Error | null, address?: unknown, family?: number) => void;

/** In place of whatever lookup came: the leash's own, which gives judged addresses only. */
export function judgedLookup(scope: EgressScope, host: string, port: number): unknown {
  return (_: string, options: { all?: boolean; family?: number | string } | undefined, callback: LookupCallback) => {
    answerLookup(resolveJudged(scope, host, port), host, options ?? {}, callback);
  };
}

/** Asks only for what may be reached. @throws the refusal. */
export async function resolveName(scope: EgressScope, host: string): Promise<readonly string[]> {
  const refusal = scope.name(host);
  if (refusal !== undefined) throw refusal;
  return resolveJudged(scope, host, 0);
}

/** Asks once for a name that may be reached, and judges every answer. @throws the refusal. */
async function resolveJudged(scope: EgressScope, host: string, port: number): Promise<readonly string[]> {
  const answers = scope.dialable(host, port, await scope.answers(host));
  if (answers instanceof Error) throw answers;
  return answers;
}

/** Answers as `dns.lookup` does. */
export function answerLookup(
  resolved: Promise<readonly string[]>,
  host: string,
  { all, family }: { readonly all?: boolean; readonly family?: number | string },
  callback: LookupCallback,
): void {
  const wanted = family === 'IPv4' ? 4 : family === 'IPv6' ? 6 : (family ?? 0);
  // In a tick of its own: what the callback throws is no rejection.
  const answer = (...result: Parameters<LookupCallback>): void => process.nextTick(callback, ...result);
  resolved.then(
    (addresses) => {
      const answers = addresses
        .map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
        .filter((each) => wanted === 0 || each.family === wanted);
      const [first] = answers;
      if (first === undefined) answer(notFound(host));
      else if (all) answer(null, answers);
      else answer(null, first.address, first.family);
    },
    (error: Error) => answer(error),
  );
}

function notFound(host: string): Error {
  const error = new Error(`getaddrinfo ENOTFOUND ${host}`);
  return Object.assign(error, { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: host });
}
