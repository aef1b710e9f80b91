import { Console } from 'node:console';
import { PassThrough } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import {
  type ForwardedFields,
  forwardSink,
  type InfoLogger,
  type OtelLogRecord,
  otelSink,
} from '../../src/audit/forward-sink.ts';
import type { AuditSink } from '../../src/audit/sink.ts';
import { budget } from '../../src/guards/budget.ts';
import { egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { sinkContract } from '../helpers/sink-contract.ts';

const failure = (code: string): Error => Object.assign(new Error('secret'), { code });

interface Forwarded {
  readonly fields: ForwardedFields;
  readonly message: string;
}

function infoLogger(): { readonly logger: InfoLogger; readonly records: Forwarded[] } {
  const records: Forwarded[] = [];
  const info = ({ leash }: { leash: ForwardedFields }, message: string): void => {
    records.push({ fields: leash, message });
  };
  return { logger: { info }, records };
}

function otelLogger(): { readonly emit: (record: OtelLogRecord) => void; readonly records: OtelLogRecord[] } {
  const records: OtelLogRecord[] = [];
  return { emit: (record) => void records.push(record), records };
}

/** A session with one event of every kind that forwarding tells apart. */
async function session(audit: AuditSink): Promise<void> {
  const guards = [budget({ usd: 1 }), egress({ allow: ['example.com'] })];
  const leash = createLeash({ guards, audit, stopOn: 'none' });
  const run = (usd: number, act: () => unknown): Promise<unknown> =>
    leash.run({ tool: 'pay', cost: { usd } }, async () => act());
  await run(0.1, () => 'done');
  const broken = run(0.1, () => {
    throw new TypeError('secret');
  });
  await broken.catch(() => {});
  await run(9, () => {}).catch(() => {});
  leash.stop('enough');
  await run(0.1, () => {}).catch(() => {});
  await leash.close();
}

sinkContract(
  'forwardSink',
  () => {
    const { logger, records } = infoLogger();
    return {
      sink: forwardSink(logger),
      bytes: () => Buffer.from(records.map(({ message }) => `${message}\n`).join('')),
    };
  },
  {
    failing: () =>
      forwardSink({
        info: () => {
          throw failure('EIO');
        },
      }),
  },
);

sinkContract(
  'otelSink',
  () => {
    const logger = otelLogger();
    return {
      sink: otelSink({ logger }),
      bytes: () => Buffer.from(logger.records.map(({ body }) => `${body}\n`).join('')),
    };
  },
  {
    failing: () =>
      otelSink({
        logger: {
          emit: () => {
            throw failure('EIO');
          },
        },
      }),
  },
);

describe('forwardSink', () => {
  it('gives the exact line as the message, and what it says as fields', async () => {
    const { logger, records } = infoLogger();
    await session(forwardSink(logger));
    const report = readLogs(records.map(({ message }) => `${message}\n`).join(''));
    expect(report).toMatchObject({ complete: true, logs: { length: 1 } });
    const log = report.logs[0]?.id;
    const call = expect.stringMatching(/^[0-9a-f-]{36}$/);
    const [fields, events] = [records.map((record) => record.fields), report.logs[0]?.events ?? []];
    expect(fields.map(({ seq }) => seq)).toEqual(events.map(({ seq }) => seq));
    expect(new Set(fields.map((field) => field.log))).toEqual(new Set([log]));
    const of = (kind: string): ForwardedFields | undefined => fields.find((field) => field.kind === kind);
    expect(of('session_open')).toEqual({ kind: 'session_open', log, seq: 0 });
    expect(of('tool_ok')).toEqual({ kind: 'tool_ok', log, seq: 2, call, tool: 'pay' });
    expect(of('tool_error')).toEqual({ kind: 'tool_error', log, seq: 4, call, tool: 'pay', error: 'TypeError' });
    expect(of('budget_denied')).toEqual({
      kind: 'budget_denied',
      log,
      seq: 5,
      call,
      tool: 'pay',
      guard: 'budget',
      code: 'BUDGET_EXCEEDED',
    });
  });

  it('writes to a console what can be taken out again', async () => {
    const stream = new PassThrough();
    const chunks: string[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk.toString()));
    await session(forwardSink(new Console(stream)));
    const lines = chunks.join('').match(/\{"v":1,.*\}$/gm) ?? [];
    expect(readLogs(`${lines.join('\n')}\n`)).toMatchObject({ complete: true, logs: { length: 1 } });
  });

  it('calls the method on its logger', () => {
    const logger = {
      lines: [] as string[],
      info(_: unknown, message: string): void {
        this.lines.push(message);
      },
    };
    // Whoever need not wait gets no promise to wait for.
    expect(forwardSink(logger).write('{}\n{}\n', 0, 1)).toBeUndefined();
    expect(logger.lines).toEqual(['{}', '{}']);
  });

  it('leaves out fields that are not what they should be', () => {
    const { logger, records } = infoLogger();
    const sink = forwardSink(logger);
    for (const line of ['no JSON', '5', 'null', '[]', '{"kind":5,"log":{},"seq":"1","tool":null,"other":"x"}']) {
      void sink.write(`${line}\n`, 0, 0);
    }
    expect(records.map(({ fields }) => fields)).toEqual([{}, {}, {}, {}, {}]);
  });

  it('gives no line twice to a logger that throws between two lines of one write', async () => {
    const lines: string[] = [];
    let throwing: string | undefined;
    const info = (_: unknown, message: string): void => {
      if (throwing !== undefined && message.includes(throwing)) throw failure('EIO');
      lines.push(message);
    };
    const leash = createLeash({ guards: [], audit: { sink: forwardSink({ info }), sign: 'none' } });
    const run = (): Promise<void> => leash.run({ tool: 'tool' }, () => {});
    throwing = 'tool_ok';
    await run();
    // The end that was kept goes out with the next start, which does not.
    throwing = 'tool_start';
    await expect(run()).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    throwing = undefined;
    await expect(run()).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await expect(leash.close()).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    const report = readLogs(`${lines.join('\n')}\n`);
    expect(report).toMatchObject({ ok: true });
    expect(report.logs[0]?.events.map(({ kind }) => kind)).toEqual(['session_open', 'tool_start', 'tool_ok']);
  });

  it('takes a line again that a logger threw at', () => {
    const { logger, records } = infoLogger();
    let throws = true;
    const info = (fields: { leash: ForwardedFields }, message: string): void => {
      if (throws) throw failure('EIO');
      logger.info(fields, message);
    };
    const sink = forwardSink({ info });
    expect(() => sink.write('{"a":1}\n{"a":2}\n', 0, 1)).toThrow('secret');
    throws = false;
    void sink.write('{"a":1}\n{"a":2}\n', 0, 1);
    expect(records.map(({ message }) => message)).toEqual(['{"a":1}', '{"a":2}']);
  });

  it('leaves no answer without somebody who hears it fail', async () => {
    const unheard = vi.fn();
    process.on('unhandledRejection', unheard);
    try {
      const info = (_: unknown, message: string): Promise<void> => {
        if (message === '{"a":2}') throw failure('EIO');
        return Promise.reject(failure('EPIPE'));
      };
      expect(() => forwardSink({ info }).write('{"a":1}\n{"a":2}\n', 0, 1)).toThrow('secret');
      await new Promise((resolve) => setImmediate(resolve));
      expect(unheard).not.toHaveBeenCalled();
    } finally {
      process.off('unhandledRejection', unheard);
    }
  });

  it('waits for a logger that answers with promises, and fails with it', async () => {
    let answer: { resolve: () => void; reject: (error: Error) => void } | undefined;
    const info = (): Promise<void> =>
      new Promise((resolve, reject) => {
        answer = { resolve, reject };
      });
    const sink = forwardSink({ info });
    let done = false;
    const written = Promise.resolve(sink.write('{}\n', 0, 0)).then(() => {
      done = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBe(false);
    answer?.resolve();
    await written;
    const failing = sink.write('{}\n', 1, 1);
    answer?.reject(failure('EIO'));
    await expect(failing).rejects.toMatchObject({ code: 'EIO' });
  });

  it.each<{ logger: unknown }>([
    { logger: undefined },
    { logger: null },
    { logger: 'pino' },
    { logger: {} },
    { logger: { info: 1 } },
  ])('refuses $logger for a logger', ({ logger }) => {
    const make = (): unknown => forwardSink(logger as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow('forwardSink expects a logger');
  });
});

describe('otelSink', () => {
  it('gives the exact line as the body', async () => {
    const logger = otelLogger();
    await session(otelSink({ logger }));
    expect(readLogs(logger.records.map(({ body }) => `${body}\n`).join(''))).toMatchObject({ complete: true });
  });

  it('follows the conventions for the execution of a tool', async () => {
    const logger = otelLogger();
    await session(otelSink({ logger }));
    const log = expect.stringMatching(/^[0-9a-f-]{36}$/);
    const tool = {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'pay',
      'gen_ai.tool.call.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    };
    const events = logger.records
      .map(({ attributes, severityNumber }) => ({ attributes, severityNumber }))
      .filter(({ attributes }) => attributes['leash.kind'] !== 'checkpoint');
    const event = (seq: number, kind: string, severityNumber: number, more: object = {}): unknown => ({
      severityNumber,
      attributes: { 'leash.log': log, 'leash.seq': seq, 'leash.kind': kind, ...more },
    });
    expect(events).toStrictEqual([
      event(0, 'session_open', 9),
      event(1, 'tool_start', 9, tool),
      event(2, 'tool_ok', 9, tool),
      event(3, 'tool_start', 9, tool),
      event(4, 'tool_error', 17, { ...tool, 'error.type': 'TypeError' }),
      event(5, 'budget_denied', 13, { ...tool, 'error.type': 'BUDGET_EXCEEDED' }),
      event(6, 'kill_switch', 13),
      event(7, 'tool_denied', 13, { ...tool, 'error.type': 'SESSION_STOPPED' }),
      event(8, 'session_close', 9),
    ]);
  });

  it('has the time of the event as a date, whatever the clock of the process says', async () => {
    const logger = otelLogger();
    const clock = { now: () => 0, wall: () => Date.UTC(1999, 0, 1) };
    await createLeash({ guards: [], audit: otelSink({ logger }), clock }).close();
    const times = logger.records.map(({ timestamp }) => timestamp);
    expect(times.slice(0, 2)).toEqual(Array(2).fill(new Date('1999-01-01T00:00:00.000Z')));
    // A checkpoint has no time.
    expect(times.slice(2).every((time) => time === undefined)).toBe(true);
  });

  it.each([
    ['tool_error', 17],
    ['tool_denied', 13],
    ['budget_denied', 13],
    ['egress_denied', 13],
    ['kill_switch', 13],
    ['events_dropped', 13],
    ['log_recovered', 13],
    ['charge', 9],
    ['egress_ok', 9],
    ['of tomorrow', 9],
  ])('ranks %s as %i', (kind, severity) => {
    const logger = otelLogger();
    void otelSink({ logger }).write(`${JSON.stringify({ kind })}\n`, 0, 0);
    expect(logger.records.map(({ severityNumber }) => severityNumber)).toEqual([severity]);
  });

  it('calls no error what was only observed', async () => {
    const logger = otelLogger();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: otelSink({ logger }), mode: 'observe' });
    await leash.run({ tool: 'pay', cost: '$9' }, () => {});
    const denied = logger.records.find(({ attributes }) => attributes['leash.kind'] === 'budget_denied');
    expect(denied?.severityNumber).toBe(13);
    expect(denied?.attributes).not.toHaveProperty('error.type');
  });

  it('emits a line without a time, or one that cannot be read, without fields', () => {
    const emit = vi.fn();
    const sink = otelSink({ logger: { emit } });
    for (const line of ['no JSON', '{"ts":"yesterday"}', '{"ts":5}']) void sink.write(`${line}\n`, 0, 0);
    expect(emit.mock.calls.map(([record]) => record)).toEqual(
      ['no JSON', '{"ts":"yesterday"}', '{"ts":5}'].map((body) => ({ body, attributes: {}, severityNumber: 9 })),
    );
  });

  it.each<{ name: string; options: unknown }>([
    { name: 'nothing', options: undefined },
    { name: 'null', options: null },
    { name: 'no logger', options: {} },
    { name: 'a logger without emit', options: { logger: { info: () => {} } } },
    { name: 'the logger itself', options: { emit: () => {} } },
  ])('refuses $name', ({ options }) => {
    const make = (): unknown => otelSink(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow('otelSink');
  });

  it('refuses an unknown option', () => {
    expect(() => otelSink({ logger: { emit: () => {} }, provider: {} } as never)).toThrow('provider');
  });
});
