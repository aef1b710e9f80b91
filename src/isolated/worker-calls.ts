import { AsyncLocalStorage } from 'node:async_hooks';
import type { LeashError } from '../errors.ts';
import type { AskingCall } from './broker.ts';
import { crossError, rebuildError } from './crossing-error.ts';
import type { SignalPlace, ThrownMessage, ToWorker } from './messages.ts';

interface RunningCall extends AskingCall {
  readonly name: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly forget: () => void;
}

export interface WorkerCallsInit {
  readonly post: (message: ToWorker) => void;
  readonly ended: (call: AskingCall) => void;
  readonly timeoutMs: number;
  readonly overdue: (name: string) => void;
}

/** The calls of exports that a worker has not answered. */
export class WorkerCalls {
  readonly #init: WorkerCallsInit;
  readonly #running = new Map<number, RunningCall>();
  #last = 0;

  constructor(init: WorkerCallsInit) {
    this.#init = init;
  }

  get(call: number): AskingCall | undefined {
    return this.#running.get(call);
  }

  /** Rejects with what the export throws, and where its arguments cannot be sent. */
  start(name: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { post, timeoutMs, overdue } = this.#init;
      const call = ++this.#last;
      const { plain, places, signals } = takeSignals(args);
      try {
        post({ kind: 'call', call, name, args: plain, signals: places });
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        reject(new TypeError(`the arguments of export ${JSON.stringify(name)} cannot be sent to its worker: ${why}`));
        return;
      }
      // As long as it runs, so does the program.
      const timer = setTimeout(overdue, timeoutMs, name);
      const unfollow = signals.map((signal, place) =>
        follow(signal, () => post({ kind: 'signal', call, place, reason: crossError(signal.reason) })),
      );
      const forget = (): void => {
        clearTimeout(timer);
        for (const stop of unfollow) stop();
      };
      const inContext = AsyncLocalStorage.snapshot() as AskingCall['inContext'];
      this.#running.set(call, { name, resolve, reject, forget, inContext, refusals: new Map() });
    });
  }

  /** @throws {TypeError} no such call runs. */
  returned(call: number, value: unknown): void {
    this.#end(call).resolve(value);
  }

  /** @throws {TypeError} no such call runs. */
  thrown(call: number, { error, refused }: ThrownMessage): void {
    const { reject, refusals } = this.#end(call);
    reject(withRefusal(rebuildError(error), refused === undefined ? undefined : refusals.get(refused)));
  }

  rejectAll(error: Error): void {
    for (const call of [...this.#running.keys()]) this.#end(call).reject(error);
  }

  #end(call: number): RunningCall {
    const running = this.#running.get(call);
    if (running === undefined) throw new TypeError('no such call runs');
    this.#running.delete(call);
    running.forget();
    this.#init.ended(running);
    return running;
  }
}

/** What the leash itself said is found in the error, and not what the worker says that it said. */
function withRefusal(error: Error, refusal: LeashError | undefined): Error {
  if (refusal === undefined) return error;
  if (refusal.name === error.name && refusal.message === error.message) return refusal;
  return Object.defineProperty(error, 'cause', { value: refusal, configurable: true, writable: true });
}

interface TakenSignals {
  readonly plain: readonly unknown[];
  readonly places: readonly SignalPlace[];
  readonly signals: readonly AbortSignal[];
}

/** Signals cannot be cloned: those that are an argument, or a member of one, are taken out and followed. */
function takeSignals(args: readonly unknown[]): TakenSignals {
  const places: SignalPlace[] = [];
  const signals: AbortSignal[] = [];
  const take = (signal: AbortSignal, index: number, key: string | undefined): void => {
    places.push({ index, key, aborted: signal.aborted ? crossError(signal.reason) : undefined });
    signals.push(signal);
  };
  const plain = args.map((arg, index) => {
    if (arg instanceof AbortSignal) {
      take(arg, index, undefined);
      return undefined;
    }
    if (typeof arg !== 'object' || arg === null || Object.getPrototypeOf(arg) !== Object.prototype) return arg;
    const members = Object.entries(arg);
    const others = members.filter(([key, member]) => {
      if (!(member instanceof AbortSignal)) return true;
      take(member, index, key);
      return false;
    });
    return others.length === members.length ? arg : Object.fromEntries(others);
  });
  return { plain, places, signals };
}

function follow(signal: AbortSignal, aborted: () => void): () => void {
  signal.addEventListener('abort', aborted, { once: true });
  return () => signal.removeEventListener('abort', aborted);
}
