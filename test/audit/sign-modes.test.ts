import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyLog } from '../../src/audit/verify.ts';
import type { AuditOptions } from '../../src/leash-options.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { python, VERIFIER } from '../helpers/python.ts';
import { action, name, Scenario } from '../helpers/scenario.ts';
import { inParts } from '../helpers/signed-log.ts';
import { rootKey } from '../helpers/signed-session.ts';

const root = rootKey();
const sign = fc.constantFrom('checkpoint', 'each', 'none');
const audits: fc.Arbitrary<Partial<AuditOptions>> = fc
  .record({
    sign,
    args: fc.constantFrom('s1', 'h1', 'sha256'),
    onError: fc.constantFrom('deny', 'allow'),
    certified: fc.boolean(),
    rotateEvery: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  } as const)
  .map(({ certified, rotateEvery, ...audit }) =>
    audit.sign === 'none'
      ? audit
      : {
          ...audit,
          ...(certified ? { signer: root.key } : {}),
          ...(rotateEvery === undefined ? {} : { rotateEvery }),
        },
  );
const actions = fc.array(action, { maxLength: 14 });

describe('random sessions, however they are signed', { timeout: 60_000 }, () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'leashkit-modes-'));
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  it('verify and are closed', async () => {
    await fc.assert(
      fc.asyncProperty(name, actions, audits, async (prefix, what, audit) => {
        const text = await new Scenario(prefix, audit).play(what);
        const trust = audit.signer === undefined ? {} : { trust: [root.base64] };
        const report = await verifyLog(inParts(text), { requireClosed: true, ...trust });
        expect(report).toMatchObject({ ok: true, state: 'closed', absent: [] });
        for (const { unsigned, events } of report.logs) expect(unsigned).toBe(audit.sign === 'none' ? events : 0);
        // The reader that tests have of their own agrees.
        expect(readLogs(text)).toMatchObject({ problem: undefined, complete: true });
        if (audit.signer !== undefined) {
          expect(await verifyLog(inParts(text), { trust: [rootKey().base64] })).toMatchObject({ code: 'E_CERT' });
        }
      }),
      { numRuns: 100 },
    );
  });

  it.skipIf(python === undefined)(
    `verify with examples/verify_log.py${python === undefined ? ' (skipped: no Python with the package cryptography)' : ''}`,
    async () => {
      // One process for all of them: a file may hold many logs.
      const samples = fc.sample(fc.tuple(name, actions, audits), 80);
      let unsigned = '';
      let certified = '';
      for (const [prefix, what, audit] of samples) {
        const text = await new Scenario(prefix, audit).play(what);
        if (audit.signer === undefined) unsigned += text;
        else certified += text;
      }
      const run = (file: string, text: string, ...roots: string[]): string => {
        const path = join(directory, file);
        writeFileSync(path, text);
        return execFileSync(python as string, [VERIFIER, path, ...roots], { encoding: 'utf8', stdio: 'pipe' });
      };
      expect(run('all.jsonl', unsigned + certified)).toMatch(/^closed /);
      expect(run('certified.jsonl', certified, root.base64)).toMatch(/^closed /);
      expect(() => run('other.jsonl', certified, rootKey().base64)).toThrow(/E_CERT/);
      const changed = certified.replace(/"ts":"2026/, '"ts":"2027');
      expect(() => run('changed.jsonl', changed, root.base64)).toThrow(/E_CHAIN/);
    },
  );
});
