import type { Socket } from 'node:net';
import type { Target } from '../../guard.ts';
import { canonicalHost, formatHost } from '../policy/host.ts';
import { copyInto } from './copy-options.ts';
import { judgedLookup } from './lookup.ts';
import { placeOf } from './passes.ts';
import { type Restore, replace } from './replace.ts';
import type { CurrentScope, EgressScope } from './scope.ts';
import { refusalOfServername } from './servername.ts';

type Connect = (this: unknown, ...args: unknown[]) => unknown;
type Callback = (...args: unknown[]) => void;

/** What a socket was told to connect to, as a copy that nobody changes any more. */
type Options = Record<PropertyKey, unknown>;

/** Who dialled a socket under a leash. */
const diallers = new WeakMap<object, EgressScope>();
/** The host that a socket of a leashed call was dialled for, in canonical form. */
const dialled = new WeakMap<object, string>();
/** Tunnels that a leash has built itself, with the place that they lead to: nothing else is asked of them. */
const tunnels = new WeakMap<object, string>();
/** Where a unix socket of a leashed call leads. */
const unixPaths = new WeakMap<object, string>();
/** What waits for a socket to be connected, to put that on record. */
const waiting = new WeakMap<object, () => void>();

export function trustTunnel(socket: object, place: string): void {
  tunnels.set(socket, place);
}

/** Where a client of undici connects in this very step. */
let undiciGoes: string | undefined;

/** Tells of that, just before. */
export function goesUndici(place: string): void {
  undiciGoes = place;
  queueMicrotask(() => {
    undiciGoes = undefined;
  });
}

/** Undefined for a socket that is no tunnel of a leash. */
export function tunnelPlace(socket: object): string | undefined {
  return tunnels.get(socket);
}

/** Undefined for a socket that is none, or was opened outside of every leash. */
export function unixPathOf(socket: object): string | undefined {
  return unixPaths.get(socket);
}

/** Undefined for one that was opened outside of every leash. */
export function diallerOf(socket: object): EgressScope | undefined {
  return diallers.get(socket);
}

/** In canonical form; undefined for a socket that nothing is known of. */
export function dialledHost(socket: object): string | undefined {
  const known = dialled.get(socket);
  if (known !== undefined) return known;
  // One that was opened outside of every leash: the platform keeps the name that it has looked up.
  const { _host: name, remoteAddress } = socket as { _host?: unknown; remoteAddress?: unknown };
  const text = typeof name === 'string' && name !== '' ? name : remoteAddress;
  const host = typeof text === 'string' ? canonicalHost(text) : undefined;
  return host === undefined ? undefined : formatHost(host);
}

/**
 * Below every client: where a socket of held code connects to is judged here, with the name, the port, whether it is TLS,
 * and each address. It dials a copy of the options that were judged, and names are resolved by the leash alone.
 */
export function holdSockets(current: CurrentScope): Restore {
  const { Socket } = process.getBuiltinModule('node:net');
  return replace(Socket.prototype, 'connect', (original) => {
    return function connect(this: unknown, ...args: unknown[]): unknown {
      const scope = current();
      forget(this as Socket);
      return scope === undefined
        ? Reflect.apply(original, this, args)
        : connectUnder(scope, original, this as Socket, args);
    };
  });
}

/** Of a socket that is used again. While it is on its way somewhere, it is not. */
function forget(socket: Socket): void {
  if (socket.connecting && !socket.destroyed) return;
  // It did not get there.
  const tell = waiting.get(socket);
  if (tell !== undefined) socket.off('connect', tell);
  for (const known of [diallers, dialled, tunnels, unixPaths, waiting]) known.delete(socket);
}

function connectUnder(scope: EgressScope, original: Connect, socket: Socket, args: unknown[]): unknown {
  const { options, callback } = readArgs(args);
  const dial = (): unknown => Reflect.apply(original, socket, callback === undefined ? [options] : [options, callback]);
  if (options['path']) return connectUnix(scope, socket, options, dial);
  const port = Number(options['port']);
  const given = options['host'] || 'localhost';
  // What the platform refuses by itself it shall refuse in its own words; it connects to nothing then.
  const ports = typeof options['port'] === 'number' || typeof options['port'] === 'string';
  if (!ports || !Number.isInteger(port) || port < 0 || port > 65_535 || typeof given !== 'string') return dial();
  options['port'] = port;

  const tls = (socket as { encrypted?: unknown }).encrypted === true;
  const host = canonicalHost(given);
  const target: Target = { scheme: tls ? 'tls' : 'tcp', host: host === undefined ? '' : formatHost(host), port };
  if (host === undefined) {
    const refusal = scope.refuse('bad-host', target);
    return refusal === undefined ? dial() : fail(socket, refusal);
  }
  const name = target.host;
  options['host'] = name;
  const place = placeOf(tls, name, port);

  const begin = (requested: boolean): unknown => {
    const refusal =
      scope.connection({ host: name, port, tls, requested }) ??
      (tls ? refusalOfServername(scope, target, options['servername']) : undefined);
    if (refusal !== undefined) return fail(socket, refusal);
    tunnels.delete(socket);
    unixPaths.delete(socket);
    dialled.set(socket, name);
    diallers.set(socket, scope);
    if (host.kind === 'name') options['lookup'] = judgedLookup(scope, name, port);
    if (!requested) {
      // Before the client hears of it, and closes what it has.
      const tell = (): void => {
        const failure = scope.reached({ ...target, addr: socket.remoteAddress });
        if (failure !== undefined) socket.destroy(failure);
      };
      socket.prependOnceListener('connect', tell);
      waiting.set(socket, tell);
    }
    return dial();
  };

  // undici connects anew when a request was given up, without another one; what it then sends there is asked about.
  const known = scope.passes.has(place) || (undiciGoes === place && scope.passes.had(place));
  // One that was closed and is used again is no new connection of an agent.
  if (known || socket.destroyed) return begin(known);
  // A client of node:http connects before it tells that it has a request: what it told is known a tick later.
  (socket as { connecting: boolean }).connecting = true;
  process.nextTick(() => {
    if (socket.destroyed) return;
    const requested = scope.passes.has(place);
    const refused = requested ? undefined : scope.passes.refusalOf(place);
    try {
      if (refused !== undefined) socket.destroy(refused);
      else begin(requested);
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  return socket;
}

function connectUnix(scope: EgressScope, socket: Socket, options: Options, dial: () => unknown): unknown {
  const given = options['path'];
  const path = typeof given === 'string' ? given : '';
  const refusal = scope.leave('unix-socket', path);
  if (refusal !== undefined) return fail(socket, refusal);
  // A socket that was bound before takes the host beside a path.
  delete options['host'];
  delete options['port'];
  unixPaths.set(socket, path);
  scope.verified.unixSockets.add(socket);
  return dial();
}

/** As the platform fails: with an event, after this step, which goes on to use the socket. */
function fail(socket: Socket, error: Error): Socket {
  // One that was closed before would not tell. The platform revives it, too.
  if (socket.destroyed) (socket as unknown as { _undestroy(): void })._undestroy();
  (socket as { connecting: boolean }).connecting = true;
  process.nextTick(() => socket.destroy(error));
  return socket;
}

/**
 * Reads the arguments as `net.Socket.prototype.connect` does: `([options, callback])`, `(options)`, `(path)`,
 * `(port, host)`, each with a callback behind. Every option is read once.
 */
function readArgs(args: readonly unknown[]): { readonly options: Options; readonly callback: Callback | undefined } {
  const list: readonly unknown[] = Array.isArray(args[0]) ? args[0] : args;
  const [first] = list;
  const last = list[list.length - 1];
  const callback = typeof last === 'function' ? (last as Callback) : undefined;
  if (typeof first === 'object' && first !== null) return { options: copyInto(bare({}), first), callback };
  if (typeof first === 'string' && !(Number(first) >= 0)) return { options: bare({ path: first }), callback };
  const host = typeof list[1] === 'string' ? { host: list[1] } : undefined;
  return { options: bare({ port: first, ...host }), callback };
}

/** Nothing that somebody put on the prototype of all objects is an option. */
function bare(options: Options): Options {
  return Object.assign(Object.create(null) as Options, options);
}
