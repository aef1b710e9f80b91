import type { IncomingMessage } from 'node:http';
import { connect, type Server, type Socket } from 'node:net';
import type { Certificate } from '../../helpers/certificate.ts';
import type { Contact } from './attack.ts';
import { acceptUpgrade, answerWith } from './attacker.ts';
import { outside } from './outside.ts';
import { createPolyglot } from './polyglot.ts';

/**
 * The allowed host, which trusts its clients. What is meant for another host, by an absolute request target, a Host header,
 * an `:authority`, a server name of TLS or CONNECT, it passes on to where `elsewhere` says.
 */
export function createGateway(
  certificate: Certificate,
  /** Names it goes by, without ports. */
  names: readonly string[],
  elsewhere: () => number,
  seen: (contact: Contact) => void,
): Server {
  const isOwn = (authority: string): boolean => names.includes(authority.replace(/\.?(:\d+)?$/, '').toLowerCase());
  return createPolyglot(certificate, {
    connection: () => seen('connection'),
    secure: (servername) => {
      if (servername !== '' && !isOwn(servername)) passOn(elsewhere(), () => {});
    },
    request: (request, response) => {
      seen('request');
      const answer = (): void => {
        const hop = hopOf(request);
        if (hop === undefined) answerWith('good', request, response);
        else response.writeHead(hop.status, { location: hop.location }).end();
      };
      if (hostsOf(request).every(isOwn)) answer();
      else passOn(elsewhere(), answer);
    },
    upgrade: (request, socket) => {
      const hop = hopOf(request);
      if (hop === undefined) acceptUpgrade(request, socket);
      else socket.end(`HTTP/1.1 ${hop.status} Moved\r\nLocation: ${hop.location}\r\nContent-Length: 0\r\n\r\n`);
    },
    tunnel: (authority, socket) => {
      seen('tunnel');
      tunnelTo(Number(authority.split(':').at(-1)), socket);
    },
  });
}

/** Where a request wants to be redirected to. */
function hopOf({ url = '/' }: IncomingMessage): { readonly status: number; readonly location: string } | undefined {
  const { pathname, searchParams } = new URL(url, 'http://gateway');
  if (pathname !== '/hop') return undefined;
  const location = Buffer.from(searchParams.get('to') ?? '').toString('latin1');
  return { status: Number(searchParams.get('status')), location };
}

/** Answers only when the other host was reached, so that nothing is on its way any more when the client is done. */
function passOn(port: number, done: () => void): void {
  const socket = outside(() => connect(port, '127.0.0.1')).on('error', () => {});
  socket.resume().once('close', done);
  socket.end('GET / HTTP/1.0\r\n\r\n');
}

function hostsOf({ headers, rawHeaders, url = '/' }: IncomingMessage): readonly string[] {
  const target = url.startsWith('/') ? undefined : URL.parse(url)?.host;
  const named = rawHeaders.filter((_, i) => rawHeaders[i - 1]?.toLowerCase() === 'host' && i % 2 === 1);
  return [...named, headers[':authority']?.toString(), target].filter((host) => host !== undefined);
}

function tunnelTo(port: number, socket: Socket): void {
  const through = outside(() => connect(port, '127.0.0.1'));
  socket.on('error', () => void through.destroy());
  through.on('error', () => void socket.destroy());
  socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
  socket.pipe(through).pipe(socket);
}
