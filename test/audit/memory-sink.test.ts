import { describe, expect, it } from 'vitest';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { sinkContract } from '../helpers/sink-contract.ts';

sinkContract('memorySink', () => {
  // More than the default, for the contract's large writes.
  const sink = memorySink({ max: 1_000_000 });
  return { sink, bytes: () => Buffer.from(sink.lines.map((line) => `${line}\n`).join('')) };
});

describe('memorySink', () => {
  const fill = (max: number, count: number): ReturnType<typeof memorySink> => {
    const sink = memorySink({ max });
    for (let i = 0; i < count; i++) void sink.write(`${i}\n`, i, i);
    return sink;
  };

  it.each([
    { name: 'fewer than max', max: 10, count: 9, first: 0 },
    { name: 'max', max: 10, count: 10, first: 0 },
    { name: 'one more than max', max: 10, count: 11, first: 1 },
    { name: 'many more than max', max: 10, count: 1003, first: 993 },
    { name: 'a max of one', max: 1, count: 5, first: 4 },
    { name: 'nothing', max: 1, count: 0, first: 0 },
  ])('keeps the newest lines: $name', ({ max, count, first }) => {
    const sink = fill(max, count);
    expect(sink.lines).toEqual(Array.from({ length: count - first }, (_, i) => String(first + i)));
    expect(sink.dropped).toBe(first);
  });

  it('counts what it dropped whichever is asked first', () => {
    expect(fill(10, 12).dropped).toBe(2);
    const sink = fill(10, 12);
    expect(sink.lines).toHaveLength(10);
    expect(sink.dropped).toBe(2);
  });

  it('holds a quarter more lines than max at most, and drops so many at once', () => {
    const sink = memorySink({ max: 100 });
    const held = sink.lines;
    const lengths = Array.from({ length: 10_000 }, (_, i) => {
      void sink.write(`${i}\n`, i, i);
      return held.length;
    });
    expect(Math.max(...lengths)).toBe(125);
    expect(lengths.filter((length, i) => length < (lengths[i - 1] ?? 0))).toHaveLength((9_900 / 26) | 0);
  });

  it('splits a write of several lines, and drops within it', () => {
    const sink = memorySink({ max: 3 });
    void sink.write('0\n1\n', 0, 1);
    expect(sink.lines).toEqual(['0', '1']);
    void sink.write('2\n3\n4\n5\n6\n', 2, 6);
    expect(sink.lines).toEqual(['4', '5', '6']);
    expect(sink.dropped).toBe(4);
  });

  it('keeps 100 000 lines by default', () => {
    const sink = memorySink();
    for (let i = 0; i < 100_001; i++) void sink.write('line\n', i, i);
    expect(sink.lines).toHaveLength(100_000);
    expect(sink.dropped).toBe(1);
  });

  it('has lost the beginning of a log that no longer fits, and the log shows it', async () => {
    const sink = memorySink({ max: 4 });
    const leash = createLeash({ guards: [], audit: { sink, sign: 'none' } });
    for (let i = 0; i < 5; i++) await leash.run({ tool: 'tool' }, () => i);
    await leash.close();
    expect(sink.dropped).toBe(8);
    expect(readLogs(`${sink.lines.join('\n')}\n`).problem).toMatchObject({ line: 1, code: 'E_SEQ' });
  });

  it.each([
    { name: 'zero', options: { max: 0 }, error: RangeError, message: 'memorySink.max' },
    { name: 'a fraction', options: { max: 1.5 }, error: RangeError, message: 'memorySink.max' },
    { name: 'NaN', options: { max: Number.NaN }, error: RangeError, message: 'memorySink.max' },
    { name: 'infinity', options: { max: Number.POSITIVE_INFINITY }, error: RangeError, message: 'memorySink.max' },
    { name: 'a string', options: { max: '5' }, error: TypeError, message: 'memorySink.max' },
    { name: 'null', options: { max: null }, error: TypeError, message: 'memorySink.max' },
    { name: 'an unknown option', options: { size: 5 }, error: TypeError, message: 'size' },
    { name: 'a number in place of options', options: 5, error: TypeError, message: 'memorySink' },
    { name: 'null in place of options', options: null, error: TypeError, message: 'memorySink' },
  ])('refuses $name', ({ options, error, message }) => {
    const make = (): unknown => memorySink(options as never);
    expect(make).toThrow(error);
    expect(make).toThrow(message);
  });
});
