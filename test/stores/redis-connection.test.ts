import { describe, expect, it, vi } from 'vitest';
import { type RedisClient, type RedisStoreOptions, redisStore } from '../../src/stores/redis.ts';
import type { Line, Reserve } from '../../src/stores/store.ts';

/** A client whose answers are given by hand. */
class ScriptedClient implements RedisClient {
  readonly sent: {
    /** What all but reservations and settlements begin with, such as `open`. */
    readonly word: string;
    readonly items: readonly number[];
    readonly answer: (value: unknown) => void;
    readonly fail: (error: Error) => void;
  }[] = [];

  evalsha(_sha1: string, _keys: string[], args: string[]): Promise<unknown> {
    return new Promise((answer, fail) => {
      const [first = ''] = args;
      this.sent.push({
        word: first,
        items: first.startsWith('[') ? (JSON.parse(first) as number[]) : [],
        answer,
        fail,
      });
    });
  }

  eval(): Promise<unknown> {
    return Promise.reject(new Error('not in this test'));
  }
}

const line: Line = {
  scope: 'a',
  generation: 'g',
  meter: 'usd',
  span: { kind: 'total' },
  cap: 100,
  amount: 5,
  book: 'settle',
};
const item = (id: string, other: Partial<Reserve> = {}): Reserve => ({ id, lines: [line], leaseMs: 1_000, ...other });
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function messageOf(promise: unknown): Promise<string> {
  return Promise.resolve(promise).then(
    () => 'no error',
    (error: Error) => error.message,
  );
}

describe('redisStore and its connection', () => {
  it('sends what is asked in one tick as one script, and has no more than two under way', async () => {
    const client = new ScriptedClient();
    const store = redisStore({ client });
    const first = Promise.all([store.reserve([item('r1')]), store.settle([{ id: 'r2', actual: [3] }])]);
    expect(client.sent).toHaveLength(0);
    await tick();
    expect(client.sent.map(({ items }) => items)).toEqual([[2, 1, 1, 5, 3, 1, 3]]);
    const second = store.reserve([item('r3')]);
    await tick();
    expect(client.sent).toHaveLength(2);
    const rest = Array.from({ length: 100 }, (_, i) => store.reserve([item(`more ${i}`)]));
    await tick();
    expect(client.sent).toHaveLength(2);
    client.sent[0]?.answer([0, 95, 1, 1, 0]);
    await tick();
    expect(await first).toEqual([
      [{ ok: true, repeat: undefined, left: [95] }],
      [{ state: 'settled', first: true, overrun: [] }],
    ]);
    expect(client.sent.map(({ items }) => items[0])).toEqual([2, 1, 64]);
    client.sent[1]?.answer([0, 1]);
    client.sent[2]?.answer(Array.from({ length: 64 }, () => [0, 1]).flat());
    await tick();
    expect(client.sent.map(({ items }) => items[0])).toEqual([2, 1, 64, 36]);
    client.sent[3]?.answer(Array.from({ length: 36 }, () => [0, 1]).flat());
    await Promise.all([second, ...rest]);
  });

  it('gives each caller an own end of time, and the way to those that come later', async () => {
    const client = new ScriptedClient();
    const store = redisStore({ client, timeoutMs: 30 });
    const stuck = [messageOf(store.reserve([item('r1')]))];
    await tick();
    stuck.push(messageOf(store.reserve([item('r2')])));
    await tick();
    stuck.push(messageOf(store.reserve([item('r3')])));
    expect(await Promise.all(stuck)).toEqual(stuck.map(() => 'Redis did not answer within 30 ms'));
    const { length } = client.sent;
    const next = store.reserve([item('r4')]);
    await tick();
    client.sent[length]?.answer([0, 95]);
    expect(await next).toMatchObject([{ ok: true }]);
  });

  it('does not send what was over before its turn came', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const client = new ScriptedClient();
      const store = redisStore({ client, timeoutMs: 30 });
      const asked: Promise<string>[] = [];
      for (const id of ['r1', 'r2', 'r3', 'r4']) {
        asked.push(messageOf(store.reserve([item(id)])));
        await tick();
      }
      vi.advanceTimersByTime(100);
      expect(await Promise.all(asked)).toEqual(asked.map(() => 'Redis did not answer within 30 ms'));
      await tick();
      expect(client.sent).toHaveLength(2);
    } finally {
      vi.useRealTimers();
    }
  });

  it('sends no more than 18 scripts that nobody answers, and goes on when one is answered', async () => {
    const client = new ScriptedClient();
    const store = redisStore({ client, timeoutMs: 5 });
    for (let i = 0; i < 40; i++) {
      expect(await messageOf(store.reserve([item(`r${i}`)]))).toBe('Redis did not answer within 5 ms');
      expect(await messageOf(store.read(['a']))).toBe('Redis did not answer within 5 ms');
    }
    expect(client.sent.length).toBeGreaterThanOrEqual(16);
    expect(client.sent.length).toBeLessThanOrEqual(18);
    for (const { fail } of client.sent) fail(new Error('ECONNRESET'));
    await tick();
    const sent = client.sent.length;
    const next = store.settle([{ id: 'r', actual: 'void' }]);
    await tick();
    client.sent[sent]?.answer([4, 1, 0]);
    expect(await next).toMatchObject([{ state: 'unknown' }]);
  });

  it('tries again after half a minute where a client has lost its answers', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const client = new ScriptedClient();
      const store = redisStore({ client, timeoutMs: 5 });
      const ask = async (): Promise<string> => {
        const message = messageOf(store.reserve([item('r')]));
        await tick();
        vi.advanceTimersByTime(10);
        return message;
      };
      for (let i = 0; i < 30; i++) expect(await ask()).toMatch(/did not answer/);
      const before = client.sent.length;
      vi.advanceTimersByTime(31_000);
      expect(await ask()).toMatch(/did not answer/);
      expect(client.sent.length).toBe(before + 1);
    } finally {
      vi.useRealTimers();
    }
  });

  it('gives back what was held after its caller had been told that it was not, and only that', async () => {
    const client = new ScriptedClient();
    const store = redisStore({ client, timeoutMs: 20 });
    const asked = [
      item('held'),
      item('denied'),
      item('repeat'),
      item('forced', { force: true }),
      item('kept', { keepMs: 1 }),
      item('more', { onto: 'other' }),
    ];
    expect(await messageOf(store.reserve(asked))).toMatch(/did not answer/);
    client.sent[0]?.answer([0, 95, 10, 0, 95, -1, 1, 95, 0, 95, 0, 95, 0, 95]);
    await tick();
    await tick();
    expect(client.sent).toHaveLength(2);
    expect(client.sent[1]?.items).toEqual([1, 4]);
  });

  it('leaves what was asked for again meanwhile: its caller has been told that it is held', async () => {
    const client = new ScriptedClient();
    const store = redisStore({ client, timeoutMs: 40 });
    expect(await messageOf(store.reserve([item('r')]))).toMatch(/did not answer/);
    const again = store.reserve([item('r')]);
    await tick();
    client.sent[0]?.answer([0, 95]);
    client.sent[1]?.answer([1, 95]);
    expect(await again).toEqual([{ ok: true, repeat: 'held', left: [95] }]);
    await tick();
    expect(client.sent).toHaveLength(2);
  });

  it('knows what it asked for, whatever its caller does with it meanwhile', async () => {
    const client = new ScriptedClient();
    const store = redisStore({ client });
    const lines = [line];
    const batch = [{ ...item('r'), lines }];
    const answer = store.reserve(batch);
    await tick();
    lines.push(line);
    batch.length = 0;
    client.sent[0]?.answer([0, 95]);
    expect(await answer).toEqual([{ ok: true, repeat: undefined, left: [95] }]);
  });

  it.each([
    { name: 'nothing', answer: null },
    { name: 'another type', answer: 'OK' },
    { name: 'too little', answer: [0] },
    { name: 'too much', answer: [0, 95, 2, 1, 0, 7] },
    { name: 'no such code', answer: [99, 0, 0] },
    { name: 'no integers', answer: [0, true] },
    { name: 'text that is no integer', answer: [0, '9.5'] },
    { name: 'a negative code', answer: [-1, 95, 4, 1, 0] },
    { name: 'half a code', answer: [0.5, 95, 4, 1, 0] },
    { name: 'no number', answer: [0, Number.NaN, 4, 1, 0] },
  ])('rejects an answer that is none: $name', async ({ answer }) => {
    const client = new ScriptedClient();
    const store = redisStore({ client });
    const both = [messageOf(store.reserve([item('r1')])), messageOf(store.settle([{ id: 'r2', actual: 'void' }]))];
    await tick();
    client.sent[0]?.answer(Array.isArray(answer) ? [...answer] : answer);
    expect(await Promise.all(both)).toEqual(both.map(() => 'Redis answered something else than the script'));
    const read = messageOf(store.read(['a']));
    await tick();
    client.sent[1]?.answer(answer);
    expect(await read).not.toBe('no error');
  });

  it.each([
    { error: new Error('connect ECONNREFUSED 10.0.0.1:6379'), told: 'Redis could not be asked' },
    {
      error: Object.assign(new Error('connect 10.0.0.1'), { code: 'ECONNREFUSED' }),
      told: 'Redis could not be asked: ECONNREFUSED',
    },
    {
      error: Object.assign(new Error('WRONGPASS secret'), { command: { args: ['secret'] } }),
      told: 'Redis could not be asked: WRONGPASS',
    },
    { error: new Error('ERR user_script: secret'), told: 'Redis could not be asked: ERR' },
    { error: 'secret', told: 'Redis could not be asked' },
    { error: undefined, told: 'Redis could not be asked' },
  ])('tells of an error nothing but its code: $told', async ({ error, told }) => {
    const client: RedisClient = { evalsha: () => Promise.reject(error), eval: () => Promise.reject(error) };
    const store = redisStore({ client });
    const thrown = await Promise.resolve(store.reserve([item('r')])).catch((reason: unknown) => reason);
    expect(thrown).toBeInstanceOf(Error);
    expect((thrown as Error).message).toBe(told);
    expect((thrown as Error).cause).toBeUndefined();
    expect(JSON.stringify(thrown, Object.getOwnPropertyNames(thrown))).not.toMatch(/secret|10\.0\.0\.1/);
  });

  it('rejects where a client throws at once', async () => {
    const client: RedisClient = {
      evalsha: () => {
        throw new Error('The client is closed');
      },
      eval: () => Promise.resolve(),
    };
    expect(await messageOf(redisStore({ client }).reserve([item('r')]))).toBe('Redis could not be asked');
  });

  it.each(['id', 'onto', 'scope', 'meter', 'generation'])(
    'refuses text as `%s` that the server could not tell apart',
    (field) => {
      const client = new ScriptedClient();
      const bad = '\ud800';
      const wrong =
        field === 'id' || field === 'onto'
          ? item('r', { [field]: bad })
          : item('r', { lines: [{ ...line, [field]: bad }] });
      expect(() => redisStore({ client }).reserve([wrong])).toThrow(RangeError);
      expect(client.sent).toHaveLength(0);
    },
  );

  it('sweeps now and then while it is used: on temporary scopes time takes holds away, which then are held for ever', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const client = new ScriptedClient();
      const store = redisStore({ client, forgetAfter: 8_000 });
      const wordsAfter = async (ms: number): Promise<string[]> => {
        vi.advanceTimersByTime(ms);
        const before = client.sent.length;
        const [asked, again] = [store.reserve([item('r')]), store.reserve([item('r')])];
        await tick();
        const sent = client.sent.slice(before);
        for (const { word, answer, fail } of sent) {
          // Nobody waits for what comes of it.
          if (word === 'sweep') fail(new Error('LOADING'));
          else answer([0, 95, 1, 95]);
        }
        await Promise.all([asked, again]);
        return sent.map(({ word }) => (word === 'sweep' ? word : 'decide'));
      };
      expect(await wordsAfter(999)).toEqual(['decide']);
      expect(await wordsAfter(1)).toEqual(['sweep', 'decide']);
      expect(await wordsAfter(999)).toEqual(['decide']);
      expect(await wordsAfter(1)).toEqual(['sweep', 'decide']);
      expect(await wordsAfter(9_000)).toEqual(['sweep', 'decide']);
    } finally {
      vi.useRealTimers();
    }
  });

  it('keeps no process alive when nothing is asked any more', async () => {
    const client = new ScriptedClient();
    const store = redisStore({ client, timeoutMs: 60_000 });
    const started = vi.spyOn(globalThis, 'setTimeout');
    try {
      const asked = store.reserve([item('r')]);
      await tick();
      const timer = started.mock.results[0]?.value as NodeJS.Timeout;
      expect(timer.hasRef()).toBe(true);
      client.sent[0]?.answer([0, 95]);
      await asked;
      expect(timer.hasRef()).toBe(false);
      const again = store.reserve([item('r2')]);
      await tick();
      expect(timer.hasRef()).toBe(true);
      expect(started).toHaveBeenCalledTimes(1);
      client.sent[1]?.answer([0, 95]);
      await again;
    } finally {
      started.mockRestore();
    }
  });
});

describe('options of redisStore', () => {
  const client: RedisClient = new ScriptedClient();
  const wrong: readonly { readonly options: unknown; readonly error: ErrorConstructor; readonly names: string }[] = [
    { options: undefined, error: TypeError, names: 'redisStore' },
    { options: {}, error: TypeError, names: 'redisStore.client' },
    { options: { client: 'redis://localhost' }, error: TypeError, names: 'redisStore.client' },
    { options: { client, url: 'x' }, error: TypeError, names: 'url' },
    { options: { client, prefix: 5 }, error: TypeError, names: 'redisStore.prefix' },
    { options: { client, prefix: '' }, error: RangeError, names: 'redisStore.prefix' },
    { options: { client, prefix: 'a{b' }, error: RangeError, names: 'redisStore.prefix' },
    { options: { client, prefix: 'a}b' }, error: RangeError, names: 'redisStore.prefix' },
    { options: { client, prefix: 'x'.repeat(129) }, error: RangeError, names: 'redisStore.prefix' },
    { options: { client, prefix: '\ud800' }, error: RangeError, names: 'redisStore.prefix' },
    { options: { client, timeoutMs: 0 }, error: RangeError, names: 'redisStore.timeoutMs' },
    { options: { client, timeoutMs: 2 ** 31 }, error: RangeError, names: 'redisStore.timeoutMs' },
    { options: { client, timeoutMs: '2s' }, error: TypeError, names: 'redisStore.timeoutMs' },
    { options: { client, forgetAfter: 'soon' }, error: TypeError, names: 'redisStore.forgetAfter' },
    { options: { client, forgetAfter: 0 }, error: RangeError, names: 'redisStore.forgetAfter' },
    { options: { client, eviction: false }, error: TypeError, names: 'redisStore.eviction' },
    { options: { client, ifEmpty: 'deny' }, error: TypeError, names: 'redisStore.ifEmpty' },
  ];
  it.each(wrong)('are checked: $options', ({ options, error, names }) => {
    const make = (): unknown => redisStore(options as RedisStoreOptions);
    expect(make).toThrow(error);
    expect(make).toThrow(names);
  });
});
