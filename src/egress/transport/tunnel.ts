import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { EgressProxy } from '../../guard.ts';
import { ownStep } from '../../internal/own-work.ts';
import { egressHooks } from '../hooks/hooks.ts';
import { originAt } from '../hooks/origin.ts';
import { inUrl } from '../policy/host.ts';
import { portOf } from '../policy/scheme.ts';
import type { Connect } from './connector.ts';

export interface TunnelOptions {
  /** For the TLS connection to the target, where there is one. */
  readonly tls?: ConnectionOptions | undefined;
  /** Until the connection is there, in milliseconds; 0: for ever. Default: 10 000, as undici has it. */
  readonly timeoutMs?: number | undefined;
}

const TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;

/**
 * Connections by way of a proxy, each through a tunnel of its own (RFC 9110 §9.3.6): the proxy resolves the name of the
 * target, and nothing else is dialled. The leash dials it itself, outside of what it holds.
 */
export function connectThrough(proxy: EgressProxy, { tls, timeoutMs = TIMEOUT_MS }: TunnelOptions = {}): Connect {
  const http = process.getBuiltinModule('node:http');
  const net = process.getBuiltinModule('node:net');
  const { connect: connectTls } = process.getBuiltinModule('node:tls');

  const dial = (): Socket => {
    const socket = net.connect({ host: proxy.host, port: proxy.port });
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    if (!proxy.secure) return socket;
    const servername = net.isIP(proxy.host) === 0 ? proxy.host : '';
    return connectTls({ socket, host: proxy.host, servername, ALPNProtocols: ['http/1.1'] });
  };

  return ({ hostname, protocol, port, servername }, callback) => {
    const secure = protocol === 'https:';
    const scheme = secure ? 'https' : 'http';
    const origin = originAt(scheme, hostname, portOf(scheme, port));
    const authority = `${inUrl(origin.host)}:${origin.port}`;
    const authorization = proxy.authorization();
    const request = ownStep(() =>
      http.request({
        method: 'CONNECT',
        path: authority,
        headers: {
          host: authority,
          ...(authorization === undefined ? undefined : { 'proxy-authorization': authorization }),
        },
        setHost: false,
        createConnection: dial,
      }),
    );
    const timer = timeoutMs > 0 ? setTimeout(() => end(failed(proxy, 'did not answer in time')), timeoutMs) : undefined;
    let open: Socket | undefined;
    let ended = false;
    const end = (error: Error | null): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      if (error === null && open !== undefined) {
        open.off('error', end);
        egressHooks().trustTunnel(open, origin.place);
        callback(null, open);
        return;
      }
      request.destroy();
      open?.destroy();
      callback(error, null);
    };
    request.once('error', (error) => end(failed(proxy, 'could not be reached', error)));
    request.once('connect', ({ statusCode = 0 }, socket: Socket, head: Buffer) => {
      open = socket;
      socket.once('error', end);
      // Whoever speaks first is not the server of an HTTP request.
      if (statusCode < 200 || statusCode > 299 || head.length > 0) {
        end(failed(proxy, head.length > 0 ? 'sent more than an answer' : `refused a tunnel with status ${statusCode}`));
      } else if (secure) {
        open = connectTls({
          ...tls,
          socket,
          host: origin.host,
          ...(servername ? { servername } : undefined),
          ALPNProtocols: ['http/1.1'],
        });
        open.once('error', end);
        open.once('secureConnect', () => end(null));
      } else {
        end(null);
      }
    });
    request.end();
  };
}

function failed({ origin }: EgressProxy, what: string, cause?: Error): Error {
  return new Error(`the proxy of the leash, ${origin}, ${what}`, { cause });
}
