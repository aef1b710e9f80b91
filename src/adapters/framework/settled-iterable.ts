import { quietly } from '../../internal/maybe-promise.ts';
import { unlessAborted } from '../../internal/unless-aborted.ts';
import type { AnswerLife } from './settled-stream.ts';

export interface IterableLife extends AnswerLife {
  /** Nothing was opened: the signal had aborted before. Must not throw. */
  unsent(): unknown;
  /** It failed before there was any part of an answer. Must not throw. */
  failed(): unknown;
}

/** The parts that `open` gives, which tell how they end: read to their end, failed, left, or broken off by the signal. */
export async function* settledIterable<Part>(
  open: () => AsyncIterable<Part>,
  life: IterableLife,
): AsyncGenerator<Part> {
  if (life.signal.aborted) {
    await life.unsent();
    throw life.signal.reason;
  }
  let iterator: AsyncIterator<Part> | undefined;
  let begun = false;
  let ended = false;
  try {
    iterator = open()[Symbol.asyncIterator]();
    while (true) {
      const { done, value } = await unlessAborted(iterator.next(), life.signal);
      begun = true;
      if (done) {
        ended = true;
        await life.ended();
        return;
      }
      await life.part(value);
      yield value;
    }
  } catch (error) {
    if (!begun && !life.signal.aborted) await life.failed();
    throw error;
  } finally {
    if (!ended) {
      await life.cut();
      // What it says no longer matters to anyone.
      quietly(() => iterator?.return?.());
    }
  }
}
