/** Code that knows how a worker talks to its program, and lies. */
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { serialize } from 'node:v8';

const LINK_FD = 3;

/** A message with its length in front; a text is sent as it is. */
function frameOf(message: unknown): Buffer {
  if (typeof message === 'string') return Buffer.from(message, 'latin1');
  const body = serialize(message);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

/** Never answers by itself. */
export const forge = (...messages: readonly unknown[]): Promise<never> => {
  for (const message of messages) {
    for (let frame = frameOf(message); frame.length > 0; ) {
      try {
        frame = frame.subarray(writeSync(LINK_FD, frame));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      }
    }
  }
  return new Promise(() => {});
};

/** What it answers stands in a forged message. */
export const forgeAndAnswer = async (...messages: readonly unknown[]): Promise<string> => {
  forge(...messages).catch(() => {});
  return 'answered';
};

export const wait = (): Promise<never> => new Promise(() => {});

/** Gets at the link itself, by what every socket does. */
export const stealLink = (): string => {
  const { write } = Socket.prototype;
  Socket.prototype.write = function (this: Socket, ...args: Parameters<typeof write>) {
    this.destroy();
    return Reflect.apply(write, this, args);
  } as typeof write;
  return 'the answer is never sent';
};

/** Changes what everything in this process is made of. */
export const pollute = (): string => {
  const evil = { kind: 'returned', call: 1, value: 'polluted', toString: () => 'polluted' };
  for (const [name, value] of Object.entries(evil)) {
    Object.defineProperty(Object.prototype, `polluted-${name}`, { value, configurable: true, enumerable: true });
  }
  Array.prototype.at = () => 'polluted' as never;
  Promise.prototype.finally = (() => 'polluted') as never;
  return 'polluted';
};

export const polluted = (): string => 'answers';
