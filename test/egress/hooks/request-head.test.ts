import { describe, expect, it } from 'vitest';
import { readHead } from '../../../src/egress/hooks/request-head.ts';

const h1 = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;

describe('readHead', () => {
  const rows: readonly [string, string, string, string, string | undefined][] = [
    ['HTTP/1', h1('GET /x?y HTTP/1.1', 'host: a.test', 'accept: */*'), 'GET', '/x?y', 'a.test'],
    ['without a host', h1('GET / HTTP/1.1', 'accept: */*'), 'GET', '/', undefined],
    ['another case', h1('POST / HTTP/1.1', 'HoSt:A.test:80'), 'POST', '/', 'A.test:80'],
    ['an empty host', h1('GET / HTTP/1.1', 'host:'), 'GET', '/', ''],
    ['two hosts', h1('GET / HTTP/1.1', 'host: a.test', 'host: b.test'), 'GET', '/', 'a.test, b.test'],
    ['the same host twice', h1('GET / HTTP/1.1', 'Host: a.test', 'host: a.test'), 'GET', '/', 'a.test, a.test'],
    [
      'a host in another header',
      h1('GET / HTTP/1.1', 'x-host: b.test', 'host: a.test', 'hosts: c.test'),
      'GET',
      '/',
      'a.test',
    ],
    ['a host in a value', h1('GET / HTTP/1.1', 'x: host: b.test', 'host: a.test'), 'GET', '/', 'a.test'],
    ['space around', h1('GET / HTTP/1.1', 'host: \t a.test \t'), 'GET', '/', 'a.test'],
    // Some servers take the following for a host as well, and some for the only one.
    ['space before the colon', h1('GET / HTTP/1.1', 'host : b.test', 'host\t: a.test'), 'GET', '/', 'b.test, a.test'],
    ['a lone LF in front', h1('GET / HTTP/1.1', 'x: y\nhost: b.test', 'host: a.test'), 'GET', '/', 'b.test, a.test'],
    [
      'pseudo-headers behind a request line',
      h1('PUT /x HTTP/1.1', 'host: a.test', ':method: GET', ':path: /', ':authority: a.test'),
      'PUT',
      '/x',
      'a.test',
    ],
    [
      'pseudo-headers behind a request line and a lone LF',
      h1('PUT /x HTTP/1.0', 'host: a.test', 'x: y\n:method: GET\n:path: /'),
      'PUT',
      '/x',
      'a.test',
    ],
    ['a folded line is no host', h1('GET / HTTP/1.1', 'host: a.test', ' host: b.test'), 'GET', '/', 'a.test'],
    ['a line without a colon is none', h1('GET / HTTP/1.1', 'hosts', 'host: a.test'), 'GET', '/', 'a.test'],
    ['an absolute target', h1('GET http://b.test/ HTTP/1.1', 'host: a.test'), 'GET', 'http://b.test/', 'a.test'],
    ['nothing', '', '', '', undefined],
    ['no more than a method', 'GET', 'GET', '', undefined],
    ['HTTP/2', h1(':authority: a.test', ':method: GET', ':path: /x', ':scheme: https'), 'GET', '/x', 'a.test'],
    [
      'HTTP/2 with headers in front',
      h1('accept: */*', ':authority: a.test', ':method: GET', ':path: /'),
      'GET',
      '/',
      'a.test',
    ],
    [
      'HTTP/2 with what looks like a request line in front',
      h1('via: 1.1 HTTP/1.1 x', ':authority: a.test', ':method: GET', ':path: /x'),
      'GET',
      '/x',
      'a.test',
    ],
    [
      'HTTP/2 with another host too',
      h1(':authority: a.test', ':method: GET', ':path: /x', 'host: b.test'),
      'GET',
      '/x',
      'b.test, a.test',
    ],
    [
      'HTTP/2 with the same host too',
      h1(':authority: a.test', ':method: GET', ':path: /x', 'host: a.test'),
      'GET',
      '/x',
      'a.test',
    ],
    [
      'HTTP/2 with two authorities',
      h1(':authority: a.test', ':authority: b.test', ':method: GET', ':path: /'),
      'GET',
      '/',
      'a.test, b.test',
    ],
    [
      'HTTP/2 with two paths',
      h1(':method: GET', ':path: /', ':path: /secret', ':authority: a.test'),
      'GET',
      '/, /secret',
      'a.test',
    ],
    [
      'HTTP/2 with two methods',
      h1(':method: GET', ':method: PUT', ':path: /', ':authority: a.test'),
      'GET, PUT',
      '/',
      'a.test',
    ],
    ['HTTP/2 without authority', h1(':method: GET', ':path: /'), 'GET', '/', ''],
    ['CONNECT of HTTP/2', h1(':method: CONNECT', ':authority: b.test:80'), 'CONNECT', '', 'b.test:80'],
    [
      'a WebSocket over HTTP/2',
      h1(':method: CONNECT', ':protocol: websocket', ':path: /ws', ':authority: a.test'),
      'GET',
      '/ws',
      'a.test',
    ],
  ];
  it.each(rows)('reads %s', (_, head, method, path, host) => {
    expect(readHead(head)).toEqual({ method, path, host });
  });
});
