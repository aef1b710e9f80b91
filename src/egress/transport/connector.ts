import type { Socket } from 'node:net';

/** What undici asks of whoever makes its connections. */
export interface ConnectTarget {
  /** A name, or an address without brackets. */
  readonly hostname: string;
  readonly protocol: string;
  /** Empty: the usual one. */
  readonly port: string;
  readonly servername?: string | null | undefined;
}

export type ConnectCallback = (error: Error | null, socket: Socket | null) => void;

export type Connect = (target: ConnectTarget, callback: ConnectCallback) => void;
