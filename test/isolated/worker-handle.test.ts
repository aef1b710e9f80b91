import { duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { egress } from '../../src/guards/egress.ts';
import { encodeFrame, FrameReader } from '../../src/isolated/frames.ts';
import { WorkerHandle } from '../../src/isolated/worker-handle.ts';
import { createLeash } from '../../src/leash.ts';
import { clientOf } from '../../src/session/client.ts';
import { rejection } from '../helpers/refused.ts';

/** A worker that a test plays itself. */
function play() {
  const [link, side] = duplexPair();
  const told: unknown[] = [];
  const reader = new FrameReader();
  side.on('data', (piece: Buffer) => told.push(...reader.read(piece)));
  let kills = 0;
  const gone = Promise.withResolvers<string>();
  const leash = createLeash({ guards: [egress({ allow: [] })] });
  const handle = new WorkerHandle(
    { link, gone: gone.promise, kill: () => kills++, ref: () => {} },
    clientOf(leash, 'isolated'),
    { leash, module: 'file:///module.js', read: [], env: {}, maxHeapMb: 64, timeoutMs: 60_000 },
  );
  return {
    leash,
    handle,
    told,
    exit: (how: string): void => {
      side.destroy();
      link.destroy();
      gone.resolve(how);
    },
    say: async (...messages: unknown[]): Promise<void> => {
      for (const message of messages) side.write(encodeFrame(message));
      await turn();
      await turn();
    },
    kills: () => kills,
  };
}

const CHECKED = { kind: 'checked', open: [] };
const LOADED = { kind: 'loaded', names: ['one'] };
const LIE = 'the isolated worker has ended: it sent what its own part never sends';

describe('a worker that starts', () => {
  it('is told its module when it has shown that it is closed, and not before', async () => {
    const { handle, told, say } = play();
    const loading = handle.load('file:///module.js');
    await turn();
    expect(told).toEqual([]);
    await say(CHECKED);
    expect(told).toEqual([{ kind: 'load', module: 'file:///module.js' }]);
    await say(LOADED);
    expect(await loading).toEqual(['one']);
  });

  it('is ended, and told nothing, when it has found something open', async () => {
    const { handle, told, say, kills } = play();
    const loading = rejection(handle.load('file:///module.js'));
    await say({ kind: 'checked', open: ['net', 'TCP'] });
    expect(await loading).toMatchObject({
      code: 'EGRESS_UNENFORCED',
      message: expect.stringContaining(
        `on Node ${process.versions.node} its worker found open what must be closed (net, TCP)`,
      ),
    });
    expect(told).toEqual([]);
    expect(kills()).toBe(1);
  });

  it.each([
    { what: 'is loaded before it was checked', messages: [LOADED] },
    { what: 'is checked twice', messages: [CHECKED, CHECKED] },
    {
      what: 'fails to load before it was checked',
      messages: [{ kind: 'thrown', error: { name: 'Error', message: '' } }],
    },
    { what: 'answers before it is loaded', messages: [CHECKED, { kind: 'returned', call: 1, value: 1 }] },
    { what: 'has more names than a module', messages: [CHECKED, { kind: 'loaded', names: Array(1_001).fill('a') }] },
    { what: 'has a name that is too long', messages: [CHECKED, { kind: 'loaded', names: ['a'.repeat(257)] }] },
  ])('is ended when it $what', async ({ messages }) => {
    const { handle, say, kills } = play();
    const loading = rejection(handle.load('file:///module.js'));
    await say(...messages);
    expect(await loading).toMatchObject({ code: 'WORKER_ENDED', message: LIE });
    expect(kills()).toBe(1);
  });

  it('is over with its process', async () => {
    const { handle, exit } = play();
    const loading = rejection(handle.load('file:///module.js'));
    exit('code 9');
    expect(await loading).toMatchObject({
      code: 'WORKER_ENDED',
      message: 'the isolated worker has ended: it ended by itself (code 9)',
    });
  });

  it('is over with its leash', async () => {
    const { leash, handle, kills } = play();
    const loading = rejection(handle.load('file:///module.js'));
    await leash.close();
    expect(await loading).toMatchObject({ code: 'SESSION_CLOSED' });
    expect(kills()).toBe(1);
    expect(await rejection(handle.call('one', []))).toMatchObject({ code: 'SESSION_CLOSED' });
    expect(await rejection(handle.load('file:///module.js'))).toMatchObject({ code: 'SESSION_CLOSED' });
  });
});
