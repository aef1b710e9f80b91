import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';

/** What Node's permission model must have taken from a worker, by its own names. */
const SCOPES = ['fs.read', 'fs.write', 'child', 'worker', 'net', 'inspector', 'addon', 'wasi', 'ffi'];

/** Nothing listens there: where a connection is possible after all, it fails otherwise than by a refusal. */
const CLOSED_PORT = 1;

/** What is open that must be closed, by what the model says and by trying. Sends nothing to anybody. */
export async function findOpen(): Promise<readonly string[]> {
  const { permission } = process as { permission?: { has(scope: string): boolean } };
  if (permission === undefined) return ['everything'];
  const open = SCOPES.filter((scope) => permission.has(scope));
  const tried = { TCP: tryTcp, 'Unix sockets': tryUnixSocket, UDP: tryUdp };
  for (const [name, attempt] of Object.entries(tried)) {
    if ((await codeOf(attempt)) !== 'ERR_ACCESS_DENIED') open.push(name);
  }
  // Loads nothing: it is there or not.
  if (process.getBuiltinModule('node:sqlite') !== undefined) open.push('node:sqlite');
  return open;
}

async function codeOf(attempt: () => Promise<unknown>): Promise<unknown> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

async function tryTcp(): Promise<void> {
  const socket = connect(CLOSED_PORT, '127.0.0.1');
  await once(socket, 'connect').finally(() => socket.destroy());
}

async function tryUnixSocket(): Promise<void> {
  const socket = connect(process.platform === 'win32' ? '\\\\.\\pipe\\leashkit-none' : '/leashkit-none');
  await once(socket, 'connect').finally(() => socket.destroy());
}

async function tryUdp(): Promise<void> {
  const socket = createSocket('udp4');
  const bound = once(socket, 'listening');
  socket.bind(0, '127.0.0.1');
  await bound.finally(() => socket.close());
}
