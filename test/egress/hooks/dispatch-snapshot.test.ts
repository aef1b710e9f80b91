import { describe, expect, it } from 'vitest';
import { readDispatch } from '../../../src/egress/hooks/dispatch-snapshot.ts';

const REQUEST = { origin: 'https://a.test', method: 'GET', path: '/' };

describe('readDispatch', () => {
  it.each([
    { origin: 'https://a.test', text: 'https://a.test', place: 'https://a.test:443' },
    { origin: 'HTTPS://A.test:443/', text: 'https://a.test', place: 'https://a.test:443' },
    { origin: 'http://127.1:8080', text: 'http://127.0.0.1:8080', place: 'http://127.0.0.1:8080' },
    { origin: new URL('http://[::0001]/'), text: 'http://[::1]', place: 'http://::1:80' },
    { origin: 'a.test', reason: 'bad-host', target: { scheme: 'http', host: '', port: 0 } },
    { origin: '', reason: 'bad-host', target: { scheme: 'http', host: '', port: 0 } },
    { origin: 'ftp://a.test', reason: 'scheme', target: { scheme: 'ftp', host: 'a.test', port: 0 } },
    { origin: 'wss://a.test', reason: 'scheme', target: { scheme: 'wss', host: 'a.test', port: 443 } },
    { origin: 'xhttp://a.test', reason: 'scheme', target: { scheme: 'xhttp', host: 'a.test', port: 0 } },
    { origin: 'httpx://a.test', reason: 'scheme', target: { scheme: 'httpx', host: 'a.test', port: 0 } },
    { origin: 'https://u:p@a.test', reason: 'bad-host', target: { scheme: 'https', host: 'a.test', port: 443 } },
    { origin: 'https://a.test/x', reason: 'bad-host', target: { scheme: 'https', host: 'a.test', port: 443 } },
    { origin: 'http://a.test?x', reason: 'bad-host', target: { scheme: 'http', host: 'a.test', port: 80 } },
  ])('reads the origin $origin', ({ origin, text = String(origin), place, reason, target }) => {
    for (let again = 0; again < 2; again++) {
      const read = readDispatch({ ...REQUEST, origin });
      expect(read.misplaced).toEqual(reason === undefined ? undefined : { reason, target });
      expect(read.options['origin']).toBe(text);
      if (place !== undefined) expect(read.origin.place).toBe(place);
    }
  });

  it('goes where the dispatcher is bound to, whatever the options say', () => {
    for (const origin of ['https://b.test', undefined]) {
      const { origin: read, options } = readDispatch({ ...REQUEST, origin }, 'http://a.test:81');
      expect(read.place).toBe('http://a.test:81');
      expect(options['origin']).toBe('http://a.test:81');
    }
  });

  it.each([
    { name: 'nothing', given: undefined, message: 'the options of a request must be an object' },
    { name: 'null', given: null, message: 'the options of a request must be an object' },
    { name: 'a text', given: 'https://a.test', message: 'the options of a request must be an object' },
    { name: 'no origin', given: { ...REQUEST, origin: undefined }, message: 'a request needs an `origin`' },
    { name: 'null for an origin', given: { ...REQUEST, origin: null }, message: 'a request needs an `origin`' },
    { name: 'no method', given: { ...REQUEST, method: undefined }, message: 'the `method` of a request must be a' },
    { name: 'a method that is none', given: { ...REQUEST, method: ['GET'] }, message: 'the `method` of a request' },
    { name: 'no path', given: { ...REQUEST, path: undefined }, message: 'the `path` of a request must be a string' },
    {
      name: 'a path that is an object',
      given: { ...REQUEST, path: { toString: (): string => '/' } },
      message: 'the `path` of a request',
    },
    {
      name: 'headers as text',
      given: { ...REQUEST, headers: 'host: a.test' },
      message: 'the `headers` of a request must be an object or an array',
    },
    {
      name: 'a list of headers that ends with a name',
      given: { ...REQUEST, headers: ['host', 'a.test', 'x'] },
      message: 'a list of `headers` must hold names and values in turn',
    },
    {
      name: 'an iterable of lists that are no pairs',
      given: { ...REQUEST, headers: new Set([['host', 'a.test', 'x']]) },
      message: 'iterable `headers` must give pairs',
    },
    {
      name: 'an iterable of texts',
      given: { ...REQUEST, headers: new Set(['ab']) },
      message: 'iterable `headers` must give pairs',
    },
  ])('takes no request with $name', ({ given, message }) => {
    const read = (): unknown => readDispatch(given);
    expect(read).toThrow(TypeError);
    expect(read).toThrow(message);
  });

  const list = ['Host', 'a.test', 'x', 'y', 'x-host', 'b.test', 'hosts', 'c.test'];
  it.each<{ name: string; headers: unknown; flat?: readonly unknown[]; hosts?: readonly string[] }>([
    { name: 'none', headers: undefined },
    { name: 'null', headers: null },
    { name: 'an empty list', headers: [], flat: [] },
    { name: 'a list', headers: list, flat: list, hosts: ['a.test'] },
    {
      name: 'a record',
      headers: { Host: 'a.test', x: 'y', 'x-host': 'b.test', hosts: 'c.test' },
      flat: list,
      hosts: ['a.test'],
    },
    {
      name: 'an iterable of pairs',
      headers: new Map([
        ['Host', 'a.test'],
        ['x', 'y'],
      ]),
      flat: ['Host', 'a.test', 'x', 'y'],
      hosts: ['a.test'],
    },
    {
      name: 'a host twice',
      headers: ['host', 'a.test', 'HOST', 'b.test'],
      flat: ['host', 'a.test', 'HOST', 'b.test'],
      hosts: ['a.test', 'b.test'],
    },
    {
      name: 'several values',
      headers: { host: ['a.test', 'b.test'] },
      flat: ['host', ['a.test', 'b.test']],
      hosts: ['a.test,b.test'],
    },
    { name: 'a host that is none', headers: { host: undefined }, flat: ['host', undefined] },
    {
      name: 'a name as bytes',
      headers: [Buffer.from('host'), 'b.test'],
      flat: ['host', 'b.test'],
      hosts: ['b.test'],
    },
  ])('reads headers: $name', ({ headers, flat, hosts = [] }) => {
    const read = readDispatch({ ...REQUEST, headers });
    expect(read.hosts).toEqual(hosts);
    expect(read.options['headers']).toEqual(flat ?? headers);
  });

  it('reads everything once, and keeps nothing that changes later', () => {
    const reads: string[] = [];
    const values = ['a.test'];
    const given = new Proxy(
      { ...REQUEST, servername: 'a.test', headers: { host: values }, dispatcher: {} },
      {
        get(target, key) {
          reads.push(String(key));
          return Reflect.get(target, key) as unknown;
        },
      },
    );
    const { options, method, path, servername } = readDispatch(given);
    expect({ method, path, servername }).toEqual({ method: 'GET', path: '/', servername: 'a.test' });
    expect(reads).toEqual([...new Set(reads)]);
    expect(options).not.toHaveProperty('dispatcher');
    values.push('b.test');
    expect(options['headers']).toEqual(['host', ['a.test']]);
  });
});
