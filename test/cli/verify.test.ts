import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyPair } from '../helpers/ed25519.ts';
import { Bench, LOG_A, LOG_B, LogWriter, ROOT, ROOT_KEY, richLog } from './fixture.ts';

const ORIGIN_A = `leash.local/${LOG_A}`;
const ORIGIN_B = `leash.local/${LOG_B}`;
const UNTRUSTED = 'its session key is checked against no root key (--trust): somebody else may have written all of it';

const EMPTY =
  'empty.jsonl: ok, open, 0 events, none signed\n  Not proven:\n  - the file holds no log: whether it ever held one does not show\n';

const bench = new Bench();
afterAll(() => bench.remove());

beforeAll(() => {
  const closed = richLog({ root: ROOT }).close();
  bench.write('closed.jsonl', closed.text);
  bench.write('closed.note', closed.note);
  bench.write('unsigned.jsonl', richLog({ unsigned: true }).close().text);
  const open = new LogWriter().call('search').checkpoint();
  bench.write('open.note', open.note);
  open.call('search').call('search');
  bench.write('open.jsonl', open.text);
  bench.write('torn.jsonl', `${open.text}{"v":1,"lo`);
  bench.write('cut.jsonl', new LogWriter().call('search').text);
  const edited = closed.text.replace('stripe.charge', 'stripe.refund');
  bench.write('edited.jsonl', edited);
  bench.write('empty.jsonl', '');
  const other = new LogWriter({ log: LOG_B, root: ROOT }).call('search').checkpoint();
  bench.write('other.note', other.note);
  bench.write('other.jsonl', other.close().text);
  bench.write('both.jsonl', closed.text + other.text);
  const { log, lines } = closed;
  bench.write('head.json', JSON.stringify({ log, seq: lines.length - 1, hash: closed.prev, size: undefined }));
  bench.write('wrong-head.json', JSON.stringify({ log, seq: 3, hash: 'ab'.repeat(32) }));
  bench.write('no.note', 'hello\n');
  bench.write('zero.note', `${ORIGIN_A}\n0\n${Buffer.alloc(32).toString('base64')}\n\n— x y\n`);
  const parent = `,"parent":{"log":"${LOG_B}","seq":1,"hash":"${'cd'.repeat(32)}"}`;
  bench.write('child.jsonl', new LogWriter({ root: ROOT, opening: parent }).close().text);
});

describe('leash verify', () => {
  it.each([
    {
      name: 'a closed log under a trusted key, of which nothing stays open',
      args: ['closed.jsonl', '--trust', ROOT_KEY],
      code: 0,
      out: `closed.jsonl: ok, closed, 15 events, 14 signed\n  ${ORIGIN_A}: closed, 15 lines, signed through 14\n`,
    },
    {
      name: 'a closed log without a root key: whose key it is stays open',
      args: ['closed.jsonl'],
      code: 0,
      out: `closed.jsonl: ok, closed, 15 events, 14 signed\n  ${ORIGIN_A}: closed, 15 lines, signed through 14\n  Not proven:\n  - ${UNTRUSTED}\n`,
    },
    {
      name: 'trust on first use',
      args: ['closed.jsonl', '--tofu'],
      code: 0,
      out: `closed.jsonl: ok, closed, 15 events, 14 signed\n  ${ORIGIN_A}: closed, 15 lines, signed through 14\n  Not proven:\n  - its session key is taken as it came (--tofu)\n`,
    },
    {
      name: 'a log that is not signed',
      args: ['unsigned.jsonl'],
      code: 0,
      out: `unsigned.jsonl: ok, closed, 14 events, none signed\n  ${ORIGIN_A}: closed, 14 lines, signed through 0\n  Not proven:\n  - it is not signed: whoever has the file can write all of it anew\n`,
    },
    {
      name: 'an open log with lines that nobody signed',
      args: ['open.jsonl', '--tofu'],
      code: 0,
      out:
        `open.jsonl: ok, open, 8 events, 3 signed\n  ${ORIGIN_A}: open, 8 lines, signed through 3\n  Not proven:\n` +
        '  - its session key is taken as it came (--tofu)\n' +
        '  - the last 4 lines are covered by no signature: whoever has the file can change them\n' +
        '  - it is not closed: that no line was cut off its end does not show (8 are there)\n',
    },
    {
      name: 'an open log with a head, which bounds what may be missing',
      args: ['open.jsonl', '--tofu', '--head', 'open.note'],
      code: 0,
      out:
        `open.jsonl: ok, open, 8 events, 3 signed\n  ${ORIGIN_A}: open, 8 lines, signed through 3\n  Not proven:\n` +
        '  - its session key is taken as it came (--tofu)\n' +
        '  - the last 4 lines are covered by no signature: whoever has the file can change them\n' +
        '  - it is not closed: that no line was cut off its end behind line 3 of it does not show (8 are there)\n',
    },
    {
      name: 'a torn tail',
      args: ['torn.jsonl', '--tofu'],
      code: 0,
      out:
        `torn.jsonl: ok, torn-tail, 8 events, 3 signed\n  ${ORIGIN_A}: open, 8 lines, signed through 3\n  Not proven:\n` +
        '  - its session key is taken as it came (--tofu)\n' +
        '  - the last 4 lines are covered by no signature: whoever has the file can change them\n' +
        '  - it is not closed: that no line was cut off its end does not show (8 are there)\n' +
        '  - the last line has no end: it is not checked, and nobody signed it\n',
    },
    {
      name: 'an edited line',
      args: ['edited.jsonl', '--trust', ROOT_KEY],
      code: 1,
      out:
        'edited.jsonl: WRONG at line 5 (E_CHAIN: the line does not follow from the one before), open, 4 events, none signed\n' +
        `  ${ORIGIN_A}: wrong at line 5 (E_CHAIN), 4 lines, signed through 0\n`,
    },
    {
      name: 'a root key that certified nothing here',
      args: ['closed.jsonl', '--trust', keyPair(Buffer.alloc(32, 9)).raw.toString('base64')],
      code: 1,
      out:
        'closed.jsonl: WRONG at line 1 (E_CERT: no trusted key certified the session key), open, 0 events, none signed\n' +
        `  ${ORIGIN_A}: wrong at line 1 (E_CERT), 0 lines, signed through 0\n`,
    },
    {
      name: 'an open log where it had to be closed',
      args: ['open.jsonl', '--require-closed', '--tofu'],
      code: 3,
      out:
        `open.jsonl: NOT CLOSED, open, 8 events, 3 signed\n  ${ORIGIN_A}: open, 8 lines, signed through 3\n  Not proven:\n` +
        '  - its session key is taken as it came (--tofu)\n' +
        '  - the last 4 lines are covered by no signature: whoever has the file can change them\n' +
        '  - it is not closed: that no line was cut off its end does not show (8 are there)\n',
    },
    {
      name: 'two logs in one file, each of its own',
      args: ['both.jsonl', '--trust', ROOT_KEY, '--require-closed'],
      code: 0,
      out:
        'both.jsonl: ok, closed, 21 events, 19 signed\n' +
        `  ${ORIGIN_A}: closed, 15 lines, signed through 14\n  ${ORIGIN_B}: closed, 6 lines, signed through 5\n`,
    },
    {
      name: 'a log whose parent is elsewhere',
      args: ['child.jsonl', '--trust', ROOT_KEY],
      code: 0,
      out:
        `child.jsonl: ok, closed, 3 events, 2 signed\n  ${ORIGIN_A}: closed, 3 lines, signed through 2\n  Not proven:\n` +
        `  - log ${LOG_B} is named by another, and is not in this file\n`,
    },
    {
      name: 'nothing at all',
      args: ['empty.jsonl'],
      code: 0,
      out: EMPTY,
    },
  ])('reports $name', async ({ args, code, out }) => {
    expect(await bench.run(['verify', ...args])).toEqual({ code, out, err: '' });
  });

  it.each([
    { name: 'a note of the log', args: ['closed.jsonl', '--head', 'closed.note'], code: 0 },
    { name: 'the last line by its hash', args: ['closed.jsonl', '--head', 'head.json'], code: 0 },
    { name: 'a line that is another', args: ['closed.jsonl', '--head', 'wrong-head.json'], code: 1 },
    { name: 'more lines than are left', args: ['cut.jsonl', '--head', 'closed.note'], code: 1 },
    { name: 'a log that is not in the file', args: ['closed.jsonl', '--head', 'other.note'], code: 1 },
    { name: 'logs of two files', args: ['closed.jsonl', 'other.jsonl', '--head', 'other.note'], code: 0 },
    {
      name: 'logs of two files, and one that is cut off',
      args: ['other.jsonl', 'cut.jsonl', '--head', 'other.note', '--head', 'closed.note'],
      code: 1,
    },
    { name: 'a log that is in none of two files', args: ['open.jsonl', 'cut.jsonl', '--head', 'other.note'], code: 1 },
    { name: 'a size of 0, which says nothing', args: ['closed.jsonl', '--head', 'zero.note'], code: 2 },
    { name: 'no note', args: ['closed.jsonl', '--head', 'no.note'], code: 2 },
    { name: 'a file that is not there', args: ['closed.jsonl', '--head', 'none.note'], code: 2 },
  ])('ends with $code for a head that is $name', async ({ args, code }) => {
    const result = await bench.run(['verify', ...args]);
    expect(result.code).toBe(code);
    expect(result.err).not.toContain('unexpected');
  });

  it.each([
    { name: 'a closed log', args: ['closed.jsonl', '--require-closed'], code: 0 },
    { name: 'an open log', args: ['open.jsonl', '--require-closed'], code: 3 },
    { name: 'a torn tail', args: ['torn.jsonl', '--require-closed'], code: 3 },
    { name: 'no log', args: ['empty.jsonl', '--require-closed'], code: 3 },
    { name: 'an open log beside a closed one', args: ['closed.jsonl', 'open.jsonl', '--require-closed'], code: 3 },
    { name: 'tampering beside an open log', args: ['open.jsonl', 'edited.jsonl', '--require-closed'], code: 1 },
    { name: 'tampering beside a file that is not there', args: ['none.jsonl', 'edited.jsonl'], code: 1 },
    {
      name: 'an open log beside a file that is not there',
      args: ['none.jsonl', 'open.jsonl', '--require-closed'],
      code: 2,
    },
  ])('ends with $code for $name', async ({ args, code }) => {
    expect((await bench.run(['verify', ...args])).code).toBe(code);
  });

  it('says how far a head goes that names a line by its hash', async () => {
    const seq = 3;
    const { prev } = JSON.parse(bench.read('open.jsonl').split('\n')[seq + 1] ?? '') as { prev: string };
    bench.write('line.json', JSON.stringify({ log: LOG_A, seq, hash: prev }));
    const { code, out } = await bench.run(['verify', 'open.jsonl', '--head', 'line.json', '--head', 'open.note']);
    expect(code).toBe(0);
    expect(out).toContain('no line was cut off its end behind line 4 of it');
  });

  it('takes a root key as a note key, as keygen prints it', async () => {
    const made = await bench.run(['keygen', 'root.pem', '--json']);
    const { noteKey } = JSON.parse(made.out) as { noteKey: string };
    expect((await bench.run(['verify', 'closed.jsonl', '--trust', noteKey, '--trust', ROOT_KEY])).code).toBe(0);
    expect((await bench.run(['verify', 'closed.jsonl', '--trust', noteKey])).code).toBe(1);
  });

  it('goes on with the other files where one cannot be read', async () => {
    expect(await bench.run(['verify', 'none.jsonl', '.', 'empty.jsonl'])).toEqual({
      code: 2,
      out: EMPTY,
      err: 'leash: cannot read none.jsonl: no such file\nleash: cannot read .: it is a directory\n',
    });
  });

  it('tells programs the same, as one JSON document', async () => {
    const { code, out, err } = await bench.run(['verify', 'open.jsonl', 'edited.jsonl', 'none.jsonl', '--json']);
    expect(code).toBe(1);
    expect(err).toBe('leash: cannot read none.jsonl: no such file\n');
    expect(out.split('\n')).toHaveLength(2);
    expect(JSON.parse(out)).toEqual({
      ok: false,
      files: [
        {
          file: 'open.jsonl',
          ok: true,
          state: 'open',
          events: 8,
          signedThrough: 3,
          logs: [
            expect.objectContaining({ log: LOG_A, ok: true, state: 'open', events: 8, unsigned: 4, trusted: false }),
          ],
          fragments: 0,
          absent: [],
          notProven: [
            { what: 'untrusted-key', log: LOG_A, text: UNTRUSTED },
            { what: 'unsigned-tail', log: LOG_A, text: expect.stringContaining('the last 4 lines') },
            { what: 'open-end', log: LOG_A, text: expect.stringContaining('8 are there') },
          ],
        },
        expect.objectContaining({ file: 'edited.jsonl', ok: false, firstBadLine: 5, code: 'E_CHAIN', notProven: [] }),
        { file: 'none.jsonl', error: 'cannot read none.jsonl: no such file' },
      ],
    });
  });
});
