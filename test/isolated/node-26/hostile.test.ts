import { describe, expect, it } from 'vitest';
import { type Isolated, isolated } from '../../../src/isolated/index.ts';
import { type HeldLeash, holdWith } from '../../helpers/held-leash.ts';
import { rejection } from '../../helpers/refused.ts';
import { startServer } from '../../helpers/server.ts';
import type * as Hostile from './modules/hostile.ts';

/** What comes for sure, however slow the machine. */
const EVENTUALLY = { timeout: 15_000 };
const MODULE = new URL('./modules/hostile.ts', import.meta.url);

interface Lair extends AsyncDisposable {
  readonly held: HeldLeash;
  readonly worker: Isolated<typeof Hostile>;
}

async function open(allow: readonly string[] = []): Promise<Lair> {
  const held = holdWith({ allow }, { stopOn: 'none' });
  const worker = await isolated<typeof Hostile>(MODULE, { leash: held.leash, timeoutMs: 10_000 });
  return {
    held,
    worker,
    async [Symbol.asyncDispose]() {
      await held.leash.close();
    },
  };
}

const REQUEST = {
  kind: 'request',
  request: 1,
  call: 1,
  url: 'http://127.0.0.1:9/',
  method: 'GET',
  headers: [],
  options: {
    redirect: 'follow',
    mode: 'cors',
    credentials: 'same-origin',
    cache: 'default',
    referrer: 'about:client',
    referrerPolicy: '',
  },
  body: undefined,
};
const ERROR = { name: 'Error', message: 'forged' };

/** When they are sent, the calls 1 and 2 run. */
const forged: readonly { readonly what: string; readonly messages: readonly unknown[] }[] = [
  { what: 'no message at all', messages: ['\0\0\0\u0005hello'] },
  { what: 'an empty message', messages: ['\0\0\0\0'] },
  { what: 'the longest message there is', messages: ['\u00ff\u00ff\u00ff\u00ff'] },
  { what: 'null', messages: [null] },
  { what: 'a number', messages: [7] },
  { what: 'a list', messages: [['returned', 1]] },
  { what: 'a map', messages: [new Map(Object.entries({ kind: 'returned', call: 1 }))] },
  { what: 'no kind', messages: [{}] },
  { what: 'a kind that every object has', messages: [{ kind: 'constructor', call: 1 }] },
  { what: 'a kind of the other side', messages: [{ kind: 'call', call: 1, name: 'forge', args: [], signals: [] }] },
  { what: 'a kind by way of a prototype', messages: [JSON.parse('{"__proto__":{"kind":"returned","call":1}}')] },
  { what: 'the answer of a call that does not run', messages: [{ kind: 'returned', call: 9, value: 1 }] },
  { what: 'the answer of no call', messages: [{ kind: 'returned', call: -1, value: 1 }] },
  { what: 'the answer of a call by name', messages: [{ kind: 'returned', call: '1', value: 1 }] },
  { what: 'the error of a call that does not run', messages: [{ kind: 'thrown', call: 9, error: ERROR }] },
  { what: 'an error that is none', messages: [{ kind: 'thrown', call: 1, error: 'forged' }] },
  { what: 'an error without a message', messages: [{ kind: 'thrown', call: 1, error: { name: 'Error' } }] },
  { what: 'that the module could not be loaded', messages: [{ kind: 'thrown', call: undefined, error: ERROR }] },
  { what: 'that the module is loaded', messages: [{ kind: 'loaded', names: ['more'] }] },
  { what: 'a check', messages: [{ kind: 'checked', open: [] }] },
  { what: 'a request without options', messages: [{ ...REQUEST, options: undefined }] },
  { what: 'a request without an option', messages: [{ ...REQUEST, options: { ...REQUEST.options, mode: undefined } }] },
  { what: 'a request of no call', messages: [{ ...REQUEST, call: undefined }] },
  { what: 'a request without a number', messages: [{ ...REQUEST, request: Number.NaN }] },
  { what: 'a request whose number is too large', messages: [{ ...REQUEST, request: 2 ** 53 }] },
  { what: 'the number of a request twice', messages: [REQUEST, REQUEST] },
  { what: 'a request whose URL is an object', messages: [{ ...REQUEST, url: new Date() }] },
  { what: 'headers that are no list', messages: [{ ...REQUEST, headers: { host: 'evil.test' } }] },
  { what: 'a header without a value', messages: [{ ...REQUEST, headers: [['host']] }] },
  { what: 'four billion headers', messages: [{ ...REQUEST, headers: new Array(2 ** 32 - 1) }] },
  { what: 'a URL of some length', messages: [{ ...REQUEST, url: `http://127.0.0.1/${'a'.repeat(300_000)}` }] },
  {
    what: 'an option of some length',
    messages: [{ ...REQUEST, options: { ...REQUEST.options, referrer: 'a'.repeat(300_000) } }],
  },
  { what: 'headers of some length', messages: [{ ...REQUEST, headers: Array(300).fill(['a', 'b'.repeat(1_000)]) }] },
  { what: 'a body of some length', messages: [{ ...REQUEST, method: 'POST', body: new Uint8Array(4_194_305) }] },
  { what: 'a body that is none', messages: [{ ...REQUEST, body: 'text' }] },
  { what: 'a piece that is no bytes', messages: [{ kind: 'piece', request: 1, bytes: 'text' }] },
  { what: 'the end of no body', messages: [{ kind: 'end' }] },
];

describe('a worker that lies', () => {
  it.each(forged)('is ended when it sends $what', async ({ messages }) => {
    await using lair = await open();
    const waiting = rejection(lair.worker.exports.wait());
    const forging = rejection(lair.worker.exports.forge(...messages));
    for (const error of await Promise.all([waiting, forging])) {
      expect(error).toMatchObject({
        code: 'WORKER_ENDED',
        message: 'the isolated worker has ended: it sent what its own part never sends',
      });
    }
    expect(await rejection(lair.worker.exports.polluted())).toMatchObject({ code: 'WORKER_ENDED' });
    expect(lair.held.leash.breach).toBe(undefined);
  });

  it('is ended when it answers a call twice; the first answer is the answer', async () => {
    await using lair = await open();
    const answers = [1, 2].map((value) => ({ kind: 'returned', call: 1, value }));
    expect(await lair.worker.exports.forge(...answers)).toBe(1);
    expect(await rejection(lair.worker.exports.polluted())).toMatchObject({ code: 'WORKER_ENDED' });
  });

  it('is ended when it closes its link', async () => {
    await using lair = await open();
    expect(await rejection(lair.worker.exports.stealLink())).toMatchObject({
      code: 'WORKER_ENDED',
      message: expect.stringMatching(/^the isolated worker has ended: it ended by itself/),
    });
  });

  it('reaches nothing by a request that it forges', async () => {
    await using evil = await startServer();
    await using good = await startServer();
    await using lair = await open([good.origin]);
    const { exports } = lair.worker;
    const ended = exports.forge({ kind: 'returned', call: 1, value: 'answered' });
    expect(await ended).toBe('answered');
    const forging = lair.held.call(() =>
      exports.forge(
        { ...REQUEST, url: `${good.origin}/late` },
        { ...REQUEST, request: 2, call: 2, url: `${evil.origin}/` },
        { ...REQUEST, request: 3, call: 2, url: `${good.origin}/` },
      ),
    );
    forging.catch(() => {});
    await expect.poll(() => good.hits, EVENTUALLY).toHaveLength(1);
    // Call 1 had ended when it was named.
    expect(good.hits[0]?.target).toBe('/');
    expect(evil.connections()).toBe(0);
    expect(lair.held.said().filter((line) => line.startsWith('denied'))).toEqual([
      `denied http 127.0.0.1:${evil.port} port`,
    ]);
  });

  it('gets no more by the options of a request than its own part would', async () => {
    await using evil = await startServer();
    await using good = await startServer();
    await using lair = await open([good.origin]);
    const forged = {
      ...REQUEST,
      url: `${good.origin}/`,
      headers: [['Host', `127.0.0.1:${evil.port}`]],
      options: { ...REQUEST.options, dispatcher: {}, signal: 'text' },
      dispatcher: {},
    };
    const forging = lair.worker.exports.forge(forged);
    forging.catch(() => {});
    await expect.poll(() => good.hits, EVENTUALLY).toHaveLength(1);
    expect(good.hits[0]?.headers.host).toBe(`127.0.0.1:${good.port}`);
    expect(evil.connections()).toBe(0);
  });

  it('may speak for another call that runs in it, whose rules are no wider', async () => {
    await using evil = await startServer();
    await using lair = await open();
    const { leash } = lair.held;
    const waiting = leash.run({ tool: 'honest', args: {} }, () => lair.worker.exports.wait());
    const lie = (message: object): Promise<string> =>
      leash.run({ tool: 'liar', args: {} }, () => lair.worker.exports.forgeAndAnswer(message));
    await lie({ ...REQUEST, url: `${evil.origin}/` });
    await expect.poll(() => lair.held.lines(), EVENTUALLY).toHaveLength(1);
    await lie({ kind: 'returned', call: 1, value: 'forged' });
    expect(await waiting).toBe('forged');
    expect(lair.held.lines()).toMatchObject([{ kind: 'egress_denied', tool: 'honest', reason: 'host-not-allowed' }]);
    expect(evil.connections()).toBe(0);
  });

  it('changes nothing of the program by changing what its own objects are made of', async () => {
    await using lair = await open();
    await Promise.race([lair.worker.exports.pollute(), new Promise(setImmediate)]);
    await using other = await open();
    expect(await other.worker.exports.polluted()).toBe('answers');
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect([1].at(0)).toBe(1);
  });
});
