import { describe, expect, it } from 'vitest';
import { originAt } from '../../../src/egress/hooks/origin.ts';

describe('originAt', () => {
  it.each([
    ['http', 'a.test', 80, 'a.test', 'a.test', 'http://a.test:80'],
    ['http', 'A.Test.', 8080, 'a.test', 'a.test:8080', 'http://a.test:8080'],
    ['https', 'a.test', 443, 'a.test', 'a.test', 'https://a.test:443'],
    ['https', 'a.test', 80, 'a.test', 'a.test:80', 'https://a.test:80'],
    ['http', '[::1]', 80, '::1', '[::1]', 'http://::1:80'],
    ['http', '127.1', 80, '127.0.0.1', '127.0.0.1', 'http://127.0.0.1:80'],
    ['http', 'no host', 80, 'no host', 'no host', 'http://no host:80'],
  ] as const)('%s %s %i', (scheme, text, port, host, authority, place) => {
    const origin = originAt(scheme, text, port);
    expect(origin).toMatchObject({ scheme, host, port, authority, place, target: { scheme, host, port } });
    expect(originAt(scheme, text, port)).toEqual(origin);
  });

  it('keeps schemes and ports apart', () => {
    const all = [originAt('http', 'b.test', 80), originAt('https', 'b.test', 80), originAt('http', 'b.test', 81)];
    expect(new Set(all.map(({ place }) => place)).size).toBe(3);
  });

  it('does not keep origins without end', () => {
    const first = originAt('http', 'first.test', 80);
    expect(originAt('http', 'first.test', 80)).toBe(first);
    const long = 'x'.repeat(400);
    expect(originAt('http', long, 80)).not.toBe(originAt('http', long, 80));
    for (let i = 0; i < 1_001; i++) originAt('http', `${i}.test`, 80);
    expect(originAt('http', 'first.test', 80)).not.toBe(first);
  });
});
