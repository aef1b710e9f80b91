import { activeCall } from '../call.ts';
import { EgressUnenforcedError } from '../errors.ts';
import { runtimeName } from '../internal/runtime.ts';
import { clientOf } from '../session/client.ts';
import { type IsolatedOptions, readIsolatedOptions } from './options.ts';
import { WorkerHandle } from './worker-handle.ts';
import { startWorkerProcess } from './worker-process.ts';

/** Functions as they are called from outside: with a promise of what they give. */
export type IsolatedExports<Exports> = {
  readonly [Name in keyof Exports as Exports[Name] extends (...args: never) => unknown
    ? Name
    : never]: Exports[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

/** A module in a process of its own. */
export interface Isolated<Exports> extends AsyncDisposable {
  /**
   * The functions that the module exports. Arguments and results are cloned: functions are refused, and what is left of an
   * object of a class are its fields. A signal that is an argument, or a member of one, is followed. Of what they throw the
   * name and the message cross, and what the leash refused them is found with `findLeashError`.
   */
  readonly exports: IsolatedExports<Exports>;
  /** Ends the worker. Calls that it has not answered reject. Resolves when it is gone. */
  close(): Promise<void>;
}

type AnyExports = Readonly<Record<string, (...args: unknown[]) => unknown>>;

/** From where on the permission model closes the network, Unix sockets included, and tells the truth about it. */
const NODE_MAJOR = 26;

/**
 * Loads a module in a process of its own that Node's permission model closes (Node >= 26): no network, no name resolution,
 * no file but those in `read`, no other process, thread, native code or inspector. That it is closed is tried out before
 * the module is loaded.
 *
 * Its `fetch` is the leash's: a request is made here, within the leashed call in which the export was called, so that every
 * hop is judged by the egress guards and is an event of that call. It works while a call runs; what is under way when the
 * call ends is cut. A body of up to 4 MiB is sent as a whole, others and those of streams piece by piece.
 *
 * The end of the leash ends the worker. Calls that a worker has not answered when it ends reject, and so do all later ones.
 *
 * Such code still has: processor time, memory beside its heap, stderr for what it prints, what `node:os` tells, and whether
 * a file exists. Calls of one worker are not held apart: code in it may ask and answer for any of them. Code that never
 * gives way outlives a program that is killed. Faults of Node itself are held by what holds a process, such as a container.
 *
 * @throws {EgressUnenforcedError} this runtime cannot close a process, or did not. @throws {EgressDeniedError} called inside a
 * leashed call that may start no worker. @throws {LeashError} the leash has ended. @throws {TypeError | RangeError} an option.
 * @throws {Error} the module could not be loaded, or with code `WORKER_ENDED`.
 */
export async function isolated<Exports extends object = AnyExports>(
  module: string | URL,
  options: IsolatedOptions,
): Promise<Isolated<Exports>> {
  const settings = readIsolatedOptions(module, options);
  const client = clientOf(settings.leash, 'isolated');
  // Nothing is started for a leash that has ended.
  let over: Error | undefined;
  client.endWith((error) => {
    over = error;
  })();
  if (over !== undefined) throw over;
  checkRuntime();
  const refusal = activeCall()?.scope?.leave('worker');
  if (refusal !== undefined) throw refusal;
  const worker = new WorkerHandle(await startWorkerProcess(settings), client, settings);
  const names = await worker.load(settings.module);
  const exports = Object.create(null) as Record<string, unknown>;
  for (const name of names) {
    const call = (...args: unknown[]): Promise<unknown> => worker.call(name, args);
    Object.defineProperty(call, 'name', { value: name });
    exports[name] = call;
  }
  return Object.freeze({
    exports: Object.freeze(exports) as IsolatedExports<Exports>,
    close: () => worker.close(),
    [Symbol.asyncDispose]: () => worker.close(),
  });
}

function checkRuntime(): void {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= NODE_MAJOR && process.allowedNodeEnvironmentFlags.has('--allow-net')) return;
  throw new EgressUnenforcedError(
    `isolated() needs Node >= ${NODE_MAJOR}, whose permission model closes the network; this is ${runtimeName()}. ` +
      `Run the program with Node ${NODE_MAJOR} or later, or run code that you do not trust in a container.`,
  );
}
