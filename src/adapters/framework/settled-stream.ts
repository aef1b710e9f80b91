/** What the stream of a model's answer is to the request that it answers. Only the first ending counts. */
export interface AnswerLife {
  /** A part came, on its way to the reader. May settle the request. */
  part(part: unknown): unknown;
  /** The whole answer came. */
  ended(): unknown;
  /** The answer broke off, or the reader went away. Must not throw. */
  cut(): unknown;
  /** Breaks the answer off. */
  readonly signal: AbortSignal;
}

/** The same stream, which tells how it ends: read to its end, failed, cancelled, or broken off by the signal. */
export function settledStream<Part>(source: ReadableStream<Part>, life: AnswerLife): ReadableStream<Part> {
  const reader = source.getReader();
  const { signal } = life;
  let onAbort = (): void => {};
  const over = (): void => signal.removeEventListener('abort', onAbort);
  return new ReadableStream<Part>(
    {
      start(controller) {
        onAbort = () => {
          void life.cut();
          controller.error(signal.reason);
          reader.cancel(signal.reason).catch(() => {});
        };
        if (signal.aborted) onAbort();
        else signal.addEventListener('abort', onAbort, { once: true });
      },
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (signal.aborted) return;
          if (done) {
            over();
            await life.ended();
            controller.close();
          } else {
            await life.part(value);
            controller.enqueue(value);
          }
        } catch (error) {
          over();
          await life.cut();
          controller.error(error);
          reader.cancel(error).catch(() => {});
        }
      },
      async cancel(reason) {
        over();
        await Promise.allSettled([life.cut()]);
        await reader.cancel(reason);
      },
    },
    // Nothing is read from the model that nobody asked for.
    { highWaterMark: 0 },
  );
}
