import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openNote, parseCheckpoint } from '../../src/audit/checkpoint.ts';
import { parseNoteKey } from '../../src/audit/keys.ts';
import { Bench, LOG_A, LOG_B, LogWriter } from './fixture.ts';

const bench = new Bench();
afterAll(() => bench.remove());

const first = new LogWriter().call('search').checkpoint();
const NOTE_3 = first.note;
const NOTE_6 = first.call('mail').checkpoint().note;
const second = new LogWriter({ log: LOG_B }).checkpoint();

beforeAll(() => {
  bench.write('log.jsonl', first.call('search').text);
  bench.write('both.jsonl', first.text + second.text);
  bench.write('edited.jsonl', first.text.replace('mail', 'bail'));
  bench.write('both-edited.jsonl', first.text.replace('mail', 'bail') + second.text);
});

describe('leash checkpoint', () => {
  it('prints the last one as a note that holds', async () => {
    expect(await bench.run(['checkpoint', 'log.jsonl'])).toEqual({ code: 0, out: NOTE_6, err: '' });
    expect(NOTE_6).not.toBe(NOTE_3);
  });

  it('prints it with the key that checks it', async () => {
    const { out } = await bench.run(['checkpoint', 'log.jsonl', '--json']);
    const told = JSON.parse(out) as Record<'note' | 'noteKey', string>;
    expect(told).toMatchObject({ log: LOG_A, origin: `leash.local/${LOG_A}`, size: 6, note: NOTE_6 });
    const { text } = openNote(told.note, [parseNoteKey(told.noteKey)]);
    expect(parseCheckpoint(text)).toMatchObject({ origin: `leash.local/${LOG_A}`, size: 6 });
  });

  it('asks which where there are several logs', async () => {
    expect(await bench.run(['checkpoint', 'both.jsonl'])).toEqual({
      code: 2,
      out: '',
      err: `leash checkpoint: both.jsonl holds 2 logs, say which with --log: ${LOG_A}, ${LOG_B}\n`,
    });
    expect((await bench.run(['checkpoint', 'both.jsonl', '--log', LOG_B])).out).toBe(second.note);
  });

  it('prints nothing of a log that does not verify, and what is right of another beside it', async () => {
    expect(await bench.run(['checkpoint', 'edited.jsonl'])).toEqual({
      code: 1,
      out: '',
      err: 'leash: edited.jsonl does not verify: line 6 is the first that is wrong (E_CHAIN)\n',
    });
    expect((await bench.run(['checkpoint', 'both-edited.jsonl', '--log', LOG_B])).out).toBe(second.note);
  });
});
