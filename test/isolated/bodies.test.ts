import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Bodies, MAX_PIECE_BYTES } from '../../src/isolated/bodies.ts';
import type { BodyMessage } from '../../src/isolated/messages.ts';
import { rejection, thrownBy } from '../helpers/refused.ts';

interface Pair {
  readonly sender: Bodies;
  readonly receiver: Bodies;
  readonly messages: BodyMessage[];
}

/** Two sides, and what passes between them. */
function pair(): Pair {
  const messages: BodyMessage[] = [];
  const to = (side: () => Bodies) => (message: BodyMessage) => {
    messages.push(message);
    side().take(message);
  };
  const sender: Bodies = new Bodies(to(() => receiver));
  const receiver: Bodies = new Bodies(to(() => sender));
  return { sender, receiver, messages };
}

/** Messages that go nowhere. */
function alone(): { readonly bodies: Bodies; readonly messages: BodyMessage[] } {
  const messages: BodyMessage[] = [];
  return { bodies: new Bodies((message) => messages.push(message)), messages };
}

const streamOf = (...chunks: unknown[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk as Uint8Array);
    },
  });

const textOf = (stream: ReadableStream): Promise<string> => new Response(stream).text();

describe('bodies', () => {
  it('arrive as they were, in pieces of no more than 256 KiB', async () => {
    const { sender, receiver, messages } = pair();
    const long = new Uint8Array(MAX_PIECE_BYTES * 2 + 5).fill(7);
    const stream = receiver.receive(1);
    sender.send(1, streamOf(Buffer.from('one'), new Uint8Array(0), long, Buffer.from('last')));
    const got = new Uint8Array(await new Response(stream).arrayBuffer());
    expect(Buffer.compare(got, Buffer.concat([Buffer.from('one'), long, Buffer.from('last')]))).toBe(0);
    const pieces = messages.filter((message) => message.kind === 'piece').map(({ bytes }) => bytes.length);
    expect(pieces).toEqual([3, MAX_PIECE_BYTES, MAX_PIECE_BYTES, 5, 4]);
  });

  it('are not sent before they are asked for', async () => {
    const { sender, receiver, messages } = pair();
    const reader = receiver.receive(1).getReader();
    sender.send(1, streamOf(Buffer.from('one'), Buffer.from('two')));
    await turn();
    expect(messages).toEqual([]);
    await reader.read();
    await turn();
    expect(messages.map(({ kind }) => kind)).toEqual(['pull', 'piece']);
  });

  it('are cancelled on the other side', async () => {
    const { sender, receiver } = pair();
    let cancelled: unknown;
    const stream = receiver.receive(1);
    sender.send(1, new ReadableStream({ cancel: (reason) => (cancelled = reason) }));
    await stream.cancel();
    expect(cancelled).toBeInstanceOf(Error);
  });

  it.each([
    {
      what: 'the stream fails',
      message: 'no more',
      body: () => new ReadableStream({ pull: () => Promise.reject(new RangeError('no more')) }),
    },
    { what: 'the stream holds no bytes', message: 'a body must be made of bytes', body: () => streamOf('text') },
  ])('break on the other side: $what', async ({ message, body }) => {
    const { sender, receiver } = pair();
    const stream = receiver.receive(1);
    sender.send(1, body());
    expect((await rejection(textOf(stream))).message).toBe(message);
  });

  it('are dropped in both directions, once', async () => {
    const { bodies, messages } = alone();
    let ends = 0;
    const stream = bodies.receive(1, () => ends++);
    bodies.send(1, streamOf(Buffer.from('one')), () => ends++);
    const reading = rejection(textOf(stream));
    await turn();
    bodies.drop(1, new Error('dropped'));
    bodies.drop(1, new Error('dropped again'));
    expect((await reading).message).toBe('dropped');
    expect(ends).toBe(2);
    expect(messages.map(({ kind }) => kind)).toEqual(['pull']);
  });

  it.each<{ readonly what: string; readonly message: BodyMessage }>([
    { what: 'a piece that was not asked for', message: { kind: 'piece', request: 1, bytes: new Uint8Array(1) } },
    { what: 'an empty piece', message: { kind: 'piece', request: 2, bytes: new Uint8Array(0) } },
    {
      what: 'a piece that is too long',
      message: { kind: 'piece', request: 2, bytes: new Uint8Array(MAX_PIECE_BYTES + 1) },
    },
    { what: 'a second question before the answer', message: { kind: 'pull', request: 3 } },
  ])('refuse $what', async ({ message }) => {
    const { bodies } = alone();
    bodies.receive(1);
    const asking = textOf(bodies.receive(2));
    asking.catch(() => {});
    bodies.send(3, new ReadableStream({ pull: () => new Promise(() => {}) }));
    bodies.take({ kind: 'pull', request: 3 });
    await turn();
    expect(thrownBy(() => bodies.take(message))).toBeInstanceOf(TypeError);
  });

  it('pass over what comes late', () => {
    const { bodies, messages } = alone();
    bodies.take({ kind: 'piece', request: 9, bytes: new Uint8Array(1) });
    for (const kind of ['pull', 'cancel', 'end'] as const) bodies.take({ kind, request: 9 });
    bodies.take({ kind: 'broken', request: 9, error: { name: 'Error', message: 'late' } });
    expect(messages).toEqual([]);
  });
});
