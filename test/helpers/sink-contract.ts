import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditSink } from '../../src/audit/sink.ts';
import type { MaybePromise } from '../../src/internal/maybe-promise.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from './log-verifier.ts';

export interface SinkUnderTest {
  readonly sink: AuditSink;
  /** Everything that was recorded, as it stands. */
  bytes(): MaybePromise<Uint8Array>;
  /** Runs after each test. */
  dispose?(): MaybePromise<void>;
}

export interface SinkHooks {
  /** A sink of the same kind that cannot record anything. */
  readonly failing?: () => MaybePromise<AuditSink>;
}

/**
 * What every sink must do, seen through `AuditSink` alone.
 *
 * @param make gives an empty sink for each test.
 */
export function sinkContract(name: string, make: () => MaybePromise<SinkUnderTest>, hooks: SinkHooks = {}): void {
  describe(`${name} as an AuditSink`, () => {
    let made: SinkUnderTest;
    let sink: AuditSink;
    const recorded = async (): Promise<string> => Buffer.from(await made.bytes()).toString();
    beforeEach(async () => {
      made = await make();
      sink = made.sink;
    });
    afterEach(async () => {
      await made.dispose?.();
    });

    it('has a name', () => {
      expect(sink.name).toMatch(/^[a-z][a-z0-9-]*$/);
    });

    it.each([
      { name: 'one line', lines: '{"a":1}\n' },
      { name: 'several lines at once', lines: '{"a":1}\n{"a":2}\n{"a":3}\n' },
      { name: 'characters of one to four bytes', lines: '{"a":"aé€😀"}\n' },
      { name: 'line ends of other systems inside', lines: '{"a":"\r"}\r\n{"b":"\u2028\u2029\u0085"}\n' },
      { name: 'escapes', lines: '{"a":"\\n\\u0000\\ud800\\"\\\\"}\n' },
      { name: 'a very long line', lines: `{"a":"${'é'.repeat(200_000)}"}\n` },
      { name: 'very many lines', lines: '{"a":1}\n'.repeat(200_000) },
    ])('keeps the bytes of $name', async ({ lines }) => {
      await sink.write(lines, 0, lines.split('\n').length - 2);
      expect((await recorded()) === lines).toBe(true);
    });

    it('keeps the order', async () => {
      const lines = Array.from({ length: 300 }, (_, i) => `{"i":${i}}\n`);
      await Promise.all(lines.map((line, i) => sink.write(line, i, i)));
      expect(await recorded()).toBe(lines.join(''));
    });

    it('keeps several logs that write in turn', async () => {
      const leashes = [1, 2, 3].map((n) => createLeash({ guards: [], agent: `agent ${n}`, audit: sink }));
      const tools = leashes.map((leash) => leash.wrap('tool', async (n: number) => n));
      for (let i = 0; i < 20; i++) await tools[i % 3]?.(i);
      await Promise.all(tools.map((tool) => tool(20)));
      for (const leash of leashes) await leash.close();
      const report = readLogs(await made.bytes());
      expect(report).toMatchObject({ ok: true, complete: true });
      expect(report.logs).toHaveLength(3);
      const ends = report.logs.flatMap(({ events }) => events.filter(({ kind }) => kind === 'tool_ok'));
      expect(ends).toHaveLength(23);
    });

    it('is closed by the last log, and takes up writing again', async () => {
      const before = ['{"a":1}\n', '{"a":2}\n'];
      await sink.write(before[0] as string, 0, 0);
      await sink.close?.();
      await sink.write(before[1] as string, 1, 1);
      await sink.close?.();
      for (let i = 0; i < 2; i++) await createLeash({ guards: [], audit: sink }).close();
      const text = await recorded();
      expect(text.startsWith(before.join(''))).toBe(true);
      const report = readLogs(text.slice(before.join('').length));
      expect(report.complete).toBe(true);
      expect(report.logs).toHaveLength(2);
    });

    it('can be closed before it was used, and twice', async () => {
      await sink.close?.();
      await sink.close?.();
      await sink.write('{"a":1}\n', 0, 0);
      await sink.close?.();
      await sink.close?.();
      expect(await recorded()).toBe('{"a":1}\n');
    });

    it('finds nothing torn in what it wrote itself', async () => {
      expect(sink.recover?.()?.torn).toBeUndefined();
      await sink.write('{"a":1}\n', 0, 0);
      expect(sink.recover?.()?.torn).toBeUndefined();
      await sink.close?.();
      expect(sink.recover?.()?.torn).toBeUndefined();
    });

    it('can make durable what it has', async () => {
      await sink.write('{"a":1}\n', 0, 0);
      await sink.sync?.();
      expect(await recorded()).toBe('{"a":1}\n');
    });

    it.runIf(hooks.failing !== undefined)('says so when it cannot record', async () => {
      const failing = (await hooks.failing?.()) as AuditSink;
      const write = async (): Promise<void> => failing.write('{"a":1}\n', 0, 0);
      await expect(write()).rejects.toThrow();
    });

    it.runIf(hooks.failing !== undefined)('lets no tool run when it cannot record', async () => {
      const audit = (await hooks.failing?.()) as AuditSink;
      let ran = false;
      const attempt = async (): Promise<void> => {
        const leash = createLeash({ guards: [], audit });
        await leash.run({ tool: 'tool' }, () => {
          ran = true;
        });
      };
      await expect(attempt()).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
      expect(ran).toBe(false);
    });
  });
}
