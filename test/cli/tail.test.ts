import { appendFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Context } from '../../src/cli/terminal.ts';
import { Bench, LOG_B, LogWriter, richLog } from './fixture.ts';

const bench = new Bench();
afterAll(() => bench.remove());

const rich = richLog().close();
beforeAll(() => {
  bench.write('rich.jsonl', rich.text);
  bench.write('torn.jsonl', `${new LogWriter().text}{"v":1,`);
  bench.write('empty.jsonl', '');
  const latin1 = Buffer.from(new LogWriter({ agent: 'caf\u00e9' }).text, 'latin1');
  bench.write('wrong.jsonl', Buffer.concat([latin1, Buffer.from('{"v":1}\n\n')]));
});

const ALL = `\
2026-11-20T12:00:00.000Z 0a0a0a0a/0     session_open  agent shopper  enforce  signed
2026-11-20T12:00:01.000Z 0a0a0a0a/1     tool_start    search
2026-11-20T12:00:02.000Z 0a0a0a0a/2     tool_ok       search  1.5 ms
2026-11-20T12:00:03.000Z 0a0a0a0a/3     tool_start    stripe.charge  holds $1.25
2026-11-20T12:00:04.000Z 0a0a0a0a/4     tool_ok       stripe.charge  $1.25  1.5 ms
2026-11-20T12:00:05.000Z 0a0a0a0a/5     tool_denied   mail  CALL_CAP_REACHED  by callCap
2026-11-20T12:00:06.000Z 0a0a0a0a/6     budget_denied stripe.charge  BUDGET_EXCEEDED  exhausted  by budget  asked $4, left -$0.5 of $5
2026-11-20T12:01:07.000Z 0a0a0a0a/7     egress_denied https://evil.example:443  search  EGRESS_DENIED  host-not-allowed
2026-11-20T12:01:08.000Z 0a0a0a0a/8     egress_ok     https://shop.example:443  203.0.113.7
2026-11-20T12:01:09.000Z 0a0a0a0a/9     tool_start    search
2026-11-20T12:01:10.000Z 0a0a0a0a/10    tool_error    search  TimeoutError  $0.5  2.50 s  more than was held
2026-11-20T12:01:11.000Z 0a0a0a0a/11    charge        model  $0.0042 + 12 sat
2026-11-20T12:01:12.000Z 0a0a0a0a/12    kill_switch   operator
2026-11-20T12:01:13.000Z 0a0a0a0a/13    session_close closed  1 calls  0 denied
                         0a0a0a0a/14    checkpoint    signs 14 lines
`;

const last = (lines: number): string =>
  ALL.split('\n')
    .slice(0, -1)
    .slice(-lines)
    .map((line) => `${line}\n`)
    .join('');

describe('leash tail', () => {
  it.each([
    { name: 'the last ten by default', args: [], out: last(10) },
    { name: 'as many as there are', args: ['-n', '99'], out: ALL },
    { name: 'exactly all', args: ['--lines', '15'], out: ALL },
    { name: 'all but the first', args: ['-n', '14'], out: last(14) },
    { name: 'the last one', args: ['-n', '1'], out: last(1) },
    { name: 'none', args: ['-n', '0'], out: '' },
  ])('shows $name', async ({ args, out }) => {
    expect(await bench.run(['tail', 'rich.jsonl', ...args])).toEqual({ code: 0, out, err: '' });
  });

  it('shows nothing of an empty file', async () => {
    expect(await bench.run(['tail', 'empty.jsonl'])).toEqual({ code: 0, out: '', err: '' });
  });

  it.each([
    {
      kind: 'tool_denied',
      fields: ',"call":"c","tool":"t","guard":"g","code":"C","observed":1',
      out: 't  C  by g  (observed only)',
    },
    {
      kind: 'events_dropped',
      fields: ',"count":3,"from":1795147200000000,"to":1795147201500000',
      out: '3 events lost  2026-11-20T04:00:00.000Z to 2026-11-20T04:00:01.500Z',
    },
    {
      kind: 'log_recovered',
      fields: `,"bytes":12,"sha256":"${'0'.repeat(64)}"`,
      out: 'behind a torn line of 12 bytes',
    },
    { kind: 'tool_ok', fields: ',"call":"c","tool":"t","us":999', out: 't  999 us' },
    {
      kind: 'session_close',
      fields: ',"reason":"closed","calls":2,"denied":1,"sat":"5"',
      out: 'closed  2 calls  1 denied  5 sat',
    },
  ])('shows what matters of $kind', async ({ kind, fields, out }) => {
    bench.write('one.jsonl', new LogWriter({ unsigned: true }).add(kind, fields).text);
    const line = (await bench.run(['tail', 'one.jsonl', '-n', '1'])).out;
    expect(line).toBe(`2026-11-20T12:00:01.000Z 0a0a0a0a/1     ${kind.padEnd(13)} ${out}\n`);
  });

  it('finds the last lines of a file that is longer than what it reads at once', async () => {
    const writer = new LogWriter({ log: LOG_B });
    // Of very different lengths, so that line ends fall everywhere.
    for (let i = 0; i < 700; i++) writer.add('charge', `,"note":"${'n'.repeat((i * 37) % 257)}","usd":"${i}"`);
    bench.write('long.jsonl', writer.text);
    for (const lines of [1, 2, 100, 333, 700]) {
      const { out } = await bench.run(['tail', 'long.jsonl', '-n', `${lines}`, '--json']);
      expect(out, `${lines}`).toBe(
        writer.lines
          .slice(-lines)
          .map((line) => `${line}\n`)
          .join(''),
      );
    }
  });

  it('finds a line end that stands where a part of the file begins', async () => {
    bench.write('edge.jsonl', `aa\nb\n${'c'.repeat(65_534)}\n`);
    const { out } = await bench.run(['tail', 'edge.jsonl', '-n', '2', '--json']);
    expect(out).toBe('{"wrong":"E_FORMAT","bytes":1}\n{"wrong":"E_FORMAT","bytes":65534}\n');
  });

  it('says where a line is none of the format, and ends with 1', async () => {
    const { code, out } = await bench.run(['tail', 'wrong.jsonl']);
    expect(code).toBe(1);
    expect(out).toMatch(/^no line of leash-log\/1 \(E_FORMAT\), \d+ bytes\n/);
    expect(out.split('\n').slice(1)).toEqual([
      'no line of leash-log/1 (E_FORMAT), 7 bytes',
      'no line of leash-log/1 (E_FORMAT), 0 bytes',
      '',
    ]);
    const json = await bench.run(['tail', 'wrong.jsonl', '-n', '2', '--json']);
    expect(json).toEqual({ code: 1, out: '{"wrong":"E_FORMAT","bytes":7}\n{"wrong":"E_FORMAT","bytes":0}\n', err: '' });
  });

  it('says that the last line has no end', async () => {
    const { code, out } = await bench.run(['tail', 'torn.jsonl', '-n', '1']);
    expect(code).toBe(0);
    expect(out.split('\n').slice(1)).toEqual(['the last line has no end, 7 bytes', '']);
    const json = await bench.run(['tail', 'torn.jsonl', '-n', '0', '--json']);
    expect(json.out).toBe('{"wrong":"torn","bytes":7}\n');
  });
});

describe('leash tail --follow', () => {
  const writer = new LogWriter();
  for (let i = 0; i < 6; i++) writer.add('charge', `,"note":"n${i}","usd":"1"`);
  const lines = writer.lines.map((line) => `${line}\n`);
  const [open = '', one = '', two = '', three = '', four = ''] = lines;
  let path: string;
  beforeEach(() => {
    path = bench.path(bench.write('followed.jsonl', open));
  });

  /** Each step is done while the command waits; behind the last one the user interrupts. */
  function given(steps: readonly (() => void)[]): Partial<Context> & { waits: number } {
    const controller = new AbortController();
    const context = {
      waits: 0,
      interruption: () => controller.signal,
      wait: () => {
        const step = steps[context.waits];
        context.waits++;
        if (step === undefined) controller.abort();
        else step();
        return Promise.resolve();
      },
    };
    return context;
  }

  const follow = async (...steps: readonly (() => void)[]) => {
    const { code, out, err } = await bench.run(['tail', 'followed.jsonl', '-f', '-n', '1', '--json'], given(steps));
    return { code, lines: out, err };
  };

  it('shows what is written, when it is written', async () => {
    const steps = [() => appendFileSync(path, one), () => {}, () => appendFileSync(path, two + three)];
    expect(await follow(...steps)).toEqual({ code: 0, lines: open + one + two + three, err: '' });
  });

  it('waits for the rest of a line', async () => {
    const steps = [() => appendFileSync(path, one.slice(0, 50)), () => {}, () => appendFileSync(path, one.slice(50))];
    expect(await follow(...steps)).toEqual({ code: 0, lines: open + one, err: '' });
  });

  it('goes on with a new file in the place of the old one, and leaves out nothing of it', async () => {
    const steps = [
      () => renameSync(path, `${path}.1`),
      () => appendFileSync(`${path}.1`, one),
      () => {
        appendFileSync(`${path}.1`, two);
        // Longer than what was read of the old one.
        writeFileSync(path, three.repeat(4));
      },
      () => appendFileSync(path, four),
    ];
    expect(await follow(...steps)).toEqual({
      code: 0,
      lines: open + one + two + three.repeat(4) + four,
      err: 'leash: followed.jsonl is another file now: reading it from its beginning\n',
    });
  });

  it('begins anew where the file was cut off', async () => {
    const steps = [
      () => appendFileSync(path, one + two.slice(0, 9)),
      () => {
        truncateSync(path);
        appendFileSync(path, three);
      },
    ];
    expect(await follow(...steps)).toEqual({
      code: 0,
      lines: open + one + three,
      err: 'leash: followed.jsonl was cut off: reading it from its beginning\n',
    });
  });

  it('waits for a file that was removed', async () => {
    const steps = [() => rmSync(path), () => {}, () => writeFileSync(path, one)];
    expect((await follow(...steps)).lines).toBe(open + one);
  });

  it('ends where nobody reads any more', async () => {
    const stdout = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('gone'), { code: 'EPIPE' })),
    });
    const context = given(Array(9).fill(() => appendFileSync(path, one)));
    expect((await bench.run(['tail', 'followed.jsonl', '--follow'], { ...context, stdout })).code).toBe(0);
    expect(context.waits).toBe(0);
  });
});
