import { chmodSync, existsSync, statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileSink } from '../../src/audit/file-sink.ts';
import { createLeash } from '../../src/leash.ts';
import { Bench, LOG_A, LOG_B, LOG_KEY, LogWriter } from './fixture.ts';

const bench = new Bench();
afterAll(() => bench.remove());

const ARGS = { card: '4242', cents: 125 };
const KEY = LOG_KEY.toString('base64');
const OTHER_KEY = Buffer.alloc(32, 8).toString('base64');
const given = { env: { LEASH_AUDIT_KEY: KEY } };

beforeAll(() => {
  const s1 = new LogWriter().call('pay', { args: ARGS }).call('pay', { args: { card: '1', cents: 1 } });
  bench.write('s1.jsonl', s1.text);
  bench.write('h1.jsonl', new LogWriter({ hash: 'h1' }).call('pay', { args: ARGS }).text);
  bench.write('sha256.jsonl', new LogWriter({ hash: 'sha256' }).call('pay', { args: ARGS }).text);
  bench.write('both.jsonl', s1.text + new LogWriter({ log: LOG_B }).call('pay', { args: ARGS }).text);
  bench.write('edited.jsonl', s1.text.replace('"us":1500', '"us":1501'));
  bench.write('args.json', JSON.stringify(ARGS));
  // Another order of keys is the same arguments.
  bench.write('reordered.json', '{ "cents": 125, "card": "4242" }');
  bench.write('others.json', '{"card":"4243","cents":125}');
  bench.write('lone.json', '"\\ud800"');
  bench.write('log.key', `${KEY}\n`);
  bench.write('other.key', `${OTHER_KEY}\n`);
  bench.write('short.key', 'AAAA\n');
  bench.write('read-by-all.key', `${KEY}\n`);
  for (const file of ['log.key', 'other.key', 'short.key']) chmodSync(bench.path(file), 0o600);
  chmodSync(bench.path('read-by-all.key'), 0o644);
});

const open = (...args: readonly string[]) => bench.run(['open', ...args], given);

describe('leash open', () => {
  it('opens one event with the key of the environment, and checks it without one', async () => {
    const made = await open('s1.jsonl', '--seq', '1', '--args', 'args.json');
    expect(made).toMatchObject({ code: 0, err: '' });
    const opening = JSON.parse(made.out) as Record<string, unknown>;
    expect(opening).toEqual({ log: LOG_A, seq: 1, salt: expect.stringMatching(/^[\w+/]{22}==$/), args: ARGS });
    bench.write('opening.json', made.out);
    expect(await bench.run(['open', '--check', 'opening.json', 's1.jsonl'])).toEqual({
      code: 0,
      out: `ok: these are the arguments of event 1 of log ${LOG_A}\n`,
      err: '',
    });
    const json = await bench.run(['open', '--check', 'opening.json', 's1.jsonl', '--json']);
    expect(JSON.parse(json.out)).toEqual({ ok: true, log: LOG_A, seq: 1 });
    for (const change of [
      { args: { ...ARGS, cents: 126 } },
      { seq: 3 },
      { salt: Buffer.alloc(16).toString('base64') },
    ]) {
      bench.write('changed.json', JSON.stringify({ ...opening, ...change }));
      const checked = await bench.run(['open', '--check', 'changed.json', 's1.jsonl']);
      expect(checked.code, JSON.stringify(change)).toBe(1);
      expect(checked.out).toMatch(/^WRONG: these are not the arguments of event/);
    }
  });

  it('says of an opening for an event without arguments that it has none', async () => {
    const made = await open('s1.jsonl', '--seq', '1', '--args', 'args.json');
    bench.write('opening.json', JSON.stringify({ ...JSON.parse(made.out), seq: 2 }));
    const { code, err } = await bench.run(['open', '--check', 'opening.json', 's1.jsonl']);
    expect(code).toBe(2);
    expect(err).toContain('event 2 is a tool_ok and names no arguments');
  });

  it('takes the key of a file, which must be its own', async () => {
    const at = ['s1.jsonl', '--seq', '1', '--args', 'args.json', '--key-file'];
    expect((await bench.run(['open', ...at, 'log.key'])).code).toBe(0);
    // A file says more than the environment.
    expect((await open(...at, 'other.key')).code).toBe(1);
    expect(await open(...at, 'short.key')).toMatchObject({
      code: 2,
      err: expect.stringContaining('at least 16 bytes'),
    });
    expect(await open(...at, 'args.json')).toMatchObject({ code: 2, err: expect.not.stringContaining('4242') });
  });

  it.runIf(process.platform !== 'win32')('refuses the key of a file that others can read', async () => {
    const { code, err } = await open('s1.jsonl', '--seq', '1', '--args', 'args.json', '--key-file', 'read-by-all.key');
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('set its mode to 0600') });
  });

  it('makes no key file where the one that was named is missing', async () => {
    const { code } = await open('s1.jsonl', '--seq', '1', '--args', 'args.json', '--key-file', 'none.key');
    expect(code).toBe(2);
    expect(existsSync(bench.path('none.key'))).toBe(false);
  });

  it('writes the opening to a file for its owner alone, and overwrites none', async () => {
    const at = ['s1.jsonl', '--seq', '1', '--args', 'args.json', '--out', 'out.json'];
    expect(await open(...at)).toEqual({ code: 0, out: '', err: '' });
    expect(JSON.parse(bench.read('out.json'))).toMatchObject({ seq: 1, args: ARGS });
    if (process.platform !== 'win32') expect(statSync(bench.path('out.json')).mode & 0o777).toBe(0o600);
    expect((await open(...at)).code).toBe(2);
  });

  it.each([
    {
      name: 'the same arguments in another order',
      args: ['s1.jsonl', '--seq', '1', '--args', 'reordered.json'],
      code: 0,
    },
    { name: 'other arguments', args: ['s1.jsonl', '--seq', '1', '--args', 'others.json'], code: 1 },
    { name: 'the arguments of another event', args: ['s1.jsonl', '--seq', '3', '--args', 'args.json'], code: 1 },
    { name: 'an event without arguments', args: ['s1.jsonl', '--seq', '2', '--args', 'args.json'], code: 2 },
    { name: 'an event that is not there', args: ['s1.jsonl', '--seq', '5', '--args', 'args.json'], code: 2 },
    { name: 'arguments that no call can have', args: ['s1.jsonl', '--seq', '1', '--args', 'lone.json'], code: 2 },
    { name: 'one of two logs, unnamed', args: ['both.jsonl', '--seq', '1', '--args', 'args.json'], code: 2 },
    { name: 'one of two logs', args: ['both.jsonl', '--log', LOG_B, '--seq', '1', '--args', 'args.json'], code: 0 },
    { name: 'a log that was edited', args: ['edited.jsonl', '--seq', '1', '--args', 'args.json'], code: 1 },
    { name: 'h1 and its key', args: ['h1.jsonl', '--seq', '1', '--args', 'args.json'], code: 0 },
    { name: 'h1 and other arguments', args: ['h1.jsonl', '--seq', '1', '--args', 'others.json'], code: 1 },
    { name: 'sha256', args: ['sha256.jsonl', '--seq', '1', '--args', 'reordered.json'], code: 0 },
    { name: 'sha256 and other arguments', args: ['sha256.jsonl', '--seq', '1', '--args', 'others.json'], code: 1 },
  ])('ends with $code for $name', async ({ args, code }) => {
    const result = await open(...args);
    expect(result.code).toBe(code);
    expect(result.err).not.toContain('unexpected');
  });

  it('needs no key for sha256, and says so of the others', async () => {
    const at = ['--seq', '1', '--args', 'args.json'];
    expect((await bench.run(['open', 'sha256.jsonl', ...at])).code).toBe(0);
    for (const file of ['s1.jsonl', 'h1.jsonl']) {
      expect((await bench.run(['open', file, ...at])).err).toContain('the log key is missing');
    }
  });

  it.each([{ text: 'no base64!' }, { text: KEY.slice(0, -1) }, { text: 'AAAA' }])(
    'refuses a key in the environment that is none, and does not show it: $text',
    async ({ text }) => {
      const env = { LEASH_AUDIT_KEY: text };
      const { code, err } = await bench.run(['open', 's1.jsonl', '--seq', '1', '--args', 'args.json'], { env });
      expect(code).toBe(2);
      expect(err).not.toContain(text);
    },
  );

  it('opens what a session wrote', async () => {
    const key = Buffer.alloc(32, 3);
    const leash = createLeash({ guards: [], audit: { sink: fileSink(bench.path('session.jsonl')), key } });
    await leash.run({ tool: 'pay', args: ARGS }, () => 'paid');
    await leash.close();
    const env = { LEASH_AUDIT_KEY: key.toString('base64') };
    const made = await bench.run(['open', 'session.jsonl', '--seq', '1', '--args', 'args.json'], { env });
    expect(made.code).toBe(0);
    bench.write('session-opening.json', made.out);
    expect((await bench.run(['open', '--check', 'session-opening.json', 'session.jsonl'])).code).toBe(0);
  });
});
