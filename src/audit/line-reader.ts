import { open } from 'node:fs/promises';

const LF = 0x0a;
const READ = 1 << 20;
/** Longer strings are not kept with the short-lived ones, and cost more. */
const PART = 1 << 16;
/** No line is as long as this; without a limit a file without LF would be read into memory whole. */
const MAX_LINE = 64 << 20;
const NOTHING = Buffer.alloc(0);

/**
 * Gets one line: from `start` to `end`, where its LF is. `text` has one character for each byte of `bytes`. Neither is
 * to be kept.
 */
export type OnLine = (text: string, start: number, end: number, bytes: Buffer) => void;

/** The bytes of a file, in a buffer that is used again for each part. */
export async function* readFile(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafeSlow(READ);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, READ);
      if (bytesRead === 0) return;
      for (let at = 0; at < bytesRead; at += PART) yield buffer.subarray(at, Math.min(at + PART, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** Cuts bytes into lines, wherever the parts in which they come end. */
export class LineReader {
  readonly #onLine: OnLine;
  /** The beginning of a line whose end is still to come, in pieces. */
  #pieces: Buffer[] = [];
  #held = 0;

  constructor(onLine: OnLine) {
    this.#onLine = onLine;
  }

  /** What stands after the last LF, and is no line. */
  get rest(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  /** How many bytes stand after the last LF. */
  get held(): number {
    return this.#held;
  }

  read(part: Uint8Array): void {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    let start = 0;
    if (this.#held > 0) {
      const end = bytes.indexOf(LF);
      this.#hold(bytes.subarray(0, end === -1 ? bytes.length : end));
      if (end === -1) return;
      const line = this.rest;
      this.#pieces = [];
      this.#held = 0;
      this.#onLine(line.toString('latin1'), 0, line.length, line);
      start = end + 1;
    }
    const text = bytes.toString('latin1');
    for (let end = text.indexOf('\n', start); end !== -1; end = text.indexOf('\n', start)) {
      if (end - start > MAX_LINE) this.#onLine('', 0, 0, NOTHING);
      else this.#onLine(text, start, end, bytes);
      start = end + 1;
    }
    this.#hold(bytes.subarray(start));
  }

  #hold(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#held += piece.length;
    // A copy: the buffer is filled anew.
    if (this.#held <= MAX_LINE) this.#pieces.push(Buffer.from(piece));
    else this.#pieces = [];
  }
}
