import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatAddress,
  formatRange,
  inRange,
  isSingle,
  isWithin,
  parseAddress,
  parseRange,
} from '../../../src/egress/policy/address.ts';

describe('parseAddress', () => {
  it.each([
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['1::', '1::'],
    ['::1', '::1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['1::8', '1::8'],
    ['0001:0:0:0000::0ABC', '1::abc'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['1::1.2.3.4', '1::102:304'],
    ['::1.2.3.4', '::102:304'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::FFFF:102:304', '1.2.3.4'],
    ['::ffff:0:1.2.3.4', '::ffff:0:102:304'],
    ['::ff:1.2.3.4', '::ff:102:304'],
    ['::ff00:1.2.3.4', '::ff00:102:304'],
    ['1::ffff:1.2.3.4', '1::ffff:102:304'],
    ['::1:0:ffff:1.2.3.4', '::1:0:ffff:102:304'],
  ])('reads %s', (text, canonical) => {
    expect(formatAddress(parseAddress(text) ?? [])).toBe(canonical);
    expect(isIP(text)).not.toBe(0);
  });

  it.each([
    ...['', '.', '...', '1', '1.2.3', '1.2.3.', '.1.2.3', '1..2.3', '1.2.3.4.', '1.2.3.4.5', '1.2.3.256', '01.2.3.4'],
    ...['1.2.3.04', '1.2.3.00', '1.2.3.4a', '1.2.3.+4', '-1.2.3.4', ' 1.2.3.4', '1.2.3.4\n', '1.2.3.4/32', '0x1.2.3.4'],
    ...[':', ':1', '1:', ':::', '1:::2', '::1::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::'],
    ...[
      '::1:2:3:4:5:6:7:8',
      '1::2:3:4:5:6:7:8:9',
      '::1:2:3:4:5:6:7:1.2.3.4',
      '1:2:3:4:5:6:7:8:1.2.3.4',
      '12345::',
      'g::',
      '::1/128',
      '[::1]',
      '::1%lo',
      '::1%',
      '::1.2.3',
      '::1.2.3.4.5',
      '::1.2.3.4:5',
    ],
    ...['::01.2.3.4', '::1.2.3.400', '1:2:3:4:5:6:7:1.2.3.4', '1.2.3.4::', '::1 ', ' ::1', '::１', '１.2.3.4'],
  ])('reads no address in %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
    expect(text.includes('%') || isIP(text) === 0).toBe(true);
  });

  it('reads what net.isIP does, but no zones', () => {
    const part = fc.oneof(
      fc.constantFrom(
        ':',
        '::',
        '.',
        '0',
        '00',
        '1',
        '10',
        '255',
        '256',
        'ffff',
        'FfFf',
        'abc',
        '12345',
        '%',
        '%e0',
        ' ',
        'x',
      ),
      fc.constantFrom('1.2.3.4', ':1.2.3.4', '0:0:', 'fe80:', '::ffff:', ':0:0:0'),
    );
    let read = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV4(),
          fc.ipV6(),
          fc.array(part, { maxLength: 12 }).map((all) => all.join('')),
        ),
        (text) => {
          const address = parseAddress(text);
          if (address !== undefined) read++;
          expect(address !== undefined).toBe(isIP(text) !== 0 && !text.includes('%'));
        },
      ),
      { numRuns: 20_000 },
    );
    expect(read).toBeGreaterThan(5_000);
  });

  it('reads what it has written', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const address = parseAddress(text) ?? [];
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('ranges', () => {
  it.each([
    {
      first: '10.1.2.3',
      bits: 8,
      range: '10.0.0.0/8',
      within: ['10.0.0.0', '10.255.255.255'],
      not: ['11.0.0.0', '::a00:0'],
    },
    { first: '10.1.2.3', bits: 32, range: '10.1.2.3', within: ['10.1.2.3', '::ffff:a01:203'], not: ['10.1.2.2'] },
    {
      first: '10.1.2.3',
      bits: 31,
      range: '10.1.2.2/31',
      within: ['10.1.2.2', '10.1.2.3'],
      not: ['10.1.2.4', '10.1.2.1'],
    },
    { first: '10.1.2.3', bits: 0, range: '0.0.0.0/0', within: ['255.0.0.1'], not: ['::', '::1.2.3.4'] },
    { first: '2001:db8::1', bits: 33, range: '2001:db8::/33', within: ['2001:db8:7fff::'], not: ['2001:db8:8000::'] },
    { first: '::1', bits: 0, range: '::/0', within: ['::', 'ffff::'], not: ['1.2.3.4', '::ffff:1.2.3.4'] },
    { first: '::ffff:10.0.0.0', bits: 104, range: '10.0.0.0/8', within: ['10.1.1.1'], not: ['::10.1.1.1'] },
    { first: '::ffff:0:0', bits: 95, range: '::fffe:0:0/95', within: ['::fffe:1.2.3.4'], not: ['1.2.3.4'] },
  ])('hold $range from $first/$bits', ({ first, bits, range: text, within, not }) => {
    const range = parseRange(first, bits);
    if (range === undefined) throw new Error('no range');
    expect(formatRange(range)).toBe(text);
    for (const address of within) expect(inRange(range, parseAddress(address) ?? []), address).toBe(true);
    for (const address of not) expect(inRange(range, parseAddress(address) ?? []), address).toBe(false);
  });

  it('are none behind more bits than an address has, or without an address', () => {
    expect(parseRange('10.0.0.0', 33)).toBeUndefined();
    expect(parseRange('::', 129)).toBeUndefined();
    expect(parseRange('localhost', 8)).toBeUndefined();
  });

  it('know what is a part of them', () => {
    const part = (inner: string, innerBits: number, outer: string, outerBits: number): boolean | undefined => {
      const [a, b] = [parseRange(inner, innerBits), parseRange(outer, outerBits)];
      return a && b && isWithin(a, b);
    };
    expect(part('10.1.0.0', 16, '10.0.0.0', 8)).toBe(true);
    expect(part('10.0.0.0', 8, '10.0.0.0', 8)).toBe(true);
    expect(part('10.0.0.0', 7, '10.0.0.0', 8)).toBe(false);
    expect(part('11.0.0.0', 16, '10.0.0.0', 8)).toBe(false);
    expect(part('10.0.0.0', 8, '::', 0)).toBe(false);
    expect([parseRange('::1', undefined), parseRange('::1', 127)].map((range) => range && isSingle(range))).toEqual([
      true,
      false,
    ]);
  });
});
