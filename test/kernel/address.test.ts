/** Addresses are read strictly and written so that they can be read again. */

import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatAddress, isSameAddress, parseAddress } from '../../src/kernel/address.ts';

test.each([
  ['kitchen', 'kitchen', 1883],
  ['kitchen.local', 'kitchen.local', 1883],
  ['kitchen.local:1884', 'kitchen.local', 1884],
  ['küche.example:80', 'küche.example', 80],
  ['192.168.1.20', '192.168.1.20', 1883],
  ['192.168.1.20:65535', '192.168.1.20', 65_535],
  ['[::1]', '::1', 1883],
  ['[fe80::1%eth0]:1', 'fe80::1%eth0', 1],
  ['[2001:db8::7]:1884', '2001:db8::7', 1884],
  ['[::ffff:10.0.0.1]:9', '::ffff:10.0.0.1', 9],
])('%s is %s port %i', (text, host, port) => {
  expect(parseAddress(text, 1883)).toEqual({ host, port });
});

test.each([
  '',
  ':1883',
  'kitchen:',
  'kitchen:0',
  'kitchen:65536',
  'kitchen:123456',
  'kitchen:-1',
  'kitchen:1883:1',
  'kitchen :1883',
  'mqtt://kitchen',
  'user@kitchen',
  'kit\u0000chen',
  '::1',
  '[]',
  '[kitchen]',
  '[::1',
  '::1]',
  '[1::2::3]',
  '[12345::]',
  '[1:2:3:4:5:6:7:8:9]',
  '[::1]1883',
  `${'a'.repeat(254)}`,
])('%j is no address', (text) => {
  expect(parseAddress(text, 1883)).toBeUndefined();
});

test('a default port that is no port is not used', () => {
  expect(parseAddress('kitchen', 0)).toBeUndefined();
  expect(parseAddress('kitchen:1', 0)).toEqual({ host: 'kitchen', port: 1 });
});

const ports = fc.integer({ min: 1, max: 65_535 });

test('a written address reads the same', () => {
  const hosts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  fc.assert(
    fc.property(hosts, ports, (host, port) => {
      expect(parseAddress(formatAddress({ host, port }), 1)).toEqual({ host, port });
    }),
  );
});

test('what is taken for IPv6 is what the operating system takes for it', () => {
  const groups = fc.array(fc.constantFrom('', '0', 'f', '12ab', '1.2.3.4', 'g', '00000'), {
    minLength: 1,
    maxLength: 10,
  });
  fc.assert(
    fc.property(
      fc.oneof(
        groups.map((parts) => parts.join(':')),
        fc.ipV6(),
      ),
      (host) => {
        expect(parseAddress(`[${host}]`, 1) !== undefined).toBe(isIPv6(host));
      },
    ),
    { numRuns: 5_000 },
  );
});

test('no text makes reading throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const address = parseAddress(text, 1883);
      if (address === undefined) return;
      expect(address.port).toBeGreaterThan(0);
      expect(parseAddress(formatAddress(address), 1883)).toEqual(address);
    }),
    { numRuns: 2_000 },
  );
});

test('addresses are the same when host and port are', () => {
  const here = { host: 'a', port: 1 };
  expect(isSameAddress(here, { ...here })).toBe(true);
  expect(isSameAddress(here, { ...here, port: 2 })).toBe(false);
  expect(isSameAddress(here, { ...here, host: 'b' })).toBe(false);
});
