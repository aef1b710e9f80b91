/** The worker's own part, which runs before the module and is all that talks to the program that started it. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { closeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';
import os from 'node:os';
import v8 from 'node:v8';
import { Bodies } from './bodies.ts';
import { crossError, rebuildError } from './crossing-error.ts';
import { LINK_FD, Link } from './link.ts';
import type { FromWorker, SignalPlace, ToWorker } from './messages.ts';
import { findOpen } from './self-check.ts';
import { WorkerFetch } from './worker-fetch.ts';

type AnyFunction = (...args: unknown[]) => unknown;
type CallMessage = Extract<ToWorker, { kind: 'call' }>;

/**
 * What the permission model lets be: signals and priorities of other processes, reports that a crash writes to any file, and
 * flags of V8 that switch off the bounds of WebAssembly's memory.
 */
function takeAway(): void {
  for (const name of ['kill', '_kill', '_debugProcess', '_debugEnd', 'report']) Reflect.deleteProperty(process, name);
  Reflect.deleteProperty(os, 'setPriority');
  Reflect.deleteProperty(v8, 'setFlagsFromString');
  syncBuiltinESMExports();
}

/** Descriptors that the program itself was started with, and that were handed down. */
function closeInherited(): void {
  for (const descriptor of process.argv.splice(2)) {
    try {
      closeSync(Number(descriptor));
    } catch {
      // The program has closed it in the meantime.
    }
  }
}

const running = new AsyncLocalStorage<number>();
const signals = new Map<number, readonly AbortController[]>();
let functions: ReadonlyMap<string, AnyFunction> = new Map();

const socket = new Socket({ fd: LINK_FD, readable: true, writable: true });
const post = (message: FromWorker): void => link.post(message);
const bodies = new Bodies(post);
const fetches = new WorkerFetch(running, bodies, post);
const link: Link<ToWorker, FromWorker> = new Link<ToWorker, FromWorker>(
  socket,
  // Nobody is left who could ask for anything.
  { message: take, over: () => process.exit() },
  false,
);

closeInherited();
takeAway();
globalThis.fetch = fetches.fetch;
post({ kind: 'checked', open: await findOpen() });

function take(message: ToWorker): void {
  switch (message.kind) {
    case 'load':
      void load(message.module);
      break;
    case 'call':
      void run(message);
      break;
    case 'signal':
      signals.get(message.call)?.[message.place]?.abort(rebuildError(message.reason));
      break;
    case 'response':
    case 'refused':
      fetches.take(message);
      break;
    default:
      bodies.take(message);
  }
}

async function load(module: string): Promise<void> {
  try {
    const exported = Object.entries((await import(module)) as object);
    functions = new Map(exported.filter((entry): entry is [string, AnyFunction] => typeof entry[1] === 'function'));
    post({ kind: 'loaded', names: [...functions.keys()] });
  } catch (error) {
    post({ kind: 'thrown', call: undefined, error: crossError(explained(error)), refused: undefined });
  }
}

/** The permission model names the file, but not the option. */
function explained(error: unknown): unknown {
  const { code, permission, resource } = error as { code?: unknown; permission?: unknown; resource?: unknown };
  if (code !== 'ERR_ACCESS_DENIED' || permission !== 'FileSystemRead') return error;
  return new Error(`it reads ${resource}, which \`read\` does not list`);
}

async function run({ call, name, args, signals: places }: CallMessage): Promise<void> {
  fetches.beginCall(call);
  const controllers = places.map(() => new AbortController());
  signals.set(call, controllers);
  let answer: FromWorker;
  try {
    const given = withSignals(args, places, controllers);
    const value = await running.run(call, () => (functions.get(name) as AnyFunction)(...given));
    answer = { kind: 'returned', call, value };
  } catch (error) {
    answer = thrown(call, error);
  }
  signals.delete(call);
  fetches.endCall(call);
  try {
    post(answer);
  } catch (error) {
    const why = (error as Error).message;
    post(thrown(call, new TypeError(`the result of export ${JSON.stringify(name)} cannot be sent: ${why}`)));
  }
}

function thrown(call: number, error: unknown): FromWorker {
  return { kind: 'thrown', call, error: crossError(error), refused: fetches.refusalIn(error) };
}

function withSignals(
  args: readonly unknown[],
  places: readonly SignalPlace[],
  controllers: readonly AbortController[],
): unknown[] {
  const given = [...args];
  for (const [i, { index, key, aborted }] of places.entries()) {
    const controller = controllers[i] as AbortController;
    if (aborted !== undefined) controller.abort(rebuildError(aborted));
    if (key === undefined) given[index] = controller.signal;
    else
      Object.defineProperty(given[index], key, {
        value: controller.signal,
        enumerable: true,
        configurable: true,
        writable: true,
      });
  }
  return given;
}
