import type { AnswerLife } from './settled-stream.ts';
import { unlessAborted } from './signal.ts';

/** The same parts, which tell how they end: read to their end, failed, left, or broken off by the signal. */
export async function* settledIterable<Part>(source: AsyncIterable<Part>, life: AnswerLife): AsyncGenerator<Part> {
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  try {
    while (true) {
      const { done, value } = await unlessAborted(iterator.next(), life.signal);
      if (done) {
        ended = true;
        await life.ended();
        return;
      }
      await life.part(value);
      yield value;
    }
  } finally {
    if (!ended) {
      await life.cut();
      // What it says no longer matters to anyone.
      void Promise.resolve(iterator.return?.()).catch(() => {});
    }
  }
}
