import { describe, expect, it } from 'vitest';
import { readWritten } from '../../src/audit/written-lines.ts';

const LOG = '0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11';
const line = (seq: number): string => `{"v":1,"log":"${LOG}","seq":${seq}}`;

describe('readWritten', () => {
  it('takes apart what a sink was handed', () => {
    expect(readWritten(`${line(3)}\n`, 3, 3)).toEqual({ log: LOG, lines: [line(3)] });
    expect(readWritten(`${line(3)}\n${line(4)}\n`, 3, 4)).toEqual({ log: LOG, lines: [line(3), line(4)] });
  });

  it.each([
    { name: 'another text', text: 'x' },
    { name: 'something in front', text: ` ${line(0)}` },
    { name: 'another version', text: line(0).replace('"v":1', '"v":2') },
    { name: 'an id that is too long', text: line(0).replace(LOG, `${LOG}0`) },
    { name: 'an id that is too short', text: line(0).replace(LOG, LOG.slice(1)) },
    { name: 'an id in capitals', text: line(0).replace(LOG, LOG.toUpperCase()) },
    { name: 'an id and no more', text: line(0).slice(0, -9) },
  ])('names no log for $name', ({ text }) => {
    expect(readWritten(`${text}\n`, 0, 0)).toEqual({ log: '', lines: [text] });
  });

  it.each([
    { name: 'no LF at the end', text: line(0), first: 0, last: 0 },
    { name: 'a line too few', text: `${line(0)}\n`, first: 0, last: 1 },
    { name: 'a line too many', text: `${line(0)}\n${line(1)}\n`, first: 1, last: 1 },
    { name: 'a torn line behind', text: `${line(0)}\nx`, first: 0, last: 0 },
    { name: 'nothing', text: '', first: 0, last: 0 },
  ])('refuses $name', ({ text, first, last }) => {
    expect(() => readWritten(text, first, last)).toThrow(
      new RangeError(`a sink was handed lines ${first} to ${last}, and other text than so many lines`),
    );
  });
});
