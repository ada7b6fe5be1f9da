/** Neighbours are told from strangers by their address. */

import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  broadcastOf,
  isLinkLocal,
  isNeighbour,
  isOnLink,
  isPrivateHost,
} from '../../../src/adapters/discovery/lan-address.ts';

test.each([
  ['10.1.2.3', true],
  ['172.16.0.1', true],
  ['172.32.0.1', false],
  ['192.168.255.1', true],
  ['169.254.1.1', true],
  ['127.0.0.1', true],
  ['8.8.8.8', false],
  ['100.64.0.1', false],
  ['fd00::1', true],
  ['2001:db8::1', false],
  ['fe80::1', false],
  ['::1', true],
  ['::ffff:8.8.8.8', false],
  ['no address', false],
])('%s is private: %s', (host, isPrivate) => {
  expect(isPrivateHost(host)).toBe(isPrivate);
});

test('a public address is a neighbour only inside of one of our subnets', () => {
  const subnets = [{ host: '192.0.2.2', family: 'IPv4', prefix: 24 }] as const;
  expect(isNeighbour('192.0.2.200', subnets)).toBe(true);
  expect(isNeighbour('192.0.3.200', subnets)).toBe(false);
});

test('only 169.254/16 and fe80::/10 are link-local', () => {
  const hosts = ['169.254.9.9', 'fe80::1', 'FEBF::1', 'fec0::1', '169.255.0.1'];
  expect(hosts.map(isLinkLocal)).toEqual([true, true, true, false, false]);
});

test('a /31, a /32 and a broken prefix have no broadcast address', () => {
  expect(broadcastOf('10.0.0.1', 24)).toBe('10.0.0.255');
  expect(broadcastOf('10.0.0.1', 30)).toBe('10.0.0.3');
  expect(broadcastOf('200.1.2.3', 1)).toBe('255.255.255.255');
  for (const prefix of [31, 32, 0, -1]) expect(broadcastOf('10.0.0.1', prefix)).toBeUndefined();
  expect(broadcastOf('fd00::1', 24)).toBeUndefined();
});

test('the broadcast address of a subnet is on its link, for every address and prefix', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 1, max: 30 }), (host, prefix) => {
      const broadcast = broadcastOf(host, prefix) ?? '';
      expect(isOnLink(broadcast, [{ host, family: 'IPv4', prefix }])).toBe(true);
      expect(broadcastOf(broadcast, prefix)).toBe(broadcast);
    }),
  );
});
