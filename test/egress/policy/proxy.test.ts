import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isSameProxy, parseProxy } from '../../../src/egress/policy/proxy.ts';
import { egress } from '../../../src/guards/egress.ts';
import { thrownBy } from '../../helpers/refused.ts';

const parse = (text: unknown) => parseProxy('egress.proxy', text);
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

describe('parseProxy', () => {
  it.each([
    ['http://proxy.test:3128', { origin: 'http://proxy.test:3128', host: 'proxy.test', port: 3128, secure: false }],
    ['http://proxy.test', { origin: 'http://proxy.test', host: 'proxy.test', port: 80, secure: false }],
    ['https://proxy.test/', { origin: 'https://proxy.test', host: 'proxy.test', port: 443, secure: true }],
    ['HTTP://PROXY.test.:80', { origin: 'http://proxy.test.', host: 'proxy.test', port: 80, secure: false }],
    ['http://127.1:8080', { origin: 'http://127.0.0.1:8080', host: '127.0.0.1', port: 8080, secure: false }],
    ['http://[0:0::1]:8080', { origin: 'http://[::1]:8080', host: '::1', port: 8080, secure: false }],
  ])('reads %s', (text, expected) => {
    expect(parse(text)).toMatchObject(expected);
    expect(parse(text).authorization()).toBeUndefined();
  });

  it.each([
    ['http://user:pass@proxy.test', basic('user:pass')],
    ['http://user@proxy.test', basic('user:')],
    ['http://:pass@proxy.test', basic(':pass')],
    ['http://us%40er:p%3Aa%2Fs%25s@proxy.test', basic('us@er:p:a/s%s')],
    ['http://%C3%BCser:p%C3%A4ss@proxy.test', basic('üser:päss')],
  ])('reads the credentials of %s', (text, expected) => {
    expect(parse(text).authorization()).toBe(expected);
  });

  it.each([
    'proxy.test',
    'proxy.test:3128',
    'socks5://secret:secret@proxy.test',
    'xhttp://secret@proxy.test/',
    new URL('http://secret@proxy.test'),
    'http://secret@proxy.test/secret',
    'http://secret@proxy.test?secret',
    'http://secret@proxy.test#secret',
    'http://secret:%ff@proxy.test',
    'http://secret%3Asecret:secret@proxy.test',
    'http://secret@proxy..test',
    'http://secret@proxy.test:99999',
    '',
    3128,
    null,
    {},
  ])('refuses %o, and shows nothing of it', (text) => {
    const error = thrownBy(() => parse(text));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^`egress\.proxy` must be an origin such as 'http:\/\/proxy\.internal:3128', got /);
    expect(error.message).toMatch(typeof text === 'string' ? /another text$/ : /(?:3128|null|an object)$/);
    expect(inspect(error)).not.toContain('secret');
  });

  it('hides its credentials from whoever looks at it', () => {
    const proxy = parse('http://secretuser:secretpass@proxy.test');
    const guard = egress({ allow: [], proxy: 'http://secretuser:secretpass@proxy.test' });
    for (const shown of [proxy, guard, guard.egress, guard.settings]) {
      for (const text of [inspect(shown, { depth: 9, showHidden: true }), JSON.stringify(shown), String(shown)]) {
        expect(text).not.toMatch(/secret|c2VjcmV0/);
      }
    }
    expect(guard.settings).toMatchObject({ proxy: 'http://proxy.test' });
    expect(Object.isFrozen(proxy)).toBe(true);
  });
});

it.each([
  ['http://proxy.test', 'http://PROXY.test:80', true],
  ['http://a:b@proxy.test', 'http://a:b@proxy.test', true],
  ['http://a:b@proxy.test', 'http://a:c@proxy.test', false],
  ['http://a:b@proxy.test', 'http://proxy.test', false],
  ['http://proxy.test', 'https://proxy.test', false],
  ['http://proxy.test', 'http://proxy.test:81', false],
])('isSameProxy(%o, %o) is %o', (one, other, same) => {
  expect(isSameProxy(parse(one), parse(other))).toBe(same);
  expect(isSameProxy(parse(other), parse(one))).toBe(same);
  expect(isSameProxy(parse(one), undefined)).toBe(false);
  expect(isSameProxy(undefined, undefined)).toBe(true);
});
