import { createHash, generateKeyPairSync } from 'node:crypto';
import { type MemorySink, memorySink } from '../../src/audit/memory-sink.ts';
import { type VerifyOptions, type VerifyReport, verifyLog } from '../../src/audit/verify.ts';
import type { Guard } from '../../src/guard.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import type { AuditOptions } from '../../src/leash-options.ts';
import { FakeClock } from './clock.ts';
import { inParts, textOf } from './signed-log.ts';

export interface OpenSession {
  readonly sink: MemorySink;
  readonly leash: Leash;
  readonly clock: FakeClock;
}

/** A session whose log is in memory. */
export function openSession(audit: Partial<AuditOptions> = {}, guards: readonly Guard[] = []): OpenSession {
  const sink = memorySink();
  const clock = new FakeClock();
  return { sink, clock, leash: createLeash({ guards, clock, audit: { sink, ...audit }, stopOn: 'none' }) };
}

/** Calls of a tool that does nothing, one after the other: two events each. */
export async function call(leash: Leash, times = 1): Promise<void> {
  for (let i = 0; i < times; i++) await leash.run({ tool: 'tool', args: { i } }, () => i);
}

export function kindsOf({ lines }: Pick<MemorySink, 'lines'>): string[] {
  return lines.map((line) => JSON.parse(line).kind);
}

/** The library's verifier on the lines of a sink. */
export function verified({ lines }: Pick<MemorySink, 'lines'>, options: VerifyOptions = {}): Promise<VerifyReport> {
  return verifyLog(inParts(textOf(lines)), options);
}

/** A root key, and its public half as a verifier wants it. */
export function rootKey(): {
  readonly key: ReturnType<typeof generateKeyPairSync>['privateKey'];
  readonly base64: string;
} {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  return { key: privateKey, base64: Buffer.from(x, 'base64url').toString('base64') };
}

export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
