import { describe, expect, it } from 'vitest';
import { type Hop, redirectOf } from '../../../src/egress/transport/redirect.ts';

const BODY = { content: 'x', stream: false };
const BODY_HEADERS = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];
const ORIGIN_HEADERS = ['authorization', 'proxy-authorization', 'cookie'];

const hopOf = (more: Partial<Hop> = {}): Hop => ({
  url: new URL('https://a.test/dir/page?q#part'),
  method: 'GET',
  body: undefined,
  referrerPolicy: 'origin',
  ...more,
});
const answer = (status: number, headers: Record<string, string> = { location: '/next' }, type = 'default') => ({
  status,
  type: type as Response['type'],
  headers: new Headers(headers),
});

describe('redirectOf', () => {
  it.each([200, 204, 300, 304, 305, 306, 309, 404])('takes %i for the answer itself', (status) => {
    expect(redirectOf(hopOf(), answer(status), 0, 'follow')).toBeUndefined();
    expect(redirectOf(hopOf(), answer(status), 0, 'error')).toBeUndefined();
  });

  it.each([301, 302, 303, 307, 308])('follows %i to the same origin with all headers', (status) => {
    expect(redirectOf(hopOf(), answer(status), 0, 'follow')).toEqual({
      hop: hopOf({ url: new URL('https://a.test/next#part') }),
      dropHeaders: [],
      crossOrigin: false,
    });
  });

  it('takes a redirect without a location for the answer itself', () => {
    expect(redirectOf(hopOf(), answer(302, {}), 0, 'follow')).toBeUndefined();
  });

  it.each([
    { status: 301, method: 'POST', next: 'GET' },
    { status: 302, method: 'POST', next: 'GET' },
    { status: 303, method: 'POST', next: 'GET' },
    { status: 303, method: 'PUT', next: 'GET' },
    { status: 303, method: 'GET', next: 'GET', keeps: true },
    { status: 303, method: 'HEAD', next: 'HEAD', keeps: true },
    { status: 301, method: 'PUT', next: 'PUT', keeps: true },
    { status: 302, method: 'DELETE', next: 'DELETE', keeps: true },
    { status: 307, method: 'POST', next: 'POST', keeps: true },
    { status: 308, method: 'POST', next: 'POST', keeps: true },
  ])('makes $next of $method at $status', ({ status, method, next, keeps = false }) => {
    const redirect = redirectOf(hopOf({ method, body: BODY }), answer(status), 0, 'follow');
    expect(redirect?.hop).toMatchObject({ method: next, body: keeps ? BODY : undefined });
    expect(redirect?.dropHeaders).toEqual(keeps ? [] : BODY_HEADERS);
  });

  it.each([
    { location: 'https://b.test/', crossOrigin: true },
    { location: 'http://a.test/', crossOrigin: true },
    { location: 'https://a.test:8443/', crossOrigin: true },
    { location: '//b.test/', crossOrigin: true },
    { location: 'https://a.test:443/', crossOrigin: false },
  ])('tells no other origin what was for this one: $location', ({ location, crossOrigin }) => {
    const redirect = redirectOf(hopOf({ method: 'POST', body: BODY }), answer(303, { location }), 0, 'follow');
    expect(redirect?.crossOrigin).toBe(crossOrigin);
    expect(redirect?.dropHeaders).toEqual([...BODY_HEADERS, ...(crossOrigin ? ORIGIN_HEADERS : [])]);
  });

  it.each([
    { location: 'next', url: 'https://a.test/dir/next#part' },
    { location: '', url: 'https://a.test/dir/page?q#part' },
    { location: '#other', url: 'https://a.test/dir/page?q#other' },
    { location: '/next#', url: 'https://a.test/next#part' },
    { location: Buffer.from('/é~').toString('latin1'), url: 'https://a.test/%C3%A9~#part' },
    { location: Buffer.from('é').toString('latin1'), url: 'https://a.test/dir/%C3%A9#part' },
    { location: '/a b~', url: 'https://a.test/a%20b~#part' },
  ])('reads the location $location', ({ location, url }) => {
    expect(redirectOf(hopOf(), answer(307, { location }), 0, 'follow')?.hop.url.href).toBe(url);
  });

  it.each([
    { name: 'none', header: undefined, policy: 'origin' },
    { name: 'one', header: 'no-referrer', policy: 'no-referrer' },
    { name: 'the last that is known', header: 'same-origin, strict-origin , later', policy: 'strict-origin' },
    { name: 'none that is known', header: 'later,', policy: 'origin' },
    ...['no-referrer-when-downgrade', 'origin-when-cross-origin', 'strict-origin-when-cross-origin', 'unsafe-url'].map(
      (policy) => ({ name: policy, header: policy, policy }),
    ),
  ])('goes on with the referrer policy of the answer: $name', ({ header, policy }) => {
    const headers = { location: '/', ...(header === undefined ? {} : { 'referrer-policy': header }) };
    expect(redirectOf(hopOf(), answer(302, headers), 0, 'follow')?.hop.referrerPolicy).toBe(policy);
  });

  it.each([
    { name: 'that nobody wanted', given: answer(302), mode: 'error', message: 'unexpected redirect' },
    {
      name: 'without a location that nobody wanted',
      given: answer(302, {}),
      mode: 'error',
      message: 'unexpected redirect',
    },
    {
      name: 'whose location is hidden',
      given: answer(0, {}, 'opaqueredirect'),
      message: 'redirect whose location cannot be seen',
    },
    {
      name: 'to no URL',
      given: answer(302, { location: 'https://canary:x/' }),
      message: 'redirect to a location that is no URL',
    },
    ...['file:///canary', 'data:,canary', 'ws://canary.test/', 'xhttps://canary.test/', 'httpsx://canary.test/'].map(
      (location) => ({
        name: `to ${location}`,
        given: answer(302, { location }),
        message: 'redirect to a scheme that is not HTTP(S)',
      }),
    ),
    { name: 'after twenty', given: answer(302), followed: 20, message: 'redirect count exceeded' },
    {
      name: 'of a stream',
      given: answer(307),
      body: { content: 'x', stream: true },
      message: 'redirect of a body that can be sent only once',
    },
    {
      name: 'of a stream, to GET',
      given: answer(302),
      body: { content: 'x', stream: true },
      message: 'redirect of a body that can be sent only once',
    },
  ])('follows no redirect $name', ({ given, followed = 0, mode = 'follow', body, message }) => {
    const hop = hopOf({ method: 'POST', body });
    expect(() => redirectOf(hop, given, followed, mode as 'follow' | 'error')).toThrow(new Error(message));
  });

  it('follows the twentieth, and a 303 that does not send the stream again', () => {
    expect(redirectOf(hopOf(), answer(302), 19, 'follow')).toBeDefined();
    const stream = { content: 'x', stream: true };
    expect(redirectOf(hopOf({ method: 'POST', body: stream }), answer(303), 0, 'follow')?.hop.body).toBeUndefined();
  });
});
