import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { egress } from '../../src/guards/egress.ts';

describe('reach', () => {
  const ALLOW = [
    'api.example.com',
    '*.wild.test',
    'http://*.wild.test:8080',
    '10.1.2.0/24',
    '2001:db8::/32',
    'http://[::1]:8443',
  ];
  const NETS = new BlockList();
  NETS.addSubnet('10.1.2.0', 24);
  NETS.addSubnet('2001:db8::', 32, 'ipv6');

  // Not `URL.canParse`: once optimized, that of Node 22 refuses Latin-1 that the parser takes.
  function parse(text: string): URL | undefined {
    try {
      return new URL(text);
    } catch {
      return undefined;
    }
  }

  /** The same rules written down a second time, with nothing of the code under test. */
  function oracle(text: string): boolean {
    const url = parse(text);
    if (url === undefined) return false;
    const { protocol, hostname, port, username, password } = url;
    const scheme = protocol.replace(/^ws/, 'http');
    if ((scheme !== 'http:' && scheme !== 'https:') || username + password !== '') return false;
    const secure = scheme === 'https:' && port === '';
    const bare = hostname.replace(/^\[|\]$/g, '');
    const family = isIP(bare);
    if (family !== 0) {
      const loopback = scheme === 'http:' && port === '8443' && bare === '::1';
      return loopback || (secure && NETS.check(bare, family === 6 ? 'ipv6' : 'ipv4'));
    }
    const name = hostname.replace(/\.$/, '');
    if (secure && name === 'api.example.com') return true;
    const wild = /^(?:[a-z0-9_-]{1,63}\.)+wild\.test$/.test(name) && name.length <= 253;
    return wild && (secure || (scheme === 'http:' && port === '8080'));
  }

  const piece = fc.oneof(
    fc.constantFrom(
      'api.example.com',
      'wild.test',
      '.wild.test',
      '10.1.2.3',
      '[::ffff:10.1.2.3]',
      '[2001:db8::1]',
      '[::1]',
    ),
    fc.constantFrom(
      'a',
      '.',
      '..',
      '*',
      '@',
      ':',
      ':443',
      ':8443',
      ':8080',
      '/',
      '\\',
      '?',
      '#',
      '%2e',
      '%2f',
      '%00',
      '\t',
    ),
    fc.constantFrom(
      '。',
      '\u00ad',
      'ａ',
      'xn--',
      '0x',
      '167838211',
      '10.1.',
      '-',
      '_',
      ';',
      ',',
      'user:pass@',
      'evil.test',
    ),
    fc.string({ unit: 'binary', maxLength: 2 }),
  );
  const scheme = fc.constantFrom(
    'https://',
    'http://',
    'wss://',
    'ws://',
    'HTTPS:\\\\',
    'https:',
    'ftp://',
    'blob:https://',
    '//',
    '',
  );
  const host = fc.constantFrom(
    'api.example.com',
    'a.wild.test',
    'b.a.wild.test',
    '10.1.2.9',
    '[2001:db8::1]',
    '[::1]',
    '',
  );
  const noise = fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    fc.array(piece, { maxLength: 3 }).map((all) => all.join('')),
  );
  const url = fc
    .tuple(scheme, noise, host, noise, fc.constantFrom('', '/', '/x', ':8080/', ':8443'))
    .map((all) => all.join(''));

  it('allows exactly the URLs that the rules name, whatever they are made of', () => {
    const { reach } = egress({ allow: ALLOW });
    let allowed = 0;
    fc.assert(
      fc.property(url, (text) => {
        const verdict = reach?.(text, undefined);
        if (verdict?.allow === true) allowed++;
        expect(verdict?.allow).toBe(oracle(text));
      }),
      { numRuns: 20_000 },
    );
    expect(allowed).toBeGreaterThan(500);
  });
});
