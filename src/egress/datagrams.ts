import type { Socket } from 'node:dgram';
import { type Restore, replace } from './replace.ts';
import type { CurrentScope } from './scope.ts';

/** What of a datagram socket sends packets, or makes the kernel send some. */
const SENDING = ['send', 'sendto', 'connect', 'addMembership', 'addSourceSpecificMembership'] as const;

/** UDP, which no rule about hosts can hold: a datagram is sent or it is not. */
export function holdDatagrams(current: CurrentScope): Restore {
  const { Socket: DatagramSocket } = process.getBuiltinModule('node:dgram');
  const prototype = DatagramSocket.prototype as unknown as Record<(typeof SENDING)[number], unknown>;
  const restores = SENDING.map((method) =>
    replace(prototype, method, (original) => {
      return function (this: unknown, ...args: unknown[]): unknown {
        const refusal = current()?.way('udp');
        if (refusal === undefined) return Reflect.apply(original, this, args);
        const callback = args.findLast((arg) => typeof arg === 'function');
        // As the platform tells that a name was not found.
        if (callback !== undefined) process.nextTick(callback as (error: Error) => void, refusal);
        else process.nextTick(() => (this as Socket).emit('error', refusal));
        return undefined;
      };
    }),
  );
  return () => {
    for (const restore of restores) restore();
  };
}
