import { spawn } from 'node:child_process';
import type { RequestListener } from 'node:http';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { memorySink } from '../../src/audit/memory-sink.ts';
import type { AuditSink } from '../../src/audit/sink.ts';
import { teeSink } from '../../src/audit/tee-sink.ts';
import type { WebhookFetch } from '../../src/audit/webhook-post.ts';
import { type WebhookSinkOptions, webhookSink } from '../../src/audit/webhook-sink.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { startServer, type TestServer } from '../helpers/server.ts';
import { sinkContract } from '../helpers/sink-contract.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function start(respond?: RequestListener): Promise<TestServer> {
  const server = await startServer(respond);
  servers.push(server);
  return server;
}

/** Answers with these, one after the other; the last one stays. `undefined` breaks the connection. */
function answers(...statuses: readonly (number | undefined)[]): RequestListener {
  let i = 0;
  return (request, response) => {
    const status = statuses[Math.min(i++, statuses.length - 1)];
    if (status === undefined) request.socket.destroy();
    else response.writeHead(status, status < 400 && status >= 300 ? { location: '/elsewhere' } : {}).end('said');
  };
}

/** Time that passes when it is told to. */
class Timers {
  readonly set: { readonly ms: number; readonly run: () => void }[] = [];
  /** Every delay that was ever asked for. */
  readonly asked: number[] = [];

  readonly schedule = (ms: number, run: () => void): (() => void) => {
    const timer = { ms, run };
    this.set.push(timer);
    this.asked.push(ms);
    return () => {
      const at = this.set.indexOf(timer);
      if (at !== -1) this.set.splice(at, 1);
    };
  };

  /** The first timer of this length runs out. */
  fire(ms: number): void {
    const at = this.set.findIndex((timer) => timer.ms === ms);
    if (at === -1) throw new Error(`no timer of ${ms} ms among ${this.set.map((timer) => timer.ms).join(', ')}`);
    this.set.splice(at, 1)[0]?.run();
  }

  has(ms: number): boolean {
    return this.set.some((timer) => timer.ms === ms);
  }
}

const INTERVAL = 1_000;
const TIMEOUT = 10_000;
const LOGS = ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'] as const;
const [A, B] = LOGS;
const line = (log: string, seq: number): string => `{"v":1,"log":"${log}","seq":${seq}}\n`;
const write = (sink: AuditSink, log: string, first: number, last: number = first): unknown =>
  sink.write(Array.from({ length: last - first + 1 }, (_, i) => line(log, first + i)).join(''), first, last);
const keys = ({ hits }: TestServer): unknown[] => hits.map(({ headers }) => headers['idempotency-key']);
const bodies = ({ hits }: TestServer): string => hits.map(({ body }) => body).join('');
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const until = (condition: () => void): Promise<void> => vi.waitFor(condition, { interval: 1, timeout: 5_000 });

const thrownBy = async (sink: AuditSink): Promise<Error> => {
  try {
    await sink.sync?.();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
};

function withTimers(
  server: TestServer,
  options: WebhookSinkOptions = {},
): { readonly sink: AuditSink; readonly timers: Timers } {
  const timers = new Timers();
  const sink = webhookSink(`${server.origin}/audit?token=secret`, {
    schedule: timers.schedule,
    random: () => 0,
    ...options,
  });
  return { sink, timers };
}

sinkContract(
  'webhookSink',
  async () => {
    const server = await startServer();
    const sink = webhookSink(server.origin, { batch: 50_000, maxBuffered: 200_000 });
    return {
      sink,
      bytes: async () => {
        await sink.sync?.();
        return Buffer.from(bodies(server));
      },
      dispose: () => server.close(),
    };
  },
  {
    failing: async () => {
      const server = await start(answers(403));
      const sink = webhookSink(server.origin);
      await sink.write('{}\n', 0, 0);
      await sink.sync?.().catch(() => {});
      return sink;
    },
  },
);

describe('webhookSink', () => {
  it('posts what is written within the interval as one batch', async () => {
    const server = await start();
    const { sink, timers } = withTimers(server, {
      headers: { Authorization: 'Bearer secret', 'X-Host': 'a', 'Host-Of': 'b' },
    });
    for (let i = 0; i < 3; i++) expect(write(sink, A, i)).toBeUndefined();
    await turn();
    expect(timers.asked).toEqual([INTERVAL]);
    timers.fire(INTERVAL);
    await sink.sync?.();
    expect(server.hits).toEqual([
      {
        method: 'POST',
        target: '/audit?token=secret',
        headers: expect.objectContaining({
          'content-type': 'application/x-ndjson',
          'idempotency-key': `${A}/0-2`,
          authorization: 'Bearer secret',
          'x-host': 'a',
          'host-of': 'b',
        }),
        body: [0, 1, 2].map((i) => line(A, i)).join(''),
      },
    ]);
    expect(timers.set).toEqual([]);
  });

  it('posts a full batch at once, and keeps the rest for the interval', async () => {
    const server = await start();
    const { sink, timers } = withTimers(server, { batch: 3 });
    for (let i = 0; i < 3; i++) write(sink, A, i);
    write(sink, A, 3);
    await until(() => expect(keys(server)).toEqual([`${A}/0-2`]));
    await until(() => expect(timers.set.map(({ ms }) => ms)).toEqual([INTERVAL]));
    timers.fire(INTERVAL);
    await until(() => expect(keys(server)).toEqual([`${A}/0-2`, `${A}/3-3`]));
  });

  it('lets what comes while a batch is under way wait for the interval', async () => {
    const accepts: (() => void)[] = [];
    const fetch = vi.fn<WebhookFetch>(
      () =>
        new Promise((resolve) => {
          accepts.push(() => resolve({ status: 200, headers: new Headers() }));
        }),
    );
    const timers = new Timers();
    const sink = webhookSink('http://127.0.0.1/', { batch: 2, fetch, schedule: timers.schedule });
    write(sink, A, 0, 1);
    write(sink, A, 2);
    write(sink, B, 0);
    accepts[0]?.();
    for (let i = 0; i < 5; i++) await turn();
    expect(fetch).toHaveBeenCalledTimes(1);
    timers.fire(INTERVAL);
    expect(fetch).toHaveBeenCalledTimes(2);
    accepts[1]?.();
    await until(() => expect(fetch).toHaveBeenCalledTimes(3));
  });

  it('cuts a large write into batches', async () => {
    const server = await start();
    const { sink } = withTimers(server, { batch: 4 });
    write(sink, A, 0, 9);
    await sink.sync?.();
    expect(keys(server)).toEqual([`${A}/0-3`, `${A}/4-7`, `${A}/8-9`]);
    expect(bodies(server)).toBe(Array.from({ length: 10 }, (_, i) => line(A, i)).join(''));
  });

  it('gives each log batches of its own, each in order', async () => {
    const server = await start();
    const { sink } = withTimers(server, { batch: 3 });
    const interleaved = async (): Promise<void> => {
      for (let i = 0; i < 4; i++) for (const log of LOGS) write(sink, log, i);
      await sink.sync?.();
    };
    await interleaved();
    expect(keys(server)).toEqual([`${A}/0-2`, `${B}/0-2`, `${A}/3-3`, `${B}/3-3`]);
    for (const { headers, body } of server.hits) {
      const log = String(headers['idempotency-key']).slice(0, 36);
      expect(
        body
          .split('\n')
          .slice(0, -1)
          .every((text) => text.includes(log)),
      ).toBe(true);
    }
  });

  it('has one request under way at a time', async () => {
    let open = 0;
    let most = 0;
    const server = await start((_, response) => {
      most = Math.max(most, ++open);
      setImmediate(() => {
        open--;
        response.end();
      });
    });
    const { sink } = withTimers(server, { batch: 2 });
    for (let i = 0; i < 20; i++) write(sink, LOGS[i % 2] as string, Math.floor(i / 2));
    await sink.sync?.();
    expect([server.hits.length, most]).toEqual([10, 1]);
  });

  it.each([
    { name: 'an answer', respond: answers(200) },
    { name: 'an empty answer', respond: ((_, response) => response.writeHead(204).end()) satisfies RequestListener },
  ])('keeps its connections after $name', async ({ respond }) => {
    const server = await start(respond);
    const { sink } = withTimers(server, { batch: 1 });
    for (let i = 0; i < 20; i++) write(sink, A, i);
    await sink.sync?.();
    expect(server.hits).toHaveLength(20);
    // The next request may begin before the connection of the last one is free.
    expect(server.connections()).toBeLessThanOrEqual(2);
  });

  it('reads no answer, however long', async () => {
    let left = 0;
    const server = await start((_, response) => {
      response.on('close', () => left++);
      const more = (): void => {
        while (response.writable && response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', more);
      more();
    });
    const { sink } = withTimers(server, { batch: 1 });
    for (let i = 0; i < 3; i++) write(sink, A, i);
    await sink.sync?.();
    expect(server.hits).toHaveLength(3);
    await until(() => expect(left).toBe(3));
  });

  it('names in the key of a batch every line that is in it, where numbers do not follow one another', async () => {
    const server = await start();
    const { sink } = withTimers(server);
    for (const seq of [0, 1, 5, 6, 6]) write(sink, A, seq);
    await sink.sync?.();
    expect(keys(server)).toEqual([`${A}/0-1`, `${A}/5-6`, `${A}/6-6`]);
  });

  it.each([
    { name: 'fewer lines than numbers', text: line(A, 0), first: 0, last: 1 },
    { name: 'more lines than numbers', text: line(A, 0) + line(A, 1), first: 0, last: 0 },
    { name: 'a line without its end', text: '{}', first: 0, last: 0 },
    { name: 'nothing', text: '', first: 0, last: 0 },
  ])('takes no $name', async ({ text, first, last }) => {
    const server = await start();
    const { sink, timers } = withTimers(server);
    expect(() => sink.write(text, first, last)).toThrow(RangeError);
    expect(timers.set).toEqual([]);
  });

  it('makes copies that verify, in a tee, of sessions in parallel', async () => {
    const server = await start();
    const copy = memorySink();
    const audit = teeSink([copy, webhookSink(server.origin, { batch: 7 })]);
    const leashes = [1, 2, 3].map(() => createLeash({ guards: [], audit }));
    await Promise.all(
      leashes.flatMap((leash) => Array.from({ length: 20 }, (_, i) => leash.run({ tool: 'tool' }, async () => i))),
    );
    for (const leash of leashes) await leash.close();
    const report = readLogs(bodies(server));
    expect(report).toMatchObject({ complete: true, logs: { length: 3 } });
    expect(bodies(server).split('\n').sort()).toEqual([...copy.lines, ''].sort());
  });

  it('keeps the process alive until everything is accepted', async () => {
    const server = await start(answers(503, 200));
    const module = fileURLToPath(new URL('../../src/audit/webhook-sink.ts', import.meta.url));
    const source = `
      const { webhookSink } = await import(${JSON.stringify(module)});
      const sink = webhookSink(${JSON.stringify(server.origin)}, { intervalMs: 1 });
      sink.write('{"a":1}\\n', 0, 0);
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(0);
    expect(server.hits.map(({ body }) => body)).toEqual(['{"a":1}\n', '{"a":1}\n']);
  });
});

describe('a webhook that does not accept', () => {
  it.each([
    { status: 408 },
    { status: 425 },
    { status: 429 },
    { status: 500 },
    { status: 502 },
    { status: 503 },
    { status: 599 },
    { status: undefined },
  ])('is asked again with the same batch after $status', async ({ status }) => {
    const server = await start(answers(status, status, 200));
    const { sink, timers } = withTimers(server);
    write(sink, A, 0);
    const synced = sink.sync?.();
    await until(() => timers.fire(125));
    // It is no part of the batch that is under way.
    write(sink, A, 1);
    await until(() => timers.fire(250));
    await synced;
    expect(keys(server)).toEqual([`${A}/0-0`, `${A}/0-0`, `${A}/0-0`]);
    expect(bodies(server)).toBe(line(A, 0).repeat(3));
    await sink.sync?.();
    expect(keys(server).at(-1)).toBe(`${A}/1-1`);
  });

  it('by not answering in time is asked again', async () => {
    let first = true;
    const server = await start((_, response) => {
      if (!first) response.end();
      first = false;
    });
    const { sink, timers } = withTimers(server, { timeoutMs: 77 });
    write(sink, A, 0);
    const synced = sink.sync?.();
    await until(() => expect(server.hits).toHaveLength(1));
    timers.fire(77);
    await until(() => timers.fire(125));
    await synced;
    expect(keys(server)).toEqual([`${A}/0-0`, `${A}/0-0`]);
    expect(timers.set).toEqual([]);
  });

  it.each([
    { name: 'at the least', random: 0, pauses: [125, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000] },
    { name: 'at the most', random: 1, pauses: [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] },
  ])('is given pauses that double, $name', async ({ random, pauses }) => {
    const server = await start(answers(503));
    const { sink, timers } = withTimers(server, { intervalMs: 999, retries: 9, random: () => random });
    write(sink, A, 0);
    const synced = sink.sync?.();
    for (const pause of pauses) await until(() => timers.fire(pause));
    await expect(synced).rejects.toMatchObject({ code: 'WEBHOOK_GIVEN_UP' });
    expect(timers.asked.filter((ms) => ms !== 999 && ms !== TIMEOUT)).toEqual(pauses);
    expect(server.hits).toHaveLength(10);
  });

  it.each([
    { name: 'seconds', header: '7', pause: 7_000 },
    { name: 'fewer seconds than the pause', header: '0', pause: 125 },
    { name: 'too many seconds', header: '86400', pause: 30_000 },
    { name: 'a date', header: 'Fri, 20 Nov 2026 12:00:00 GMT', pause: 125 },
    { name: 'nonsense', header: '-5', pause: 125 },
    { name: 'seconds and more', header: '7, 9', pause: 125 },
  ])('may say how long to wait: $name', async ({ header, pause }) => {
    let first = true;
    const server = await start((_, response) => {
      response.writeHead(first ? 429 : 200, { 'retry-after': header }).end();
      first = false;
    });
    const { sink, timers } = withTimers(server);
    write(sink, A, 0);
    const synced = sink.sync?.();
    await until(() => timers.fire(pause));
    await synced;
    expect(server.hits).toHaveLength(2);
  });

  it.each([400, 401, 403, 404, 409, 410, 413, 422, 300, 301, 302, 303, 307, 308, 304, 600, 999])(
    'with %i ends the sink, is not asked again, and leads nowhere else',
    async (status) => {
      const server = await start(answers(status, 200));
      const { sink, timers } = withTimers(server);
      write(sink, A, 0);
      write(sink, B, 0);
      await expect(sink.sync?.()).rejects.toMatchObject({
        code: 'WEBHOOK_REFUSED',
        message: `the webhook answered ${status}`,
      });
      expect(server.hits).toHaveLength(1);
      for (let i = 0; i < 2; i++) {
        expect(() => write(sink, A, 1)).toThrow(expect.objectContaining({ code: 'WEBHOOK_REFUSED' }));
      }
      await expect(sink.close?.()).rejects.toMatchObject({ code: 'WEBHOOK_REFUSED' });
      await turn();
      expect(server.hits).toHaveLength(1);
      expect(timers.set).toEqual([]);
    },
  );

  it.each([200, 201, 202, 204, 299])('with %i does accept', async (status) => {
    const server = await start(answers(status));
    const { sink } = withTimers(server);
    write(sink, A, 0);
    await sink.sync?.();
    expect(write(sink, A, 1)).toBeUndefined();
  });

  it.each([
    { retries: 0, times: 'once', hits: 1 },
    { retries: 2, times: '3 times', hits: 3 },
  ])('is given up after $retries retries, and the calls stop', async ({ retries, times, hits }) => {
    const server = await start(answers(503));
    const { sink, timers } = withTimers(server, { retries });
    const leash = createLeash({ guards: [], audit: sink });
    await leash.run({ tool: 'tool' }, () => {});
    timers.fire(INTERVAL);
    for (let i = 0; i < retries; i++) await until(() => timers.fire(125 * 2 ** i));
    const tool = vi.fn();
    const denied = { code: 'AUDIT_UNAVAILABLE', message: expect.stringContaining('(WEBHOOK_GIVEN_UP)') };
    await until(() => expect(server.hits).toHaveLength(hits));
    await until(() => expect(() => write(sink, A, 0)).toThrow(`sent to the webhook ${times} and not accepted`));
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject(denied);
    await expect(leash.close()).rejects.toMatchObject(denied);
    expect(tool).not.toHaveBeenCalled();
  });

  it('leaves no timer behind when it ends the sink', async () => {
    let refuse = (): void => {};
    const server = await start((_, response) => {
      refuse = () => void response.writeHead(403).end();
    });
    const { sink, timers } = withTimers(server);
    write(sink, A, 0);
    const synced = sink.sync?.();
    await until(() => expect(server.hits).toHaveLength(1));
    write(sink, A, 1);
    expect(timers.has(INTERVAL)).toBe(true);
    refuse();
    await expect(synced).rejects.toMatchObject({ code: 'WEBHOOK_REFUSED' });
    expect(timers.set).toEqual([]);
  });

  it('is not shown in what is thrown, nor are its answer and the headers', async () => {
    const server = await start(answers(418));
    const { sink } = withTimers(server, { headers: { authorization: 'Bearer secret' } });
    write(sink, A, 0);
    const error: Error = await thrownBy(sink);
    expect(error.message).toBe('the webhook answered 418');
    const unreachable = webhookSink('http://127.0.0.1:1/secret?secret=1', { retries: 0 });
    write(unreachable, A, 0);
    const other: Error = await thrownBy(unreachable);
    expect(other.message).toBe('a batch was sent to the webhook once and not accepted');
  });

  it('is given up in time though fetch does not heed its signal', async () => {
    const timers = new Timers();
    const fetch: WebhookFetch = () => new Promise(() => {});
    const sink = webhookSink('http://127.0.0.1/', { fetch, retries: 0, schedule: timers.schedule });
    write(sink, A, 0);
    const closed = Promise.resolve(sink.close?.());
    timers.fire(TIMEOUT);
    await expect(closed).rejects.toMatchObject({ code: 'WEBHOOK_GIVEN_UP', cause: { code: 'ETIMEDOUT' } });
  });

  it('is taken for one that cannot be reached when fetch throws at once', async () => {
    const fetch = vi.fn<WebhookFetch>(() => {
      throw new Error('at once');
    });
    const timers = new Timers();
    const sink = webhookSink('http://127.0.0.1/', { fetch, retries: 1, schedule: timers.schedule, random: () => 0 });
    write(sink, A, 0);
    const synced = sink.sync?.();
    await until(() => timers.fire(125));
    await expect(synced).rejects.toMatchObject({ code: 'WEBHOOK_GIVEN_UP', cause: { message: 'at once' } });
    expect(fetch).toHaveBeenCalledTimes(2);
  });
});

describe('the answer to a webhookSink', () => {
  it.each([
    { name: 'cannot be cancelled', body: {} },
    { name: 'is cancelled at once', body: { cancel: () => undefined } },
    {
      name: 'throws',
      body: {
        cancel: () => {
          throw new Error('locked');
        },
      },
    },
    { name: 'rejects', body: { cancel: () => Promise.reject(new Error('locked')) } },
  ])('counts by its status, though its body $name', async ({ body }) => {
    const fetch = vi.fn(async () => ({ status: 200, headers: new Headers(), body }));
    const sink = webhookSink('http://127.0.0.1/', { fetch: fetch as unknown as WebhookFetch, retries: 0 });
    write(sink, A, 0);
    await sink.sync?.();
    expect(fetch).toHaveBeenCalledTimes(1);
  });
});

describe('the buffer of a webhookSink', () => {
  it('throws when it is full, and takes lines again when some were accepted', async () => {
    let accept = (): void => {};
    const server = await start((_, response) => {
      accept = () => void response.end();
    });
    const { sink, timers } = withTimers(server, { batch: 2, maxBuffered: 4 });
    for (let i = 0; i < 4; i++) write(sink, A, i);
    const full = { code: 'WEBHOOK_BUFFER_FULL', message: 'the buffer of the webhook is full' };
    expect(() => write(sink, A, 4)).toThrow(expect.objectContaining(full));
    expect(() => write(sink, B, 0)).toThrow(expect.objectContaining(full));
    await until(() => expect(server.hits).toHaveLength(1));
    accept();
    await until(() => expect(server.hits).toHaveLength(2));
    write(sink, A, 4, 5);
    expect(() => write(sink, A, 6)).toThrow(expect.objectContaining(full));
    accept();
    await until(() => expect(server.hits).toHaveLength(3));
    accept();
    await sink.sync?.();
    expect(keys(server)).toEqual([`${A}/0-1`, `${A}/2-3`, `${A}/4-5`]);
    expect(timers.set).toEqual([]);
  });

  it('takes none of the lines that do not fit together', async () => {
    const server = await start();
    const { sink } = withTimers(server, { batch: 2, maxBuffered: 3 });
    write(sink, A, 0);
    expect(() => write(sink, A, 1, 3)).toThrow('full');
    write(sink, A, 1);
    await sink.sync?.();
    expect(bodies(server)).toBe(line(A, 0) + line(A, 1));
  });

  it('takes more lines at once than it holds where nothing waits: they would never fit', async () => {
    const server = await start();
    const { sink } = withTimers(server, { batch: 2, maxBuffered: 3 });
    write(sink, A, 0, 4);
    expect(() => write(sink, A, 5)).toThrow('full');
    await sink.sync?.();
    write(sink, A, 5);
    await sink.sync?.();
    expect(keys(server)).toEqual([`${A}/0-1`, `${A}/2-3`, `${A}/4-4`, `${A}/5-5`]);
  });

  it('gets all that was kept while it was full, however much that is', async () => {
    let accept = (): void => {};
    const first = new Promise<void>((resolve) => {
      accept = resolve;
    });
    const server = await start((_, response) => void first.then(() => response.end()));
    const { sink } = withTimers(server, { batch: 3, maxBuffered: 3 });
    const leash = createLeash({ guards: [], audit: { sink, onError: 'allow' } });
    for (let i = 0; i < 5; i++) await leash.run({ tool: 'tool' }, () => {});
    accept();
    await sink.sync?.();
    await leash.run({ tool: 'tool' }, () => {});
    await sink.sync?.();
    await leash.close();
    expect(readLogs(bodies(server))).toMatchObject({ ok: true, complete: true });
  });

  it('stops the calls while it is full, and no longer', async () => {
    let accept = (): void => {};
    const server = await start((_, response) => {
      accept = () => void response.end();
    });
    const { sink } = withTimers(server, { batch: 3, maxBuffered: 3 });
    const leash = createLeash({ guards: [], audit: sink });
    await leash.run({ tool: 'tool' }, () => {});
    const tool = vi.fn();
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
      message: 'the audit log cannot be written (WEBHOOK_BUFFER_FULL), so no call runs',
    });
    expect(tool).not.toHaveBeenCalled();
    await until(() => expect(server.hits).toHaveLength(1));
    accept();
    await until(() => expect(leash.run({ tool: 'tool' }, tool)).resolves.toBeUndefined());
    const closed = leash.close();
    await until(() => expect(server.hits).toHaveLength(2));
    accept();
    await closed.catch(() => {});
    expect(readLogs(bodies(server)).ok).toBe(true);
  });
});

describe('sync and close of a webhookSink', () => {
  it.each(['sync', 'close'] as const)('send what waits at once: %s', async (method) => {
    const server = await start();
    const { sink, timers } = withTimers(server);
    write(sink, A, 0);
    await sink[method]?.();
    expect(keys(server)).toEqual([`${A}/0-0`]);
    expect(timers.set).toEqual([]);
    write(sink, A, 1);
    await sink[method]?.();
    expect(keys(server)).toEqual([`${A}/0-0`, `${A}/1-1`]);
  });

  it('send nothing where nothing waits', async () => {
    const server = await start();
    const { sink } = withTimers(server);
    await sink.sync?.();
    await sink.close?.();
    expect(server.connections()).toBe(0);
  });

  it('wait for what was written before them, and for nothing after', async () => {
    const accepts: (() => void)[] = [];
    const server = await start((_, response) => accepts.push(() => void response.end()));
    const { sink } = withTimers(server);
    write(sink, A, 0);
    const order: string[] = [];
    const first = sink.sync?.().then(() => order.push('first'));
    write(sink, B, 0);
    write(sink, A, 1);
    const second = sink.sync?.().then(() => order.push('second'));
    await until(() => expect(accepts).toHaveLength(1));
    expect(order).toEqual([]);
    accepts[0]?.();
    await first;
    await until(() => expect(accepts).toHaveLength(2));
    expect(order).toEqual(['first']);
    accepts[1]?.();
    await until(() => expect(accepts).toHaveLength(3));
    expect(order).toEqual(['first']);
    accepts[2]?.();
    await second;
    expect(order).toEqual(['first', 'second']);
  });
});

describe('the arguments of a webhookSink', () => {
  const url = 'https://example.com/audit';
  it.each<{ name: string; url?: unknown; options?: unknown; error: ErrorConstructor; message: string }>([
    { name: 'no URL', url: undefined, error: TypeError, message: 'webhookSink expects a URL' },
    { name: 'a number for a URL', url: 5, error: TypeError, message: 'webhookSink expects a URL' },
    { name: 'a relative URL', url: '/audit', error: TypeError, message: 'absolute' },
    { name: 'another scheme', url: 'file:///audit', error: RangeError, message: 'file:' },
    { name: 'a user name', url: 'https://user@example.com/', error: RangeError, message: 'headers' },
    { name: 'a password', url: new URL('https://:secret@example.com/'), error: RangeError, message: 'headers' },
    { name: 'a batch of none', options: { batch: 0 }, error: RangeError, message: 'webhookSink.batch' },
    { name: 'NaN for a batch', options: { batch: Number.NaN }, error: RangeError, message: 'webhookSink.batch' },
    { name: 'null for a batch', options: { batch: null }, error: TypeError, message: 'webhookSink.batch' },
    { name: 'an interval of zero', options: { intervalMs: 0 }, error: RangeError, message: 'webhookSink.intervalMs' },
    {
      name: 'an interval too long for a timer',
      options: { intervalMs: 2 ** 31 },
      error: RangeError,
      message: 'webhookSink.intervalMs',
    },
    {
      name: 'an endless interval',
      options: { intervalMs: Number.POSITIVE_INFINITY },
      error: RangeError,
      message: 'webhookSink.intervalMs',
    },
    { name: 'a timeout of zero', options: { timeoutMs: 0 }, error: RangeError, message: 'webhookSink.timeoutMs' },
    { name: 'a text for a timeout', options: { timeoutMs: '5s' }, error: TypeError, message: 'webhookSink.timeoutMs' },
    { name: 'negative retries', options: { retries: -1 }, error: RangeError, message: 'webhookSink.retries' },
    {
      name: 'endless retries',
      options: { retries: Number.POSITIVE_INFINITY },
      error: RangeError,
      message: 'webhookSink.retries',
    },
    {
      name: 'a buffer smaller than a batch',
      options: { batch: 10, maxBuffered: 9 },
      error: RangeError,
      message: 'webhookSink.maxBuffered',
    },
    { name: 'a text for headers', options: { headers: 'a: b' }, error: TypeError, message: 'webhookSink.headers' },
    { name: 'null for headers', options: { headers: null }, error: TypeError, message: 'webhookSink.headers' },
    { name: 'a list for headers', options: { headers: [] }, error: TypeError, message: 'webhookSink.headers' },
    {
      name: 'a header name with a space',
      options: { headers: { 'a b': 'c' } },
      error: RangeError,
      message: 'webhookSink.headers',
    },
    {
      name: 'a header of two lines',
      options: { headers: { a: 'b\r\nc: d' } },
      error: RangeError,
      message: 'webhookSink.headers',
    },
    {
      name: 'a header that is a number',
      options: { headers: { a: 5 } },
      error: TypeError,
      message: 'webhookSink.headers',
    },
    {
      name: 'the header of the key',
      options: { headers: { 'Idempotency-Key': 'x' } },
      error: RangeError,
      message: 'Idempotency-Key',
    },
    {
      name: 'the header of the content',
      options: { headers: { 'content-type': 'x' } },
      error: RangeError,
      message: 'content-type',
    },
    { name: 'a fetch that is none', options: { fetch: {} }, error: TypeError, message: 'webhookSink.fetch' },
    { name: 'a schedule that is none', options: { schedule: 5 }, error: TypeError, message: 'webhookSink.schedule' },
    { name: 'a random that is none', options: { random: 0.5 }, error: TypeError, message: 'webhookSink.random' },
    { name: 'an unknown option', options: { retry: 5 }, error: TypeError, message: 'retry' },
    { name: 'null for options', options: null, error: TypeError, message: 'webhookSink' },
  ])('refuse $name', (row) => {
    const given = 'url' in row ? row.url : url;
    const make = (): unknown =>
      row.options === undefined ? webhookSink(given as never) : webhookSink(given as never, row.options as never);
    expect(make).toThrow(row.error);
    expect(make).toThrow(row.message);
    expect(make).not.toThrow('secret');
  });
});
