import type { Duplex } from 'node:stream';
import { encodeFrame, FrameReader } from './frames.ts';

/** The pipe of the link in a worker. */
export const LINK_FD = 3;

export interface LinkHandlers<In> {
  /** May throw: the link is then broken. */
  readonly message: (message: In) => void;
  /** Called once, when nothing comes any more. @param error what came could not be read. */
  readonly over: (error: Error | undefined) => void;
}

/** Messages over a pipe, in order. */
export class Link<In, Out> {
  readonly #stream: Duplex;
  #over = false;

  /**
   * @param waits takes nothing more while the other side does not take what it was sent, so that it cannot make this one
   * pile up answers. One side of a link alone may: else both could wait.
   */
  constructor(stream: Duplex, { message, over }: LinkHandlers<In>, waits: boolean) {
    this.#stream = stream;
    const reader = new FrameReader();
    const end = (error: Error | undefined): void => {
      if (this.#over) return;
      this.#over = true;
      over(error);
      stream.destroy();
    };
    stream.on('data', (piece: Buffer) => {
      try {
        for (const one of reader.read(piece)) message(one as In);
        if (waits && stream.writableNeedDrain) stream.pause();
      } catch (error) {
        end(error as Error);
      }
    });
    if (waits) stream.on('drain', () => stream.resume());
    stream.on('close', () => end(undefined));
    // What cannot be written was meant for somebody who is gone, and who is told of by the close.
    stream.on('error', () => {});
  }

  /** @throws {TypeError | RangeError} the message cannot be cloned, or is too long. */
  post(message: Out): void {
    const frame = encodeFrame(message);
    if (!this.#over) this.#stream.write(frame);
  }
}
