import { DefaultDeserializer, DefaultSerializer } from 'node:v8';

/** A longer message is not sent, and ends the connection of whoever sends it. */
export const MAX_FRAME_BYTES: number = 16 * 1024 * 1024;

const HEAD_BYTES = 4;

/**
 * A message as bytes: its length, then what structured cloning makes of it.
 *
 * @throws {TypeError} it holds what cannot be cloned; @throws {RangeError} it is too long.
 */
export function encodeFrame(message: unknown): Buffer {
  const serializer = new DefaultSerializer();
  serializer.writeHeader();
  try {
    serializer.writeValue(message);
  } catch {
    // What is thrown shows the source of a function.
    throw new TypeError('a function, a promise, a symbol and the like cannot be cloned');
  }
  const body = serializer.releaseBuffer();
  if (body.length > MAX_FRAME_BYTES) throw new RangeError(`more than ${MAX_FRAME_BYTES} bytes are too many`);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

/** Puts messages together again from bytes that come in pieces of any size. */
export class FrameReader {
  #pieces: Buffer[] = [];
  #held = 0;

  /**
   * The messages that are complete with this piece. Holds no more than one message that is not.
   *
   * @throws {Error} these are no messages.
   */
  *read(piece: Buffer): Generator<unknown, void> {
    this.#pieces.push(piece);
    this.#held += piece.length;
    while (this.#held >= HEAD_BYTES) {
      const length = this.#peekLength();
      if (length > MAX_FRAME_BYTES) throw new RangeError('a message is too long');
      if (this.#held < HEAD_BYTES + length) return;
      yield decode(this.#take(HEAD_BYTES + length).subarray(HEAD_BYTES));
    }
  }

  #peekLength(): number {
    if ((this.#pieces[0] as Buffer).length < HEAD_BYTES) this.#pieces = [Buffer.concat(this.#pieces)];
    return (this.#pieces[0] as Buffer).readUInt32BE();
  }

  #take(length: number): Buffer {
    const all = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    const rest = all.subarray(length);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#held = rest.length;
    return all.subarray(0, length);
  }
}

function decode(body: Buffer): unknown {
  // Arrays of bytes are views of what they are read from: it holds this message alone.
  const own = Buffer.from(body.buffer.slice(body.byteOffset, body.byteOffset + body.length) as ArrayBuffer);
  const deserializer = new DefaultDeserializer(own);
  deserializer.readHeader();
  return deserializer.readValue();
}
