import { serialize } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrame, FrameReader, MAX_FRAME_BYTES } from '../../src/isolated/frames.ts';
import { thrownBy } from '../helpers/refused.ts';

const message = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true }),
  fc.uint8Array({ maxLength: 5_000 }),
);

describe('frames', () => {
  it('give every message back, whatever pieces they come in', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 700 })),
        (sent, sizes) => {
          let bytes = Buffer.concat(sent.map(encodeFrame));
          const reader = new FrameReader();
          const got: unknown[] = [];
          for (const size of sizes) {
            if (bytes.length === 0) break;
            got.push(...reader.read(bytes.subarray(0, size)));
            bytes = bytes.subarray(size);
          }
          expect(got).toEqual(sent);
        },
      ),
    );
  });

  it('hold nothing of a neighbour', () => {
    const frames = Buffer.concat([encodeFrame('a secret'), encodeFrame(new Uint8Array([1])), encodeFrame('a secret')]);
    const [, bytes] = [...new FrameReader().read(frames)] as [string, Uint8Array];
    expect(Buffer.from(bytes.buffer).toString('latin1')).not.toContain('a secret');
  });

  it('are refused when they are longer than 16 MiB, before they are there', () => {
    expect(MAX_FRAME_BYTES).toBe(16_777_216);
    const error = thrownBy(() => encodeFrame(new Uint8Array(MAX_FRAME_BYTES)));
    expect(error).toBeInstanceOf(RangeError);
    const fits = encodeFrame(new Uint8Array(MAX_FRAME_BYTES - 100));
    expect([...new FrameReader().read(fits)]).toHaveLength(1);
    const head = Buffer.alloc(4);
    head.writeUInt32BE(MAX_FRAME_BYTES + 1);
    expect(thrownBy(() => [...new FrameReader().read(head)])).toBeInstanceOf(RangeError);
  });

  it('refuse what cannot be cloned, without showing it', () => {
    const error = thrownBy(() => encodeFrame({ inner: () => 'a secret' }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).not.toContain('secret');
  });

  it('never do anything but give a message or throw, whatever bytes come', () => {
    const seeds = [
      { kind: 'returned', call: 1, value: [1, 'a', new Map([[1, 2]]), new Uint8Array(9)] },
      new Array(1_000),
      10n ** 30n,
    ];
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .tuple(
          fc.constantFrom(...seeds.map((seed) => serialize(seed))),
          fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
        )
        .map(([body, changes]) => {
          const changed = Uint8Array.from(body);
          for (const [at, byte] of changes) if (at < changed.length) changed[at] = byte;
          return changed;
        }),
    );
    fc.assert(
      fc.property(bytes, (body) => {
        const head = Buffer.alloc(4);
        head.writeUInt32BE(body.length);
        try {
          expect([...new FrameReader().read(Buffer.concat([head, body]))].length).toBe(1);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
