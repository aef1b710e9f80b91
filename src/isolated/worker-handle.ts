import { EgressUnenforcedError } from '../errors.ts';
import type { SessionClient } from '../session/client.ts';
import { Bodies } from './bodies.ts';
import { Broker } from './broker.ts';
import { rebuildError } from './crossing-error.ts';
import { Link } from './link.ts';
import type { CrossedError, FromWorker, ToWorker } from './messages.ts';
import type { IsolatedSettings } from './options.ts';
import { readMessage } from './read-message.ts';
import { WorkerCalls } from './worker-calls.ts';
import type { WorkerProcess } from './worker-process.ts';

interface Loading {
  readonly loaded: (names: readonly string[]) => void;
  readonly failed: (error: Error) => void;
}

/** One worker, from its start to its end. */
export class WorkerHandle {
  readonly #process: WorkerProcess;
  readonly #link: Link<unknown, ToWorker>;
  readonly #bodies: Bodies;
  readonly #broker: Broker;
  readonly #calls: WorkerCalls;
  #unfollow: () => void = () => {};
  /** Whoever waits for the module. */
  #loading: Loading | undefined;
  #ended: Error | undefined;
  /** Set until the worker has shown that it is closed. */
  #module: string | undefined;
  readonly #timeoutMs: number;

  constructor(process: WorkerProcess, client: SessionClient, { leash, timeoutMs }: IsolatedSettings) {
    const post = (message: ToWorker): void => this.#link.post(message);
    this.#process = process;
    this.#timeoutMs = timeoutMs;
    this.#bodies = new Bodies(post);
    this.#broker = new Broker(() => leash.fetch, this.#bodies, post);
    this.#calls = new WorkerCalls({
      post,
      timeoutMs,
      ended: (call) => this.#broker.endCall(call),
      overdue: (name) => this.#end(ended(`export ${JSON.stringify(name)} ran longer than ${timeoutMs} ms`)),
    });
    this.#link = new Link(
      process.link,
      { message: (message) => this.#take(readMessage(message)), over: this.#over },
      true,
    );
    this.#unfollow = client.endWith((error) => this.#end(error));
  }

  /** @returns the names of the functions that the module exports. */
  load(module: string): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      const overdue = ended(`the module took longer than ${this.#timeoutMs} ms to load`);
      const timer = setTimeout(() => this.#end(overdue), this.#timeoutMs);
      this.#module = module;
      this.#loading = {
        loaded: (names) => {
          clearTimeout(timer);
          this.#loading = undefined;
          resolve(names);
        },
        failed: (error) => {
          clearTimeout(timer);
          this.#loading = undefined;
          reject(error);
        },
      };
    });
  }

  async call(name: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#ended;
    return this.#calls.start(name, args);
  }

  async close(): Promise<void> {
    this.#end(ended('it was closed'));
    this.#process.ref();
    await this.#process.gone;
  }

  #take(message: FromWorker): void {
    switch (message.kind) {
      case 'checked':
        this.#checked(message.open);
        break;
      case 'loaded':
        this.#awaited().loaded(message.names);
        break;
      case 'returned':
        this.#calls.returned(message.call, message.value);
        break;
      case 'thrown':
        if (message.call === undefined) this.#notLoaded(message.error);
        else this.#calls.thrown(message.call, message);
        break;
      case 'request':
        this.#broker.request(message, this.#calls.get(message.call));
        break;
      case 'abort':
        this.#broker.abort(message.request);
        break;
      default:
        this.#bodies.take(message);
    }
  }

  #checked(open: readonly string[]): void {
    const module = this.#module;
    if (this.#loading === undefined || module === undefined) throw new TypeError('no check was asked for');
    this.#module = undefined;
    if (open.length === 0) {
      this.#link.post({ kind: 'load', module });
      return;
    }
    this.#end(
      new EgressUnenforcedError(
        `isolated() started no module: on Node ${process.versions.node} its worker found open what must be closed ` +
          `(${open.join(', ')}). Use a Node that leashkit is tested on, or run code that you do not trust in a container.`,
      ),
    );
  }

  /** @throws {TypeError} the module was not asked for, or is loaded. */
  #awaited(): Loading {
    if (this.#loading === undefined || this.#module !== undefined) throw new TypeError('no module was asked for');
    return this.#loading;
  }

  #notLoaded(error: CrossedError): void {
    this.#awaited();
    const message = `isolated() could not load the module: ${error.message}`;
    this.#end(new Error(message, { cause: rebuildError(error) }));
  }

  readonly #over = (error: Error | undefined): void => {
    if (error !== undefined) this.#end(ended('it sent what its own part never sends'));
    // Whoever is still there without a link has closed it by itself.
    else this.#process.kill();
    void this.#process.gone.then((how) => this.#end(ended(`it ended by itself (${how})`)));
  };

  /** Once, whoever comes first: nothing of the worker is left, and nobody waits for it. */
  #end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#unfollow();
    this.#process.kill();
    this.#calls.rejectAll(error);
    this.#loading?.failed(error);
  }
}

function ended(why: string): Error {
  return Object.assign(new Error(`the isolated worker has ended: ${why}`), { code: 'WORKER_ENDED' });
}
