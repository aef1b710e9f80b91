import { randomUUID } from 'node:crypto';
import { describe, expect, it, type Mock, vi } from 'vitest';
import { killSwitch, sessionClose } from '../../src/audit/event.ts';
import { AuditLog } from '../../src/audit/log.ts';
import { memorySink } from '../../src/audit/memory-sink.ts';
import type { AuditSink } from '../../src/audit/sink.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import type { Guard } from '../../src/guard.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import { FakeClock } from '../helpers/clock.ts';
import { logInit } from '../helpers/log-init.ts';
import { type LogState, lineHashOf, type Report, readLogs } from '../helpers/log-verifier.ts';
import { ScriptedSink } from '../helpers/scripted-sink.ts';
import { inParts, textOf } from '../helpers/signed-log.ts';

const FULL = Object.assign(new Error('no space left on secret device'), { code: 'ENOSPC' });

/** How a sink refuses a write. */
const REFUSALS: readonly { name: string; refuse: () => void | Promise<void> }[] = [
  {
    name: 'throws',
    refuse: () => {
      throw FULL;
    },
  },
  { name: 'rejects', refuse: () => Promise.reject(FULL) },
];

const unavailable = { code: 'AUDIT_UNAVAILABLE', name: 'AuditUnavailableError' };

function reportOf(sink: { readonly lines: readonly string[] }): Report {
  return readLogs(sink.lines.map((line) => `${line}\n`).join(''));
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('AuditLog', () => {
  const open = (sink: AuditSink, clock = new FakeClock()): AuditLog =>
    new AuditLog(logInit(sink, { clock, originName: 'origin.test' }));

  it('has a line before anything else happens', () => {
    const sink = memorySink();
    const log = open(sink);
    expect(reportOf(sink)).toMatchObject({ ok: true, logs: [{ id: log.id, closed: false }] });
    expect(log.head).toEqual({ log: log.id, seq: 0, hash: lineHashOf(sink.lines[0] as string) });
    expect(log.next()).toEqual({ log: log.id, seq: 1 });
  });

  it('knows its last line', () => {
    const sink = memorySink();
    const log = open(sink);
    for (let seq = 1; seq < 20; seq++) {
      if (seq % 2 === 0) log.note('kill_switch', killSwitch(`note ${seq}`));
      else void log.write('kill_switch', killSwitch(`write ${seq}`));
      expect(log.head).toEqual({ log: log.id, seq, hash: lineHashOf(sink.lines[seq] as string) });
    }
    expect(reportOf(sink).ok).toBe(true);
  });

  it('knows its last line also after one that the sink did not take', () => {
    const sink = new ScriptedSink();
    const log = open(sink);
    const { last, head } = log;
    sink.answer = () => {
      throw FULL;
    };
    expect(() => log.write('kill_switch', killSwitch('lost'))).toThrow(expect.objectContaining(unavailable));
    expect([log.last, log.head]).toEqual([last, head]);
  });

  it('names the last 64 logs before it, however many the sink finds', async () => {
    const of = (size: number) => ({ log: randomUUID(), size, hash: '0'.repeat(64) });
    const prior = Array.from({ length: 70 }, (_, i) => of(i + 1));
    const sink = Object.assign(memorySink(), { recover: () => ({ prior }) });
    open(sink);
    expect(JSON.parse(sink.lines[0] as string).prior).toEqual(prior.slice(6));
    expect(await verifyLog(inParts(textOf(sink.lines)))).toMatchObject({ ok: true });
  });

  it('tells the sink the numbers of the lines', () => {
    const sink = new ScriptedSink();
    const log = open(sink);
    void log.write('kill_switch', killSwitch('a'));
    log.note('kill_switch', killSwitch('b'));
    expect(sink.offered.map(({ first, last }) => [first, last])).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
    ]);
    for (const { lines, first } of sink.offered) expect(JSON.parse(lines).seq).toBe(first);
  });

  it('has the time of the wall clock, in whole milliseconds of UTC', () => {
    const clock = new FakeClock(0, Date.UTC(2026, 0, 2, 3, 4, 5, 678));
    const sink = memorySink();
    const log = open(sink, clock);
    const times: string[] = [];
    for (const wall of [1, 1, 1.999, 2, 0, 0.5, 951_782_399_999.9, 253_402_300_799_999]) {
      clock.jump(undefined, wall);
      void log.write('kill_switch', killSwitch('now'));
      times.push(JSON.parse(sink.lines.at(-1) as string).ts);
    }
    expect(JSON.parse(sink.lines[0] as string).ts).toBe('2026-01-02T03:04:05.678Z');
    expect(times).toEqual([
      '1970-01-01T00:00:00.001Z',
      '1970-01-01T00:00:00.001Z',
      '1970-01-01T00:00:00.001Z',
      '1970-01-01T00:00:00.002Z',
      '1970-01-01T00:00:00.000Z',
      '1970-01-01T00:00:00.000Z',
      '2000-02-28T23:59:59.999Z',
      '9999-12-31T23:59:59.999Z',
    ]);
    expect(reportOf(sink).ok).toBe(true);
  });

  it('takes nothing after its close', async () => {
    const sink = memorySink();
    const log = open(sink);
    await log.close(',"reason":"closed","calls":0,"denied":0');
    const lines = [...sink.lines];
    log.note('kill_switch', killSwitch('late'));
    expect(() => log.write('kill_switch', killSwitch('late'))).toThrow(expect.objectContaining(unavailable));
    await log.close(',"reason":"again","calls":0,"denied":0');
    expect(sink.lines).toEqual(lines);
    expect(reportOf(sink).complete).toBe(true);
  });
});

describe('the log of a session', () => {
  it('names the origin and the sessions that belong together', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [], id: 'parent', audit: { sink, origin: 'acme.test' } });
    await leash.run({ tool: 'tool' }, () => 1);
    const parentLine = sink.lines.at(-1) as string;
    const child = leash.child({ guards: [], id: 'child', agent: 'helper' });
    const grandchild = child.child({ guards: [], id: 'grandchild' });
    await leash.close();
    const report = reportOf(sink);
    expect(report.complete).toBe(true);
    const [first, second, third] = report.logs.map(({ events }) => events[0]);
    expect(first).toMatchObject({ origin: `acme.test/${first?.log}`, session: 'parent', agent: 'agent' });
    expect(first).not.toHaveProperty('parent');
    expect(second).toMatchObject({ session: 'child', agent: 'helper', origin: `acme.test/${second?.log}` });
    expect(second?.parent).toEqual({ log: first?.log, seq: 2, hash: lineHashOf(parentLine) });
    expect(third).toMatchObject({ session: 'grandchild', agent: 'helper', parent: { log: second?.log, seq: 0 } });
    expect([child.breach, grandchild.breach]).toEqual([undefined, undefined]);
  });

  it('comes after the line of its parent that it names, also where the sink has refused that one before', async () => {
    const sink = new ScriptedSink();
    const refuse = (): never => {
      throw new Error('full');
    };
    const leash = createLeash({ guards: [], audit: { sink, sign: 'none' } });
    await leash.run({ tool: 't' }, () => {
      sink.answer = refuse;
    });
    expect(() => leash.child({ guards: [] })).toThrow('the audit log cannot be written');
    sink.answer = () => undefined;
    leash.child({ guards: [] });
    const [start, end, opened] = sink.text
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => JSON.parse(line));
    expect(start).toMatchObject({ kind: 'tool_start' });
    expect(end).toMatchObject({ kind: 'tool_ok', log: start.log, seq: 2 });
    expect(opened).toMatchObject({ kind: 'session_open', parent: { log: start.log, seq: 2 } });
  });

  it('has the same hash of the guards for the same guards, and another for others', async () => {
    const guardsOf = async (guards: readonly Guard[]): Promise<unknown> => {
      const sink = memorySink();
      await createLeash({ guards, audit: sink }).close();
      return JSON.parse(sink.lines[0] as string).guards;
    };
    const one = await guardsOf([budget({ usd: 5 }), callCap(3)]);
    expect(await guardsOf([budget({ usd: '5.0' }), callCap(3)])).toBe(one);
    const others = [[budget({ usd: 6 }), callCap(3)], [budget({ usd: 5 })], [callCap(3), budget({ usd: 5 })], []];
    for (const other of others) expect(await guardsOf(other)).not.toBe(one);
  });

  it('has the refusal at the place that the error names, before the error is there', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [callCap(0)], audit: sink, stopOn: 'none' });
    for (let i = 0; i < 3; i++) {
      const error = await leash.run({ tool: 'tool' }, () => 1).catch((thrown: unknown) => thrown);
      const { event, callId } = error as { event: { log: string; seq: number }; callId: string };
      expect(JSON.parse(sink.lines[event.seq] as string)).toMatchObject({
        ...event,
        call: callId,
        kind: 'tool_denied',
      });
    }
    await leash.close();
    const late = await leash.run({ tool: 'tool' }, () => 1).catch((thrown: unknown) => thrown);
    expect(late).toMatchObject({ code: 'SESSION_CLOSED', event: { seq: sink.lines.length - 1 } });
    expect(reportOf(sink).complete).toBe(true);
  });

  it('stays closed whatever a call does that was waiting for a guard', async () => {
    for (const call of [{}, { cost: { usd: Number.NaN } }, { idempotencyKey: '' }]) {
      const sink = memorySink();
      let allow = (): void => {};
      const slow: Guard = {
        name: 'slow',
        check: () =>
          new Promise((resolve) => {
            allow = () => resolve({ allow: true });
          }),
      };
      const leash = createLeash({ guards: [slow], audit: { sink, sign: 'none' } });
      const tool = leash.wrap('tool', async () => 1, {
        cost: () => (call.cost ?? 'free') as 'free',
        ...('idempotencyKey' in call ? { idempotencyKey: () => '' } : {}),
      });
      const waiting = tool();
      const closing = leash.close();
      await closing;
      allow();
      await expect(waiting).rejects.toThrow();
      expect(reportOf(sink)).toMatchObject({ complete: true, problem: undefined });
      expect(sink.lines).toHaveLength(2);
    }
  });

  it('is closed once, and closes the sink after the last log that uses it', async () => {
    const sink = new ScriptedSink();
    const first = createLeash({ guards: [], audit: sink });
    const second = createLeash({ guards: [], audit: sink });
    first.child({ guards: [] });
    await Promise.all([first.close(), first.close()]);
    expect(sink.closed).toBe(0);
    await second.close();
    await second.close();
    expect(sink.closed).toBe(1);
    await createLeash({ guards: [], audit: sink }).close();
    expect(sink.closed).toBe(2);
    expect(sink.report).toMatchObject({ complete: true, logs: { length: 4 } });
  });

  it('says so when the sink cannot be closed', async () => {
    const sink = new ScriptedSink();
    sink.close = () => {
      throw Object.assign(new Error('a secret'), { code: 'EIO' });
    };
    const error = await createLeash({ guards: [], audit: sink })
      .close()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ ...unavailable, message: expect.not.stringContaining('secret') });
  });

  it('uses the sink as an object with methods of its own', async () => {
    const lines: string[] = [];
    class Sink implements AuditSink {
      readonly name = 'private';
      #lines = lines;
      write(text: string): void {
        this.#lines.push(text);
      }
      recover(): undefined {
        this.#lines.push();
      }
    }
    await createLeash({ guards: [], audit: new Sink() }).close();
    expect(readLogs(lines.join('')).complete).toBe(true);
  });
});

describe('a sink that does not take a line', () => {
  const leashOn = (
    sink: AuditSink,
  ): { leash: Leash; tool: Mock<() => Promise<string>>; call: () => Promise<unknown> } => {
    const leash = createLeash({ guards: [budget({ usd: 1 }), callCap(10)], audit: { sink, sign: 'none' } });
    const tool = vi.fn(async () => 'done');
    return { leash, tool, call: leash.wrap('tool', tool, { cost: '$0.5' }) };
  };
  const held = async (leash: Leash): Promise<unknown[]> =>
    (await leash.usage()).limits.map(({ held, spent }) => ({ held, spent }));
  const nothing = [
    { held: '0', spent: '0' },
    { held: 0, spent: 0 },
  ];

  it.each(REFUSALS)('that $name lets no tool run, and nothing stays held', async ({ refuse }) => {
    const sink = new ScriptedSink();
    const { leash, tool, call } = leashOn(sink);
    sink.answer = refuse;
    for (let i = 0; i < 3; i++) {
      await expect(call()).rejects.toMatchObject({ ...unavailable, message: expect.stringContaining('(ENOSPC)') });
    }
    expect(tool).not.toHaveBeenCalled();
    expect(await held(leash)).toEqual(nothing);
    expect(await leash.usage()).toMatchObject({ calls: 0, usd: '0' });
  });

  it.each(REFUSALS)('that $name lets no refusal be told as one', async ({ refuse }) => {
    const sink = new ScriptedSink();
    const leash = createLeash({ guards: [callCap(0)], audit: sink });
    sink.answer = refuse;
    await expect(leash.run({ tool: 'tool' }, () => 1)).rejects.toMatchObject(unavailable);
  });

  it('says nothing of what the sink said', async () => {
    const sink = new ScriptedSink();
    const { call } = leashOn(sink);
    const thrown: unknown[] = [FULL, 'secret', undefined, null, { code: 'secret' }, { code: 5 }, new Error('secret')];
    for (const error of thrown) {
      sink.answer = () => {
        throw error;
      };
      const told = (await call().catch((caught: unknown) => caught)) as Error & { toJSON(): unknown };
      expect(told).toMatchObject(unavailable);
      expect(JSON.stringify([told.message, told.toJSON()])).not.toContain('secret');
    }
  });

  it('is asked again at the next call when it threw, and the chain goes on', async () => {
    const sink = new ScriptedSink();
    const { leash, tool, call } = leashOn(sink);
    sink.answer = () => {
      throw FULL;
    };
    await expect(call()).rejects.toMatchObject(unavailable);
    sink.answer = () => undefined;
    expect(await call()).toBe('done');
    expect(tool).toHaveBeenCalledTimes(1);
    await leash.close();
    expect(sink.report.complete).toBe(true);
    expect(sink.kinds).toEqual(['session_open', 'tool_start', 'tool_ok', 'session_close']);
  });

  it.each([
    { name: 'and takes the line', end: () => undefined },
    {
      name: 'and throws',
      end: () => {
        throw FULL;
      },
    },
  ])('is not written to again after it ran a call of the log that it writes $name', async ({ end }) => {
    const sink = new ScriptedSink();
    const { leash, tool, call } = leashOn(sink);
    let inner: Promise<unknown> | undefined;
    sink.answer = () => {
      inner ??= call().catch((error: unknown) => error);
      return end();
    };
    await expect(call()).rejects.toMatchObject(unavailable);
    expect(await inner).toMatchObject(unavailable);
    sink.answer = () => undefined;
    await expect(call()).rejects.toMatchObject(unavailable);
    await expect(leash.close()).rejects.toMatchObject(unavailable);
    expect(tool).not.toHaveBeenCalled();
    expect(sink.report.ok).toBe(true);
  });

  it('is not written to again after it rejected: nobody knows what it has', async () => {
    const sink = new ScriptedSink();
    const { leash, tool, call } = leashOn(sink);
    sink.answer = () => Promise.reject(FULL);
    await expect(call()).rejects.toMatchObject(unavailable);
    sink.answer = () => undefined;
    await expect(call()).rejects.toMatchObject(unavailable);
    await expect(leash.close()).rejects.toMatchObject(unavailable);
    expect(tool).not.toHaveBeenCalled();
    expect(sink.taken).toHaveLength(1);
    expect(sink.offered).toHaveLength(2);
    expect(sink.closed).toBe(1);
  });

  it('and does not answer keeps the tool waiting, and what it costs held', async () => {
    const sink = new ScriptedSink();
    const { leash, tool, call } = leashOn(sink);
    sink.answer = () => new Promise(() => {});
    const calls = [call(), call()];
    const third = call();
    await expect(Promise.race([...calls, tick()])).resolves.toBeUndefined();
    expect(tool).not.toHaveBeenCalled();
    expect((await held(leash))[0]).toEqual({ held: '1', spent: '0' });
    // The budget is held by calls that may yet run; that this is refused cannot be written either.
    await expect(Promise.race([third, tick()])).resolves.toBeUndefined();
  });

  it('lets a later line count only after the earlier ones', async () => {
    const sink = new ScriptedSink();
    const { leash, tool, call } = leashOn(sink);
    const answers: ((error?: Error) => void)[] = [];
    sink.answer = () =>
      new Promise((resolve, reject) => {
        answers.push((error) => (error === undefined ? resolve() : reject(error)));
      });
    const first = call();
    const second = call();
    answers[1]?.();
    await tick();
    expect(tool).not.toHaveBeenCalled();
    answers[0]?.(FULL);
    await expect(first).rejects.toMatchObject(unavailable);
    // Its own line is there, but in a log with a gap before it.
    await expect(second).rejects.toMatchObject(unavailable);
    expect(tool).not.toHaveBeenCalled();
    expect(await held(leash)).toEqual(nothing);
  });

  it('lets calls run when it answers in its own time', async () => {
    const sink = new ScriptedSink();
    const { leash, tool, call } = leashOn(sink);
    sink.answer = () => tick();
    expect(await Promise.all([call(), call()])).toEqual(['done', 'done']);
    await leash.close();
    expect(tool).toHaveBeenCalledTimes(2);
    expect(sink.report.complete).toBe(true);
  });

  it('may answer with anything that has a `then`', async () => {
    const sink = new ScriptedSink();
    const { leash, tool, call } = leashOn(sink);
    const key = 'then';
    sink.write = () => ({ [key]: (_: unknown, fail: (error: Error) => void) => fail(FULL) }) as never;
    await expect(call()).rejects.toMatchObject(unavailable);
    expect(tool).not.toHaveBeenCalled();
    expect(await held(leash)).toEqual(nothing);
  });

  it.each(REFUSALS)('that $name at the beginning lets no session begin', async ({ name, refuse }) => {
    const sink = new ScriptedSink();
    sink.answer = refuse;
    if (name === 'throws') {
      expect(() => leashOn(sink)).toThrow(expect.objectContaining(unavailable));
    } else {
      const { tool, call } = leashOn(sink);
      await expect(call()).rejects.toMatchObject(unavailable);
      expect(tool).not.toHaveBeenCalled();
    }
  });

  it('because it cannot see whether its end is torn lets no session begin', () => {
    const sink = new ScriptedSink();
    const recover = (): never => {
      throw Object.assign(new Error('secret'), { code: 'EACCES' });
    };
    const made = (): unknown => createLeash({ guards: [], audit: Object.assign(sink, { recover }) });
    expect(made).toThrow(expect.objectContaining({ ...unavailable, message: expect.stringContaining('(EACCES)') }));
    expect(sink.offered).toEqual([]);
  });

  it('stops a child of its own, and not the parent', async () => {
    const parentSink = memorySink();
    const sink = new ScriptedSink();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: parentSink });
    const child = leash.child({ guards: [], audit: sink });
    sink.answer = () => {
      throw FULL;
    };
    const call = { tool: 'tool', cost: '$1' } as const;
    await expect(child.run(call, () => 1)).rejects.toMatchObject(unavailable);
    expect(await leash.run(call, () => 2)).toBe(2);
    await expect(leash.close()).rejects.toMatchObject(unavailable);
    expect(reportOf(parentSink).complete).toBe(true);
  });
});

describe('a line that could not be written for what has already happened', () => {
  /** A session in which the end of one call is not on record. */
  const afterLostEnd = async (): Promise<{ sink: ScriptedSink; leash: Leash; tool: Mock<() => unknown> }> => {
    const sink = new ScriptedSink();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: { sink, sign: 'none' }, stopOn: 'none' });
    const tool = vi.fn<() => unknown>();
    const result = await leash.run({ tool: 'first', cost: '$0.25' }, () => {
      sink.answer = () => {
        throw FULL;
      };
      return 'kept';
    });
    // The tool has run; its result is not withheld.
    expect(result).toBe('kept');
    expect(sink.kinds).toEqual(['session_open', 'tool_start']);
    return { sink, leash, tool };
  };
  const next = (leash: Leash, tool: () => unknown, cost: '$0.25' | '$5' = '$0.25'): Promise<unknown> =>
    leash.run({ tool: 'next', cost }, tool);
  const seqs = ({ logs }: Report): (number | undefined)[] => (logs[0] as LogState).events.map(({ seq }) => seq);

  it('is written before the next call, in the same write', async () => {
    const { sink, leash, tool } = await afterLostEnd();
    sink.answer = () => undefined;
    await next(leash, tool);
    expect(sink.taken[2]).toMatchObject({ first: 2, last: 3 });
    expect(sink.kinds).toEqual(['session_open', 'tool_start', 'tool_ok', 'tool_start', 'tool_ok']);
    await leash.close();
    expect(sink.report.complete).toBe(true);
    expect(seqs(sink.report)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('is written before the next refusal', async () => {
    const { sink, leash, tool } = await afterLostEnd();
    sink.answer = () => undefined;
    await expect(next(leash, tool, '$5')).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED', event: { seq: 3 } });
    expect(sink.kinds.slice(2)).toEqual(['tool_ok', 'budget_denied']);
    await leash.close();
    expect(sink.report.complete).toBe(true);
  });

  it('is written once, also when more are lost before', async () => {
    const { sink, leash, tool } = await afterLostEnd();
    leash.stop('by hand');
    await expect(next(leash, tool)).rejects.toMatchObject(unavailable);
    await expect(next(leash, tool)).rejects.toMatchObject(unavailable);
    sink.answer = () => undefined;
    await expect(next(leash, tool)).rejects.toMatchObject({ code: 'SESSION_STOPPED' });
    await leash.close();
    expect(sink.kinds.slice(2)).toEqual(['tool_ok', 'kill_switch', 'tool_denied', 'session_close']);
    expect(sink.report.complete).toBe(true);
    expect(tool).not.toHaveBeenCalled();
  });

  it.each<{ name: string; act: (leash: Leash, tool: () => unknown) => unknown }>([
    { name: 'a call', act: next },
    { name: 'a call that is too dear', act: (leash, tool) => next(leash, tool, '$5') },
    { name: 'a hold', act: (leash) => leash.hold('$0.1') },
    { name: 'a ticket', act: (leash) => leash.enter({ tool: 'next', cost: '$0.1' }) },
    { name: 'a charge, which is booked', act: (leash) => leash.charge('$0.1') },
  ])('refuses what comes next while it cannot be written: $name', async ({ name, act }) => {
    const { sink, leash, tool } = await afterLostEnd();
    await expect((async () => act(leash, tool))()).rejects.toMatchObject(unavailable);
    expect(tool).not.toHaveBeenCalled();
    const spent = name.startsWith('a charge') ? '0.35' : '0.25';
    expect((await leash.usage()).limits[0]).toMatchObject({ held: '0', spent });
    sink.answer = () => undefined;
    await next(leash, tool);
    await leash.close();
    expect(sink.report.complete).toBe(true);
  });

  it('is written before a hold begins, which has no line of its own', async () => {
    const { sink, leash } = await afterLostEnd();
    sink.answer = () => undefined;
    await leash.hold('$0.1');
    expect(sink.kinds).toEqual(['session_open', 'tool_start', 'tool_ok']);
    await leash.close();
    expect(sink.report.complete).toBe(true);
  });

  it('is written at the close', async () => {
    const { sink, leash } = await afterLostEnd();
    sink.answer = () => undefined;
    expect(await leash.close()).toMatchObject({ calls: 1, usd: '0.25' });
    expect(sink.kinds.slice(2)).toEqual(['tool_ok', 'session_close']);
    expect(sink.report.complete).toBe(true);
  });

  it('fails the close when it cannot be written then either, and everything else is closed', async () => {
    const { sink, leash, tool } = await afterLostEnd();
    await expect(leash.close()).rejects.toMatchObject(unavailable);
    await expect(leash.close()).rejects.toMatchObject(unavailable);
    expect(sink.closed).toBe(1);
    sink.answer = () => undefined;
    await expect(next(leash, tool)).rejects.toMatchObject({ code: 'SESSION_CLOSED' });
    expect(tool).not.toHaveBeenCalled();
    expect(sink.report).toMatchObject({ ok: true, complete: false });
    expect(sink.kinds).toEqual(['session_open', 'tool_start']);
  });
});

describe('a log that is closed', () => {
  it('takes no event any more, and says so', async () => {
    const sink = memorySink();
    const log = new AuditLog(logInit(sink));
    await log.close(sessionClose('closed', 0, 0, { usd: 0, sat: 0 }));
    expect(() => log.write('kill_switch', killSwitch('late'))).toThrow('the audit log is closed, so no call runs');
    log.note('kill_switch', killSwitch('late'));
    await log.close(sessionClose('again', 0, 0, { usd: 0, sat: 0 }));
    expect(sink.lines.map((line) => JSON.parse(line).kind)).toEqual(['session_open', 'session_close']);
  });
});
