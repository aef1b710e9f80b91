import { shown } from '../internal/options.ts';
import { failed } from './failure.ts';
import type { AuditSink } from './sink.ts';

/** The part of a Node `Writable` that the sink uses; `process.stdout`, a socket or a child's `stdin` has it. */
export interface WritableLike {
  write(chunk: Uint8Array, callback: (error?: Error | null) => void): unknown;
  on(event: 'error' | 'close', listener: (error?: Error) => void): unknown;
  removeListener(event: 'error' | 'close', listener: (error?: Error) => void): unknown;
  readonly destroyed?: boolean;
}

/**
 * Writes the log to a stream that is open already: `process.stdout`, a pipe, a socket. A write resolves when the stream
 * says that it has passed the bytes on, so a call waits while a reader is slow. A stream that fails, or is closed or ended
 * while a log uses it, takes nothing more: every later write throws that error. The sink never ends the stream.
 *
 * While a log is open the sink listens to the stream's `error`: a closed pipe stops the agent's calls in place of the
 * process. What a process passed to a pipe is recorded only if its reader keeps it.
 *
 * @throws {TypeError} not a writable stream.
 */
export function streamSink(stream: WritableLike): AuditSink {
  const given = stream as Partial<WritableLike> | null | undefined;
  if (['write', 'on', 'removeListener'].some((key) => typeof given?.[key as 'write'] !== 'function')) {
    throw new TypeError(`streamSink expects a writable stream such as process.stdout, got ${shown(stream)}`);
  }
  return new StreamSink(stream);
}

class StreamSink implements AuditSink {
  readonly name = 'stream';
  readonly #stream: WritableLike;
  readonly #waiting = new Set<(error: unknown) => void>();
  #failure: { readonly error: unknown } | undefined;
  #listening = false;
  /** The stream answers in order: with this one, all before it are through. */
  #last: Promise<void> | undefined;

  readonly #onError = (error?: Error): void => this.#fail(error ?? new Error('the stream failed'));
  readonly #onClose = (): void => this.#fail(destroyed());

  constructor(stream: WritableLike) {
    this.#stream = stream;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    for (const reject of this.#waiting) reject(this.#failure.error);
  }

  write(lines: string): Promise<void> {
    this.#listen();
    // A stream that was destroyed before tells nobody any more.
    if (this.#stream.destroyed === true) this.#fail(destroyed());
    if (this.#failure !== undefined) throw this.#failure.error;
    const written = new Promise<void>((resolve, reject) => {
      this.#waiting.add(reject);
      // Bytes, whatever encoding the stream has for strings.
      this.#stream.write(Buffer.from(lines), (error) => {
        this.#waiting.delete(reject);
        if (error === undefined || error === null) resolve();
        else reject(error);
      });
    });
    this.#last = written;
    written.catch((error) => this.#fail(error));
    return written;
  }

  async sync(): Promise<void> {
    await this.#last;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits for what was written. After a failure the listeners stay: a stream may tell the same error twice. */
  async close(): Promise<void> {
    await this.sync();
    if (this.#waiting.size > 0 || !this.#listening) return;
    this.#listening = false;
    this.#stream.removeListener('error', this.#onError);
    this.#stream.removeListener('close', this.#onClose);
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#stream.on('error', this.#onError);
    this.#stream.on('close', this.#onClose);
  }
}

function destroyed(): Error {
  return failed('ERR_STREAM_DESTROYED', 'the stream is closed');
}
