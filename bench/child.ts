import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface Child {
  /** Sends a message, if there is one, and waits for the answer. */
  ask(message?: object | number): Promise<unknown>;
  /** Waits until it is gone, with all that it held. */
  end(): Promise<void>;
}

/** A process that ends with this one, which waits for it only while it is asked for something. */
export function start(file: string, args: readonly string[] = [], execArgv: string[] = []): Child {
  const child = fork(join(import.meta.dirname, file), args, { execArgv });
  child.unref();
  return {
    async ask(message) {
      child.channel?.ref();
      const done = new AbortController();
      const ended = once(child, 'exit', done).then(() => {
        throw new Error(`${file} ${args.join(' ')} ended`);
      });
      try {
        const answer = once(child, 'message', done);
        if (message !== undefined) child.send(message);
        return (await Promise.race([answer, ended]))[0];
      } finally {
        ended.catch(() => {});
        done.abort();
        child.channel?.unref();
      }
    },
    async end() {
      child.ref();
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    },
  };
}
