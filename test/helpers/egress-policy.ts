import { expect } from 'vitest';
import { type EgressAddressOptions, parseAddressRules } from '../../src/egress/policy/address-rules.ts';
import { createPolicy, type EgressPolicy } from '../../src/egress/policy/policy.ts';
import { type EgressRule, parseRules } from '../../src/egress/policy/rule.ts';
import type { Verdict } from '../../src/guard.ts';

export function policy(
  allow: readonly EgressRule[],
  deny: readonly EgressRule[] = [],
  addresses: EgressAddressOptions = {},
): EgressPolicy {
  return createPolicy({
    allow: parseRules('allow', allow, 'secure'),
    deny: parseRules('deny', deny, 'every'),
    addresses: parseAddressRules('addresses', addresses),
  });
}

/** Undefined: allowed. */
export function reasonOf(verdict: Verdict): string | undefined {
  if (verdict.allow) return undefined;
  expect(verdict.code).toBe('EGRESS_DENIED');
  return verdict.reason;
}
