import type { Socket } from 'node:dgram';
import { type Restore, replace, together } from './replace.ts';
import type { CurrentScope, EgressScope } from './scope.ts';

/** What of a datagram socket sends packets, or makes the kernel send some. `sendto` comes to `send`. */
const SENDING = ['send', 'connect', 'addMembership', 'addSourceSpecificMembership'] as const;

/** UDP, which no rule about hosts can hold: a datagram is sent or it is not. */
export function holdDatagrams(current: CurrentScope): Restore {
  const { Socket: DatagramSocket } = process.getBuiltinModule('node:dgram');
  const prototype = DatagramSocket.prototype as unknown as Record<(typeof SENDING)[number], unknown>;
  /** How many datagrams of a socket wait until it is bound. */
  const waiting = new WeakMap<object, number>();

  const refusalOf = (scope: EgressScope, socket: Socket, method: string): Error | undefined => {
    if (method !== 'send') return scope.leave('udp');
    const before = waiting.get(socket) ?? 0;
    const bound = isBound(socket);
    // The platform calls `send` once more when the socket is bound; that is on record.
    const repeated = bound && before > 0;
    const refusal = repeated ? scope.mayLeave('udp') : scope.leave('udp');
    if (repeated) waiting.set(socket, before - 1);
    else if (!bound && refusal === undefined) waiting.set(socket, before + 1);
    return refusal;
  };

  const restores = SENDING.map((method) =>
    replace(prototype, method, (original) => {
      return function (this: unknown, ...args: unknown[]): unknown {
        const scope = current();
        const refusal = scope === undefined ? undefined : refusalOf(scope, this as Socket, method);
        if (refusal === undefined) return Reflect.apply(original, this, args);
        const callback = args.findLast((arg) => typeof arg === 'function');
        // As the platform tells that a name was not found.
        if (callback !== undefined) process.nextTick(callback as (error: Error) => void, refusal);
        else process.nextTick(() => (this as Socket).emit('error', refusal));
        return undefined;
      };
    }),
  );
  return together(restores);
}

function isBound(socket: Socket): boolean {
  try {
    socket.address();
    return true;
  } catch {
    return false;
  }
}
