import { expect } from 'vitest';
import { createPolicy } from '../../src/egress/policy.ts';
import { type EgressRule, parseRules } from '../../src/egress/rule.ts';
import type { Verdict } from '../../src/guard.ts';

export function policy(
  allow: readonly EgressRule[],
  deny: readonly EgressRule[] = [],
): ReturnType<typeof createPolicy> {
  return createPolicy(parseRules('allow', allow, 'secure'), parseRules('deny', deny, 'every'));
}

/** Undefined: allowed. */
export function reasonOf(verdict: Verdict): string | undefined {
  if (verdict.allow) return undefined;
  expect(verdict.code).toBe('EGRESS_DENIED');
  return verdict.reason;
}
