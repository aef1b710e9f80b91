import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { checkOpening, openCommitment } from '../../src/audit/opening.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import { currentCall } from '../../src/call.ts';
import { budget } from '../../src/guards/budget.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import type { AuditOptions } from '../../src/leash-options.ts';
import { FakeClock } from '../helpers/clock.ts';
import { ScriptedSink } from '../helpers/scripted-sink.ts';
import { inParts } from '../helpers/signed-log.ts';

const fail = (): never => {
  throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
};
const unavailable = { code: 'AUDIT_UNAVAILABLE' };

interface Kit {
  readonly sink: ScriptedSink;
  readonly leash: Leash;
  readonly clock: FakeClock;
  readonly events: () => Record<string, unknown>[];
}

const open = (audit: Partial<AuditOptions> = {}): Kit => {
  const sink = new ScriptedSink();
  const clock = new FakeClock();
  const leash = createLeash({ guards: [budget({ usd: 1 })], clock, stopOn: 'none', audit: { sink, ...audit } });
  const events = (): Record<string, unknown>[] =>
    sink.text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  return { sink, leash, clock, events };
};
const run = async (leash: Leash, times: number): Promise<void> => {
  for (let i = 0; i < times; i++) expect(await leash.run({ tool: `tool ${i}`, cost: 'free' }, () => i)).toBe(i);
};
const works = (sink: ScriptedSink): void => {
  sink.answer = () => undefined;
};

let warning: MockInstance<typeof process.emitWarning>;
beforeEach(() => {
  warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => {
  warning.mockRestore();
});

describe("onError 'allow'", { timeout: 30_000 }, () => {
  it('lets calls run while the sink fails, and writes their events in order when it works again', async () => {
    const { sink, leash, events } = open({ onError: 'allow' });
    await run(leash, 2);
    sink.answer = fail;
    await run(leash, 150);
    await leash.charge({ usd: '0.25' });
    const hold = await leash.hold('$0.1', 'held');
    await hold.settle('$0.05');
    await expect(leash.run({ tool: 'dear', cost: '$5' }, () => {})).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(events()).toHaveLength(5);
    works(sink);
    await run(leash, 1);
    await leash.close();
    expect(events().map(({ seq }) => seq)).toEqual(events().map((_, i) => i));
    const kinds = events().map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'tool_start')).toHaveLength(153);
    // The checkpoint after 256 events was made in the meantime.
    expect(kinds.indexOf('checkpoint')).toBe(256);
    expect(kinds.slice(-7)).toEqual([
      'charge',
      'charge',
      'budget_denied',
      'tool_start',
      'tool_ok',
      'session_close',
      'checkpoint',
    ]);
    expect(kinds).not.toContain('events_dropped');
    expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
    expect(warning).not.toHaveBeenCalled();
  });

  it('keeps 10 000 events, and says how many more there were, and from when to when', async () => {
    const { sink, leash, events, clock } = open({ onError: 'allow', sign: 'none' });
    sink.answer = fail;
    await run(leash, 5_000);
    expect(warning).not.toHaveBeenCalled();
    clock.advance(1_000);
    const from = clock.wall();
    await run(leash, 2);
    clock.advance(500);
    await run(leash, 1);
    const to = clock.wall();
    clock.advance(9_000);
    expect(events()).toHaveLength(1);
    works(sink);
    await run(leash, 1);
    await leash.close();
    const kinds = events().map(({ kind }) => kind);
    expect(kinds).toHaveLength(1 + 10_000 + 1 + 2 + 1);
    expect(events()[10_001]).toMatchObject({ kind: 'events_dropped', count: 6, from: from * 1000, to: to * 1000 });
    expect(kinds.filter((kind) => kind === 'events_dropped')).toHaveLength(1);
    expect(kinds.slice(-4)).toEqual(['events_dropped', 'tool_start', 'tool_ok', 'session_close']);
    expect(events().at(-1)).toMatchObject({ calls: 5_004, denied: 0 });
    expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
    expect(warning.mock.calls).toEqual([[expect.stringContaining('dropped'), 'LeashAuditWarning']]);
  });

  it('writes what it kept before a child names a line of it', async () => {
    const { sink, leash } = open({ onError: 'allow', sign: 'none' });
    sink.answer = fail;
    await run(leash, 1);
    works(sink);
    const child = leash.child({ guards: [] });
    expect(sink.kinds).toEqual(['session_open', 'tool_start', 'tool_ok', 'session_open']);
    await child.close();
    await leash.close();
    expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
  });

  it('signs what it dropped with the rest, each time', async () => {
    const { sink, leash, events } = open({ onError: 'allow' });
    for (const calls of [5_010, 5_020]) {
      sink.answer = fail;
      await run(leash, calls);
      works(sink);
      await run(leash, 1);
    }
    await leash.close();
    const dropped = events().filter(({ kind }) => kind === 'events_dropped');
    const happened = 2 * (5_010 + 1 + 5_020 + 1);
    const kept = events().filter(({ kind }) => kind === 'tool_start' || kind === 'tool_ok').length;
    expect(dropped).toHaveLength(2);
    expect(dropped.reduce((sum, { count }) => sum + (count as number), kept)).toBe(happened);
    const report = await verifyLog(inParts(sink.text));
    expect(report).toMatchObject({ ok: true, state: 'closed', logs: [{ unsigned: 0 }] });
    expect(warning).toHaveBeenCalledTimes(2);
  });

  it('tells of what it dropped at the close, too', async () => {
    const { sink, leash, events } = open({ onError: 'allow', sign: 'none' });
    sink.answer = fail;
    await run(leash, 5_001);
    works(sink);
    await leash.close();
    expect(events().slice(-2)).toMatchObject([{ kind: 'events_dropped', count: 2 }, { kind: 'session_close' }]);
    expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
  });

  it('goes on after an asynchronous sink has lost a line, and the close says so', async () => {
    const { sink, leash } = open({ onError: 'allow' });
    sink.answer = () => Promise.reject(new Error('gone'));
    await run(leash, 1);
    await new Promise(setImmediate);
    works(sink);
    await run(leash, 3);
    await expect(leash.close()).rejects.toMatchObject(unavailable);
    // Nothing follows the gap.
    expect(sink.taken).toHaveLength(1);
    expect(warning).toHaveBeenCalledTimes(1);
  });

  it('does not wait for an asynchronous sink', async () => {
    const { sink, leash, events } = open({ onError: 'allow' });
    const answers: (() => void)[] = [];
    sink.answer = () => new Promise((resolve) => answers.push(resolve));
    await run(leash, 3);
    expect(events()).toHaveLength(1);
    const closing = leash.close();
    await new Promise(setImmediate);
    for (const answer of answers) answer();
    await closing;
    expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
  });

  it('proves no call that it dropped', async () => {
    const { sink, leash } = open({ onError: 'allow' });
    const prove = (): Promise<unknown> =>
      leash.run({ tool: 'tool', cost: 'free' }, () => currentCall()?.proof({ audience: 'shop' }));
    sink.answer = fail;
    expect(await prove()).toMatch(/^v4\.public\./);
    await run(leash, 5_000);
    await expect(prove()).rejects.toThrow(new TypeError('the call of tool "tool" is not in the log'));
  });
});

describe("onError 'deny'", () => {
  it('keeps every event of calls that were running when the sink failed, however many', async () => {
    const { sink, leash } = open({ sign: 'none' });
    const { promise: sent, resolve: send } = Promise.withResolvers<void>();
    const calls = Array.from({ length: 10_002 }, () => leash.run({ tool: 'wait', cost: 'free' }, () => sent));
    expect(sink.kinds).toHaveLength(1 + 10_002);
    sink.answer = fail;
    send();
    await Promise.all(calls);
    await expect(leash.run({ tool: 'wait', cost: 'free' }, () => {})).rejects.toMatchObject(unavailable);
    works(sink);
    await leash.close();
    expect(sink.kinds.filter((kind) => kind === 'tool_ok')).toHaveLength(10_002);
    expect(sink.kinds).not.toContain('events_dropped');
    expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
  });

  it.each([{ audit: {} }, { audit: { onError: 'deny' } as const }])(
    'lets no call run, and is the default: %o',
    async ({ audit }) => {
      const { sink, leash, events } = open(audit);
      const tool = vi.fn();
      sink.answer = fail;
      for (let i = 0; i < 3; i++) {
        await expect(leash.run({ tool: 'tool', cost: 'free' }, tool)).rejects.toMatchObject(unavailable);
      }
      works(sink);
      await run(leash, 1);
      await leash.close();
      expect(tool).not.toHaveBeenCalled();
      expect(events().map(({ kind }) => kind)).toEqual([
        'session_open',
        'tool_start',
        'tool_ok',
        'session_close',
        'checkpoint',
      ]);
      expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
    },
  );

  it('is no word that anything else may stand for', () => {
    expect(() => open({ onError: 'ignore' as never })).toThrow(/onError/);
  });

  it('writes a checkpoint that the sink did not take before the next event', async () => {
    const { sink, leash, events } = open({ sign: 'each' });
    sink.answer = ({ lines }) => (lines.includes('"checkpoint"') && !lines.includes('"tool_') ? fail() : undefined);
    await run(leash, 2);
    works(sink);
    await leash.close();
    expect(events().map(({ seq }) => seq)).toEqual(events().map((_, i) => i));
    expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed', logs: [{ unsigned: 0 }] });
  });
});

describe('the first event after some were dropped', { timeout: 30_000 }, () => {
  const KEY = Buffer.alloc(32, 3);
  const opened = ({ log, seq, args }: Record<string, unknown>, given: unknown): boolean =>
    checkOpening(openCommitment({ key: KEY, log: String(log), seq: Number(seq), args: given }), String(args));

  it.each([
    { sign: 'none', cost: 'free', code: undefined },
    { sign: 'checkpoint', cost: '$5', code: 'BUDGET_EXCEEDED' },
    { sign: 'each', cost: 'free', code: undefined },
  ] as const)(
    'commits to its arguments at the place where it stands, and its error names that: $sign, $cost',
    async (row) => {
      const { sink, leash, events } = open({ onError: 'allow', key: KEY, sign: row.sign });
      sink.answer = fail;
      // A checkpoint takes one of the 10 000 places, too.
      await run(leash, row.sign === 'each' ? 2_505 : 5_005);
      works(sink);
      const call = { tool: 'first', cost: row.cost, args: { n: 1 } };
      const error = await leash.run(call, () => {}).catch((thrown) => thrown);
      const all = events();
      expect(all.filter(({ kind }) => kind === 'events_dropped')).toHaveLength(1);
      const first = all.find(({ tool }) => tool === 'first') ?? expect.fail('it is not there');
      if (row.code !== undefined) expect(error).toMatchObject({ code: row.code, event: { seq: first['seq'] } });
      expect(opened(first, { n: 1 })).toBe(true);
      await leash.close();
      expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
    },
  );

  it('is dropped as well where the sink only works again in the middle of it', async () => {
    const { sink, leash, events } = open({ onError: 'allow', key: KEY, sign: 'none' });
    sink.answer = fail;
    await run(leash, 5_001);
    let tries = 0;
    sink.answer = () => (tries++ === 0 ? fail() : undefined);
    await leash.run({ tool: 'first', cost: 'free', args: { n: 1 } }, () => {});
    await leash.run({ tool: 'second', cost: 'free', args: { n: 2 } }, () => {});
    for (const event of events()) {
      if (event['kind'] === 'tool_start' && event['tool'] === 'first') expect(opened(event, { n: 1 })).toBe(true);
      if (event['kind'] === 'tool_start' && event['tool'] === 'second') expect(opened(event, { n: 2 })).toBe(true);
    }
    expect(events().find(({ kind }) => kind === 'events_dropped')).toMatchObject({ count: 3 });
    await leash.close();
    expect(await verifyLog(inParts(sink.text))).toMatchObject({ ok: true, state: 'closed' });
  });
});
