import { describe, expect, it } from 'vitest';
import { policy, reasonOf } from '../../helpers/egress-policy.ts';

interface Row {
  readonly url: string;
  /** Undefined: allowed. */
  readonly reason?: string;
  readonly method?: string;
}

describe('createPolicy', () => {
  it.each<Row>([
    { url: 'https://m.test/', method: 'GET' },
    { url: 'https://m.test/', method: 'get' },
    { url: 'https://m.test/', method: 'PURGE' },
    { url: 'https://m.test/', method: 'POST', reason: 'method' },
    { url: 'https://m.test/', method: 'GET ', reason: 'method' },
    { url: 'https://m.test/', method: '', reason: 'method' },
    { url: 'https://m.test/', method: 'ping' },
    { url: 'https://m.test/', method: 'pıng', reason: 'method' },
    { url: 'https://m.test/', reason: 'method' },
    { url: 'http://m.test/', method: 'GET', reason: 'scheme' },
    { url: 'https://p.test/v1' },
    { url: 'https://p.test/v1/' },
    { url: 'https://p.test/v1?x=/../..' },
    { url: 'https://p.test/v1/a/b%20c' },
    { url: 'https://p.test/v1/../v1/a' },
    { url: 'https://p.test/%76%31/a', reason: 'path' },
    { url: 'https://p.test/v1/%2e%2e/v1' },
    { url: 'https://p.test/', reason: 'path' },
    { url: 'https://p.test/v10', reason: 'path' },
    { url: 'https://p.test/V1', reason: 'path' },
    { url: 'https://p.test//v1', reason: 'path' },
    { url: 'https://p.test/v1/../admin', reason: 'path' },
    { url: 'https://p.test/v1/%2e%2e/admin', reason: 'path' },
    { url: 'https://p.test/v1\\..\\admin', reason: 'path' },
    { url: 'https://p.test/v1/..%2fadmin', reason: 'path' },
    { url: 'https://p.test/v1/..%2Fadmin', reason: 'path' },
    { url: 'https://p.test/v1/..%5cadmin', reason: 'path' },
    { url: 'https://p.test/v1/a%2eb', reason: 'path' },
    { url: 'https://p.test/v1/a%00', reason: 'path' },
    { url: 'https://p.test/v1/..;/admin', reason: 'path' },
    { url: 'https://p.test/v1/..%3b/admin', reason: 'path' },
    { url: 'https://p.test/?/v1', reason: 'path' },
    { url: 'https://p.test/#/v1', reason: 'path' },
    { url: 'https://slash.test/v1/' },
    { url: 'https://slash.test/v1/a' },
    { url: 'https://slash.test/v1', reason: 'path' },
    { url: 'https://both.test/r', method: 'GET' },
    { url: 'https://both.test/r', method: 'POST', reason: 'method' },
    { url: 'https://both.test/x', method: 'POST', reason: 'method' },
    { url: 'https://both.test/x', method: 'GET', reason: 'path' },
    { url: 'https://two.test/a', method: 'GET' },
    { url: 'https://two.test/b', method: 'POST' },
    { url: 'https://two.test/b', method: 'GET', reason: 'path' },
    { url: 'https://open.test/..%2f', method: 'POST' },
    // Closed, although open.test is open as a whole.
    { url: 'https://open.test/', method: 'DELETE', reason: 'method' },
    { url: 'https://open.test/', method: 'delete', reason: 'method' },
    { url: 'https://shut.test/x', reason: 'method' },
    { url: 'https://shut.test/x', method: 'GET' },
    { url: 'https://area.test/', method: 'GET' },
    { url: 'https://area.test/admins', method: 'GET' },
    { url: 'https://area.test/admin', method: 'GET', reason: 'path' },
    { url: 'https://area.test/admin/x', method: 'GET', reason: 'path' },
    { url: 'https://area.test/a/../admin', method: 'GET', reason: 'path' },
    { url: 'https://area.test/Admin', method: 'GET', reason: 'path' },
    { url: 'https://area.test//admin', method: 'GET', reason: 'path' },
    { url: 'https://area.test/%61dmin', method: 'GET', reason: 'path' },
    { url: 'https://area.test/admin;x=1/y', method: 'GET', reason: 'path' },
    { url: 'https://area.test/;/admin', method: 'GET', reason: 'path' },
    { url: 'https://area.test/a%2fadmin', method: 'GET', reason: 'path' },
    { url: 'https://area.test/%ff', method: 'GET', reason: 'path' },
    { url: 'https://area.test/%', method: 'GET', reason: 'path' },
    // A Kelvin sign is a small k to servers that do not tell upper from lower case.
    { url: 'https://deep.test/%E2%84%AAiosk/a', method: 'GET', reason: 'path' },
    { url: 'https://deep.test/kiosk/A', method: 'GET', reason: 'path' },
    { url: 'https://deep.test/kiosk', method: 'GET' },
    { url: 'https://deep.test/kioska', method: 'GET' },
    // What a rule closes in no UTF-8 is closed as a whole.
    { url: 'https://bytes.test/', method: 'GET', reason: 'path' },
    { url: 'https://area.test:8443/admin', method: 'GET', reason: 'path' },
    { url: 'https://area.test:8443/', method: 'GET' },
  ])('decides on $method $url by method and path', ({ url, method, reason }) => {
    const decide = policy(
      [
        { host: 'm.test', methods: ['get', 'PURGE', 'PiNG'] },
        { host: 'p.test', path: '/v1' },
        { host: 'slash.test', path: '/v1/' },
        { host: 'both.test', methods: ['GET'], path: '/r' },
        { host: 'two.test', methods: ['GET'], path: '/a' },
        { host: 'two.test', methods: ['POST'], path: '/b' },
        'open.test',
        { host: 'open.test', path: '/v1' },
        'shut.test',
        'area.test',
        'area.test:8443',
        'deep.test',
        'bytes.test',
      ],
      [
        { host: 'open.test', methods: ['DELETE'] },
        { host: 'shut.test', methods: ['DELETE'] },
        { host: 'area.test', path: '/admin/' },
        { host: 'deep.test', path: '/kiosk/a' },
        { host: 'bytes.test', path: '/%ff' },
      ],
    ).judgeUrl;
    for (let i = 0; i < 2; i++) expect(reasonOf(decide(url, method))).toBe(reason);
  });
});
