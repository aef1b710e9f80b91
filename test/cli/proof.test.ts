import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyPair } from '../helpers/ed25519.ts';
import { Bench, LOG_A, LOG_B, LogWriter, ROOT, ROOT_KEY } from './fixture.ts';

const bench = new Bench();
afterAll(() => bench.remove());

const WRITER = new LogWriter({ root: ROOT }).call('search').call('mail').close();

beforeAll(async () => {
  bench.write('log.jsonl', WRITER.text);
  bench.write('both.jsonl', new LogWriter({ log: LOG_B }).call('search').checkpoint().text + WRITER.text);
  bench.write('edited.jsonl', WRITER.text.replace('mail', 'bail'));
  await bench.run(['proof', 'log.jsonl', '--seq', '3', '--out', 'mail.proof']);
  const proof = JSON.parse(bench.read('mail.proof')) as { line: string };
  bench.write('changed.proof', JSON.stringify({ ...proof, line: proof.line.replace('mail', 'bail') }));
  bench.write('none.proof', '{"line":1}');
});

const EVENT = '2026-11-20T12:00:03.000Z 0a0a0a0a/3     tool_start    mail';
const OK = `ok: leash.local/${LOG_A} held this event when it had 6 lines\n  ${EVENT}\n`;

describe('leash proof', () => {
  it('proves an event, on standard output or into a file that it does not overwrite', async () => {
    const { code, out, err } = await bench.run(['proof', 'log.jsonl', '--seq', '3']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(bench.read('mail.proof')).toBe(out);
    expect(JSON.parse(out)).toMatchObject({ line: WRITER.lines[3], keys: [{ key: expect.any(String) }] });
    expect((await bench.run(['proof', 'log.jsonl', '--seq', '3', '--out', 'mail.proof'])).code).toBe(2);
  });

  it.each([
    { name: 'a root key', args: ['--trust', ROOT_KEY], code: 0, out: OK },
    {
      name: 'no key',
      args: [],
      code: 0,
      out: `${OK}  Not proven:\n  - its session key is checked against no root key (--trust): somebody else may have written all of it\n`,
    },
    {
      name: 'trust on first use',
      args: ['--tofu'],
      code: 0,
      out: `${OK}  Not proven:\n  - its session key is taken as it came (--tofu)\n`,
    },
    {
      name: 'another root key',
      args: ['--trust', keyPair(Buffer.alloc(32, 9)).raw.toString('base64')],
      code: 1,
      out: 'WRONG (E_CERT: no trusted key certified the session key)\n',
    },
  ])('checks one under $name, without the log', async ({ args, code, out }) => {
    expect(await bench.run(['proof', '--check', 'mail.proof', ...args])).toEqual({ code, out, err: '' });
  });

  it.each([
    { name: 'a proof of another line', args: ['--check', 'changed.proof'], code: 1 },
    { name: 'no proof', args: ['--check', 'none.proof'], code: 1 },
    { name: 'a log that was edited', args: ['edited.jsonl', '--seq', '1'], code: 1 },
    { name: 'a line that is not there', args: ['log.jsonl', '--seq', '9'], code: 2 },
    { name: 'the last checkpoint, which none covers', args: ['log.jsonl', '--seq', '6'], code: 2 },
    { name: 'one of two logs, unnamed', args: ['both.jsonl', '--seq', '1'], code: 2 },
    { name: 'one of two logs', args: ['both.jsonl', '--seq', '1', '--log', LOG_B], code: 0 },
  ])('ends with $code for $name', async ({ args, code }) => {
    const result = await bench.run(['proof', ...args]);
    expect(result.code).toBe(code);
    expect(result.err).not.toContain('unexpected');
  });

  it('tells programs what it found', async () => {
    const right = await bench.run(['proof', '--check', 'mail.proof', '--trust', ROOT_KEY, '--json']);
    expect(JSON.parse(right.out)).toMatchObject({
      ok: true,
      trusted: true,
      size: 6,
      event: { seq: 3, kind: 'tool_start' },
    });
    const wrong = await bench.run(['proof', '--check', 'changed.proof', '--json']);
    expect(JSON.parse(wrong.out)).toEqual({ ok: false, code: 'E_ROOT', trusted: false });
  });
});
