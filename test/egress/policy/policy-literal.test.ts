import { describe, expect, it } from 'vitest';
import type { EgressAddressOptions } from '../../../src/egress/policy/address-rules.ts';
import type { EgressRule } from '../../../src/egress/policy/rule.ts';
import { policy, reasonOf } from '../../helpers/egress-policy.ts';

interface Row {
  readonly allow: readonly EgressRule[];
  readonly deny?: readonly EgressRule[];
  readonly addresses?: EgressAddressOptions;
  /** URL and reason; undefined: allowed. */
  readonly urls: Readonly<Record<string, string | undefined>>;
}

/** Which addresses a URL may hold: its rule must hold them, and mean them where they are not public. */
describe('an address in a URL', () => {
  it.each<Row & { name: string }>([
    {
      name: 'is opened by a rule of its own',
      allow: ['http://127.0.0.1:8080', '10.1.2.3', '[::1]:8443', 'http://192.0.2.7', 'fe80::1'],
      urls: {
        'http://127.0.0.1:8080/': undefined,
        'http://127.1:8080/': undefined,
        'http://[::ffff:127.0.0.1]:8080/': undefined,
        'https://10.1.2.3/': undefined,
        'https://[::1]:8443/': undefined,
        'http://192.0.2.7/': undefined,
        'https://[fe80::1]/': undefined,
        'https://127.0.0.1/': 'scheme',
        'http://127.0.0.1/': 'port',
        'http://localhost:8080/': 'host-not-allowed',
      },
    },
    {
      name: 'is opened by a range inside of one special-purpose block, or all of it',
      allow: [
        '10.1.2.0/24',
        '127.0.0.0/8',
        'fd00::/8',
        '192.168.0.0/17',
        '100.64.0.0/10',
        '64:ff9b::/96',
        '169.254.0.0/16',
      ],
      urls: {
        'https://10.1.2.200/': undefined,
        'https://127.9.9.9/': undefined,
        'https://[fd12::1]/': undefined,
        'https://192.168.1.1/': undefined,
        'https://100.64.1.1/': undefined,
        'https://169.254.1.1/': undefined,
        'https://[64:ff9b::a00:1]/': undefined,
        'https://192.168.128.1/': 'host-not-allowed',
        // Metadata services stand in such ranges.
        'https://100.100.100.200/': 'address:cloud-metadata',
        'https://[fd00:ec2::254]/': 'address:cloud-metadata',
        'https://169.254.169.254/': 'address:cloud-metadata',
        'https://[64:ff9b::a9fe:a9fe]/': 'address:cloud-metadata',
      },
    },
    {
      name: 'has to be public where a range spans more than one block',
      allow: ['0.0.0.0/0', '::/0', 'http://192.0.0.0/8', 'http://10.0.0.0/7', 'http://[fe80::]/9'],
      urls: {
        'https://8.8.8.8/': undefined,
        'https://[::ffff:8.8.8.8]/': undefined,
        'https://[2a00:1450::1]/': undefined,
        'http://192.1.2.3/': undefined,
        'http://11.0.0.1/': undefined,
        'https://127.0.0.1/': 'address:loopback',
        'https://0/': 'address:unspecified',
        'https://[::]/': 'address:unspecified',
        'https://[::1]/': 'address:loopback',
        'https://[::ffff:7f00:1]/': 'address:loopback',
        'https://10.0.0.1/': 'address:private',
        'https://[fd00::1]/': 'address:private',
        'https://169.254.169.254/': 'address:cloud-metadata',
        'https://168.63.129.16/': 'address:cloud-metadata',
        'https://[2002:a9fe:a9fe::]/': 'address:cloud-metadata',
        'https://[64:ff9b::808:808]/': 'address:nat64',
        'https://[::808:808]/': 'address:transition',
        'https://224.0.0.1/': 'address:multicast',
        'https://255.255.255.255/': 'address:broadcast',
        'http://192.168.1.1/': 'address:private',
        'http://192.0.2.1/': 'address:documentation',
        'http://10.0.0.1/': 'address:private',
        'http://[fe80::1]/': 'address:link-local',
      },
    },
    {
      name: 'is a metadata service only where a rule names it alone',
      allow: [
        'http://169.254.169.254',
        'http://168.63.129.16/32',
        'http://[fd00:ec2::254]',
        'http://[2002:a9fe:a9fe::]',
      ],
      urls: {
        'http://169.254.169.254/': undefined,
        'http://[::ffff:a9fe:a9fe]/': undefined,
        'http://2852039166/': undefined,
        'http://168.63.129.16/': undefined,
        'http://[fd00:ec2::254]/': undefined,
        'http://[2002:a9fe:a9fe::]/': undefined,
        'http://169.254.170.2/': 'host-not-allowed',
        'http://[64:ff9b::a9fe:a9fe]/': 'host-not-allowed',
      },
    },
    {
      name: 'may be opened by the option as well, and then needs a rule all the same',
      allow: ['0.0.0.0/0'],
      addresses: { allow: ['10.1.2.0/24', '169.254.169.254'] },
      urls: {
        'https://10.1.2.3/': undefined,
        'https://10.1.3.3/': 'address:private',
        'https://169.254.169.254/': undefined,
        'https://169.254.170.2/': 'address:cloud-metadata',
        'http://10.1.2.3/': 'scheme',
        'https://[::1]/': 'host-not-allowed',
      },
    },
    {
      name: 'keeps the methods and the path of the rule that opens it, and no other rule helps',
      allow: [{ host: '10.1.2.3', path: '/v1' }, { host: '10.0.0.0/8', methods: ['GET'], path: '/get' }, '0.0.0.0/0'],
      urls: {
        'https://10.1.2.3/v1/x': undefined,
        'https://10.1.2.3/': 'path',
        'https://10.1.2.4/get': 'method',
        'https://10.1.2.4/': 'method',
        'https://8.8.8.8/': undefined,
        'https://127.0.0.1/': 'address:loopback',
      },
    },
    {
      name: 'behind a NAT64 is judged as the IPv4 address that it carries',
      allow: ['64:ff9b::/96', 'http://[64:ff9b::a01:203]', 'http://10.1.2.0/24', 'a.test'],
      addresses: { nat64: true, allow: ['10.9.9.9'] },
      deny: ['9.9.9.9'],
      urls: {
        'https://[64:ff9b::808:808]/': undefined,
        'https://[64:ff9b::a09:909]/': undefined,
        'https://[64:ff9b::a01:203]/': 'address:private',
        'https://[64:ff9b::7f00:1]/': 'address:loopback',
        'https://[64:ff9b::a9fe:a9fe]/': 'address:cloud-metadata',
        'https://[64:ff9b::909:909]/': 'host-not-allowed',
        'http://[64:ff9b::a01:203]/': undefined,
        'http://[64:ff9b::a01:204]/': 'scheme',
        'http://10.1.2.4/': undefined,
        'https://a.test/': undefined,
      },
    },
    {
      name: 'behind a NAT64 in no form of RFC 6052 needs a rule of its own',
      allow: ['2a00:1450::/32', 'http://[2a00:1450:808:808::1]'],
      addresses: { nat64: ['2a00:1450::/32'], allow: ['::/0'] },
      deny: ['9.9.9.9'],
      urls: {
        'https://[2a00:1450:808:808::]/': undefined,
        'https://[2a00:1450:808:808::1]/': 'address:nat64',
        'http://[2a00:1450:808:808::1]/': undefined,
      },
    },
    {
      name: 'is closed by deny however it was opened',
      allow: ['10.1.2.3', '169.254.169.254', '0.0.0.0/0'],
      addresses: { allow: ['0.0.0.0/0'] },
      deny: ['10.0.0.0/8', '169.254.169.254', '8.8.8.8:443'],
      urls: {
        'https://10.1.2.3/': 'host-not-allowed',
        'https://[::ffff:a01:203]/': 'host-not-allowed',
        'https://169.254.169.254/': 'host-not-allowed',
        'https://8.8.8.8/': 'port',
        'https://8.8.4.4/': undefined,
      },
    },
  ])('$name', ({ allow, deny, addresses, urls }) => {
    const decide = policy(allow, deny, addresses);
    for (const [url, reason] of Object.entries(urls)) {
      for (let again = 0; again < 2; again++) expect(reasonOf(decide.judgeUrl(url, undefined)), url).toBe(reason);
    }
  });

  it('is named by a refusal with its class', () => {
    const verdict = policy(['0.0.0.0/0']).judgeUrl('https://10.1.2.3/secret', 'GET');
    expect(verdict).toEqual({
      allow: false,
      code: 'EGRESS_DENIED',
      reason: 'address:private',
      message: 'host 10.1.2.3 leads to an address that is not allowed (private)',
      target: { scheme: 'https', host: '10.1.2.3', port: 443 },
    });
  });
});
