import { describe, expect, it, vi } from 'vitest';
import { type AnswerLife, settledStream } from '../../../src/adapters/framework/settled-stream.ts';
import { rejection } from '../../helpers/refused.ts';

/** A source that is fed by hand, and what its reader did to it. */
function source() {
  const cancelled = vi.fn();
  let controller: ReadableStreamDefaultController<number> | undefined;
  const pulled = vi.fn();
  const stream = new ReadableStream<number>(
    {
      start(given) {
        controller = given;
      },
      pull: pulled,
      cancel: cancelled,
    },
    { highWaterMark: 0 },
  );
  return { stream, cancelled, pulled, feed: controller as unknown as ReadableStreamDefaultController<number> };
}

function life(signal = new AbortController().signal): AnswerLife & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    signal,
    part: (part) => void told.push(`part ${part}`),
    ended: () => void told.push('ended'),
    cut: () => void told.push('cut'),
  };
}

describe('settledStream', () => {
  it('hands on every part, and tells the end before the reader has it', async () => {
    const { stream, feed } = source();
    const of = life();
    const reader = settledStream(stream, of).getReader();
    feed.enqueue(1);
    expect(await reader.read()).toEqual({ done: false, value: 1 });
    expect(of.told).toEqual(['part 1']);
    feed.close();
    expect(await reader.read()).toEqual({ done: true, value: undefined });
    expect(of.told).toEqual(['part 1', 'ended']);
  });

  it('reads nothing that nobody asked for', async () => {
    const { stream, pulled } = source();
    settledStream(stream, life());
    await new Promise(setImmediate);
    expect(pulled).not.toHaveBeenCalled();
  });

  it('tells that it was cut when it fails, before the reader has the error', async () => {
    const { stream, feed } = source();
    const of = life();
    const reader = settledStream(stream, of).getReader();
    const error = new Error('connection lost');
    feed.error(error);
    expect(await rejection(reader.read())).toBe(error);
    expect(of.told).toEqual(['cut']);
  });

  it('tells that it was cut when its reader goes away, and cancels the source with the reason', async () => {
    const { stream, feed, cancelled } = source();
    const of = life();
    const reader = settledStream(stream, of).getReader();
    feed.enqueue(1);
    await reader.read();
    await reader.cancel('enough');
    expect(of.told).toEqual(['part 1', 'cut']);
    expect(cancelled).toHaveBeenCalledWith('enough');
  });

  it.each([{ when: 'while it is read' }, { when: 'between two reads' }])('breaks off $when', async ({ when }) => {
    const { stream, feed, cancelled } = source();
    const controller = new AbortController();
    const of = life(controller.signal);
    const reader = settledStream(stream, of).getReader();
    feed.enqueue(1);
    await reader.read();
    const reading = when === 'while it is read' ? reader.read() : undefined;
    await new Promise(setImmediate);
    const reason = new Error('stopped');
    controller.abort(reason);
    expect(of.told).toEqual(['part 1', 'cut']);
    expect(await rejection(reading ?? reader.read())).toBe(reason);
    expect(cancelled).toHaveBeenCalledWith(reason);
    await new Promise(setImmediate);
    expect(of.told).toEqual(['part 1', 'cut']);
  });

  it('does not begin where it was broken off before', async () => {
    const { stream, cancelled } = source();
    const reason = new Error('stopped');
    const of = life(AbortSignal.abort(reason));
    expect(await rejection(settledStream(stream, of).getReader().read())).toBe(reason);
    expect(of.told).toEqual(['cut']);
    expect(cancelled).toHaveBeenCalledWith(reason);
  });

  it('is over after its end: a later abort tells nothing', async () => {
    const controller = new AbortController();
    const endings: ((parts: ReturnType<typeof source>, reader: ReadableStreamDefaultReader) => Promise<unknown>)[] = [
      ({ feed }, reader) => {
        feed.close();
        return reader.read();
      },
      ({ feed }, reader) => {
        feed.error(new Error('lost'));
        return rejection(reader.read());
      },
      (_, reader) => reader.cancel(),
    ];
    for (const end of endings) {
      const parts = source();
      const of = life(controller.signal);
      await end(parts, settledStream(parts.stream, of).getReader());
      const told = [...of.told];
      expect(told).toHaveLength(1);
      new AbortController().abort();
      controller.signal.dispatchEvent(new Event('abort'));
      expect(of.told).toEqual(told);
    }
  });

  it('fails when its end cannot be settled', async () => {
    const { stream, feed } = source();
    const problem = new Error('store is down');
    const reader = settledStream(stream, { ...life(), ended: () => Promise.reject(problem) }).getReader();
    feed.close();
    expect(await rejection(reader.read())).toBe(problem);
  });

  it('fails, and reads no further, when a part cannot be settled', async () => {
    const { stream, feed, cancelled } = source();
    const of = life();
    const problem = new Error('store is down');
    const reader = settledStream(stream, { ...of, part: () => Promise.reject(problem) }).getReader();
    feed.enqueue(1);
    expect(await rejection(reader.read())).toBe(problem);
    expect(of.told).toEqual(['cut']);
    expect(cancelled).toHaveBeenCalledWith(problem);
  });
});
