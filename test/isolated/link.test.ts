import { Duplex, duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { encodeFrame } from '../../src/isolated/frames.ts';
import { Link } from '../../src/isolated/link.ts';

interface Side {
  readonly link: Link<unknown, unknown>;
  readonly got: unknown[];
  /** How often it was over, and with what. */
  readonly over: (Error | undefined)[];
}

function sideOf(stream: Duplex, waits = false, take: (message: unknown) => void = () => {}): Side {
  const got: unknown[] = [];
  const over: (Error | undefined)[] = [];
  const message = (one: unknown): void => {
    got.push(one);
    take(one);
  };
  return { link: new Link(stream, { message, over: (error) => over.push(error) }, waits), got, over };
}

describe('a link', () => {
  it('carries messages both ways, in order', async () => {
    const [a, b] = duplexPair();
    const [one, other] = [sideOf(a), sideOf(b)];
    for (let i = 0; i < 50; i++) {
      one.link.post(i);
      other.link.post({ i });
    }
    await turn();
    expect(other.got).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(one.got).toEqual(Array.from({ length: 50 }, (_, i) => ({ i })));
  });

  it('is over once, when the other side is gone', async () => {
    const [a, b] = duplexPair();
    const { link, over } = sideOf(a);
    b.destroy();
    a.destroy();
    await turn();
    await turn();
    expect(over).toEqual([undefined]);
    expect(() => link.post('nobody is there')).not.toThrow();
  });

  it.each([
    { what: 'it cannot be read', send: Buffer.from('\0\0\0\u0002no'), fails: false },
    { what: 'whoever takes it throws', send: encodeFrame('message'), fails: true },
  ])('is over with a message when $what, and takes none after it', async ({ send, fails }) => {
    const [a, b] = duplexPair();
    const side = sideOf(a, false, () => {
      if (fails) throw new TypeError('not this one');
    });
    b.write(Buffer.concat([send, encodeFrame('next')]));
    await turn();
    await turn();
    expect(side.over).toHaveLength(1);
    expect(side.over[0]).toBeInstanceOf(Error);
    expect(side.got).toEqual(fails ? ['message'] : []);
    expect(a.destroyed).toBe(true);
  });

  it.each([
    { waits: true, taken: 2 },
    { waits: false, taken: 1_000 },
  ])(
    'takes $taken of 1000 messages while its answers are not taken, where it waits: $waits',
    async ({ waits, taken }) => {
      const questions = Array.from({ length: 1_000 }, (_, i) => encodeFrame(i));
      let release = (): void => {};
      const stream = new Duplex({
        writableHighWaterMark: 1_500,
        read() {
          const question = questions.shift();
          if (question !== undefined) setImmediate(() => this.push(question));
        },
        // Takes no answer until it is told to.
        write(_chunk, _encoding, done) {
          release = done;
        },
      });
      const side = sideOf(stream, waits, () => side.link.post(new Uint8Array(1_000)));
      for (let i = 0; i < 1_200; i++) await turn();
      expect(side.got).toHaveLength(taken);
      if (!waits) return;
      for (let i = 0; i < 1_200; i++) {
        release();
        await turn();
      }
      expect(side.got.length).toBeGreaterThan(500);
    },
  );
});
