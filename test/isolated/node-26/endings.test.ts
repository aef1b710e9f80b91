import { describe, expect, it } from 'vitest';
import { SessionEndedError } from '../../../src/errors.ts';
import { callCap } from '../../../src/guards/call-cap.ts';
import { egress } from '../../../src/guards/egress.ts';
import { type Isolated, type IsolatedOptions, isolated } from '../../../src/isolated/index.ts';
import { createLeash } from '../../../src/leash.ts';
import type { Leash } from '../../../src/leash-contract.ts';
import { rejection } from '../../helpers/refused.ts';
import type * as Endings from './modules/endings.ts';
import { isGone } from './processes.ts';

const MODULE = new URL('./modules/endings.ts', import.meta.url);

type Worker = Isolated<typeof Endings>;

const start = (leash: Leash, options: Partial<IsolatedOptions> = {}): Promise<Worker> =>
  isolated<typeof Endings>(MODULE, { leash, ...options });

const open = (): Leash => createLeash({ guards: [egress({ allow: [] }), callCap({ max: 1, tools: ['capped'] })] });

describe('the end of the leash ends the worker', () => {
  it.each<{ readonly by: string; readonly end: (leash: Leash) => unknown; readonly code: string }>([
    { by: 'stop', end: (leash) => leash.stop('enough'), code: 'SESSION_STOPPED' },
    { by: 'close', end: (leash) => leash.close(), code: 'SESSION_CLOSED' },
    {
      by: 'a breach',
      end: async (leash) => {
        for (let i = 0; i < 2; i++) await leash.run({ tool: 'capped' }, () => {}).catch(() => {});
      },
      code: 'CALL_CAP_REACHED',
    },
  ])('by $by', async ({ end, code }) => {
    const leash = open();
    const worker = await start(leash);
    const pid = await worker.exports.pid();
    const outside = rejection(worker.exports.wait());
    const inside = rejection(leash.run({ tool: 'wait' }, () => worker.exports.wait()));
    await end(leash);
    expect(await outside).toMatchObject({ code });
    expect(await inside).toMatchObject({ code });
    expect(await rejection(worker.exports.pid())).toMatchObject({ code });
    expect(await rejection(start(leash))).toMatchObject({ code });
    await isGone(pid);
    await leash.close();
  });

  it('by a close while nothing runs', async () => {
    const leash = open();
    const worker = await start(leash);
    const pid = await worker.exports.pid();
    await leash.close();
    expect(leash.signal.aborted).toBe(false);
    await isGone(pid);
    expect(await rejection(worker.exports.pid())).toBeInstanceOf(SessionEndedError);
  });

  it.each<{ readonly by: string; readonly end: (parent: Leash) => unknown }>([
    { by: 'stop', end: (parent) => parent.stop('enough') },
    { by: 'close', end: (parent) => parent.close() },
  ])('by that of its parent: $by', async ({ end }) => {
    const parent = open();
    const worker = await start(parent.child({ guards: [] }));
    const pid = await worker.exports.pid();
    await end(parent);
    await isGone(pid);
    await parent.close();
  });

  it('while it loads its module', async () => {
    const leash = open();
    const loading = rejection(isolated(new URL('./modules/never-loads.ts', import.meta.url), { leash }));
    leash.stop('enough');
    expect(await loading).toMatchObject({ code: 'SESSION_STOPPED' });
    await leash.close();
  });

  it('whatever it is doing, and whatever it would rather do', async () => {
    const leash = open();
    for (const doing of ['spin', 'stay'] as const) {
      const worker = await start(leash);
      const pid = await worker.exports.pid();
      const running = rejection(worker.exports[doing]());
      await worker.close();
      expect(await running).toMatchObject({
        code: 'WORKER_ENDED',
        message: 'the isolated worker has ended: it was closed',
      });
      await isGone(pid);
    }
    await leash.close();
  });
});

describe('calls of a worker that ends', () => {
  it.each<{ readonly how: string; readonly end: (worker: Worker) => Promise<unknown>; readonly why: RegExp }>([
    { how: 'exits', end: ({ exports }) => exports.exit(3), why: /^it ended by itself \(code 3\)$/ },
    { how: 'exits well', end: ({ exports }) => exports.exit(0), why: /^it ended by itself \(code 0\)$/ },
    {
      how: 'throws where nobody catches',
      end: ({ exports }) => exports.crash(),
      why: /^it ended by itself \(code 1\)$/,
    },
    {
      how: 'rejects where nobody handles',
      end: ({ exports }) => exports.reject(),
      why: /^it ended by itself \(code 1\)$/,
    },
    { how: 'fills its heap', end: ({ exports }) => exports.fillHeap(), why: /^it ended by itself \(SIG\w+\)$/ },
    {
      how: 'is killed',
      end: async ({ exports }) => {
        const waiting = exports.wait();
        process.kill(await exports.pid(), 'SIGKILL');
        return waiting;
      },
      why: /^it ended by itself \(SIGKILL\)$/,
    },
    { how: 'takes too long', end: ({ exports }) => exports.spin(), why: /^export "\w+" ran longer than 2000 ms$/ },
    { how: 'waits too long', end: ({ exports }) => exports.wait(), why: /^export "\w+" ran longer than 2000 ms$/ },
  ])('reject, those that run and those that come: it $how', async ({ end, why }) => {
    await using leash = open();
    const worker = await start(leash, { timeoutMs: 2_000, maxHeapMb: 32 });
    const other = rejection(worker.exports.wait());
    const errors = [await rejection(end(worker)), await other, await rejection(worker.exports.pid())];
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'WORKER_ENDED' });
      expect(error.message.replace('the isolated worker has ended: ', '')).toMatch(why);
    }
    await worker.close();
  });

  it('reject when it is closed, which may be done twice', async () => {
    await using leash = open();
    const worker = await start(leash);
    const waiting = rejection(worker.exports.wait());
    await Promise.all([worker.close(), worker.close(), worker[Symbol.asyncDispose]()]);
    expect(await waiting).toMatchObject({
      code: 'WORKER_ENDED',
      message: 'the isolated worker has ended: it was closed',
    });
    await worker.close();
  });

  it('leave other workers of the leash alone', async () => {
    await using leash = open();
    const [one, other] = await Promise.all([start(leash), start(leash)]);
    await rejection(one.exports.exit(1));
    expect(await other.exports.pid()).toBeGreaterThan(0);
  });
});
