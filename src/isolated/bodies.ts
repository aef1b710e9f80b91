import { crossError, rebuildError } from './crossing-error.ts';
import type { BodyMessage } from './messages.ts';

/** A piece is never longer, so that what is under way takes little memory. */
export const MAX_PIECE_BYTES = 262_144;

interface Sending {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** What of a chunk is still to be sent. */
  rest: Uint8Array | undefined;
  reading: boolean;
  readonly ended: () => void;
}

interface Receiving {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  /** Tells the stream that what it pulled is there; undefined while it pulls nothing. */
  arrived: (() => void) | undefined;
  readonly ended: () => void;
}

/**
 * Bodies on their way over a connection, in both directions and by the number of their request. A piece is sent when the
 * other side asks for it: neither side holds more than one of each body.
 */
export class Bodies {
  readonly #post: (message: BodyMessage) => void;
  readonly #sending = new Map<number, Sending>();
  readonly #receiving = new Map<number, Receiving>();

  constructor(post: (message: BodyMessage) => void) {
    this.#post = post;
  }

  /** @param ended called once, when nothing is sent any more. */
  send(request: number, body: ReadableStream<Uint8Array>, ended: () => void = () => {}): void {
    this.#sending.set(request, { reader: body.getReader(), rest: undefined, reading: false, ended });
  }

  /** @param ended called once, when nothing comes any more. */
  receive(request: number, ended: () => void = () => {}): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#receiving.set(request, { controller, arrived: undefined, ended });
        },
        pull: () =>
          new Promise<void>((resolve) => {
            const receiving = this.#receiving.get(request);
            if (receiving === undefined) {
              resolve();
              return;
            }
            receiving.arrived = resolve;
            this.#post({ kind: 'pull', request });
          }),
        cancel: () => {
          if (this.#finishReceiving(request) !== undefined) this.#post({ kind: 'cancel', request });
        },
      },
      { highWaterMark: 0 },
    );
  }

  /**
   * Bodies that are over are nobody's any more: what comes late for one is passed over.
   *
   * @throws {TypeError} the other side sends what it was not asked for, or asks before it was answered.
   */
  take(message: BodyMessage): void {
    const { kind, request } = message;
    switch (kind) {
      case 'pull':
        this.#answerPull(request);
        break;
      case 'cancel':
        this.#stopSending(request, new Error('the body was cancelled'));
        break;
      case 'piece':
        this.#enqueue(request, message.bytes);
        break;
      case 'end': {
        const receiving = this.#finishReceiving(request);
        receiving?.controller.close();
        receiving?.arrived?.();
        break;
      }
      case 'broken':
        this.#breakOff(request, rebuildError(message.error));
        break;
    }
  }

  /** Ends both bodies of a request. */
  drop(request: number, error: Error): void {
    this.#stopSending(request, error);
    this.#breakOff(request, error);
  }

  #answerPull(request: number): void {
    const sending = this.#sending.get(request);
    if (sending === undefined) return;
    if (sending.reading) throw new TypeError('a piece of a body was asked for twice');
    sending.reading = true;
    this.#nextPiece(sending).then(
      (bytes) => {
        sending.reading = false;
        if (this.#sending.get(request) !== sending) return;
        if (bytes === undefined) this.#finishSending(request);
        this.#post(bytes === undefined ? { kind: 'end', request } : { kind: 'piece', request, bytes });
      },
      (error: unknown) => {
        if (this.#sending.get(request) !== sending) return;
        this.#finishSending(request);
        this.#post({ kind: 'broken', request, error: crossError(error) });
      },
    );
  }

  async #nextPiece(sending: Sending): Promise<Uint8Array | undefined> {
    let chunk = sending.rest;
    while (chunk === undefined || chunk.length === 0) {
      const { done, value } = await sending.reader.read();
      if (done) return undefined;
      // Whoever made the stream may have put anything into it.
      if (!((value as unknown) instanceof Uint8Array)) throw new TypeError('a body must be made of bytes');
      chunk = value;
    }
    sending.rest = chunk.subarray(MAX_PIECE_BYTES);
    return chunk.subarray(0, MAX_PIECE_BYTES);
  }

  #stopSending(request: number, error: Error): void {
    this.#finishSending(request)
      ?.reader.cancel(error)
      .catch(() => {});
  }

  #finishSending(request: number): Sending | undefined {
    const sending = this.#sending.get(request);
    this.#sending.delete(request);
    sending?.ended();
    return sending;
  }

  #enqueue(request: number, bytes: Uint8Array): void {
    const receiving = this.#receiving.get(request);
    if (receiving === undefined) return;
    const { arrived } = receiving;
    if (arrived === undefined || bytes.length === 0 || bytes.length > MAX_PIECE_BYTES) {
      throw new TypeError('a piece of a body was not asked for, or has no proper length');
    }
    receiving.arrived = undefined;
    receiving.controller.enqueue(bytes);
    arrived();
  }

  #breakOff(request: number, error: Error): void {
    const receiving = this.#finishReceiving(request);
    receiving?.controller.error(error);
    receiving?.arrived?.();
  }

  #finishReceiving(request: number): Receiving | undefined {
    const receiving = this.#receiving.get(request);
    this.#receiving.delete(request);
    receiving?.ended();
    return receiving;
  }
}
