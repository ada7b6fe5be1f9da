/** Hostile configuration: options of the library, flags of the command and invite files. FUZZ_RUNS sets the inputs. */

import { expect, test } from 'vitest';
import { parseDuration } from '../../device/duration.ts';
import { Failure } from '../../device/failure.ts';
import { collectLabel, parseChoice, parseWhole } from '../../device/options.ts';
import { parseAddress } from '../../src/kernel/address.ts';
import { MycelError } from '../../src/kernel/errors.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { checkOptions } from '../../src/runtime/options.ts';
import { fuzz, runs, timeout } from './fuzz.ts';

const good: Readonly<Record<string, unknown>> = {
  name: 'kitchen',
  dataDir: '/var/lib/mycel',
  port: 1883,
  mesh: 'home',
  join: 'mycel:1:abc',
  seeds: ['192.168.1.4:1883', 'board.local'],
  interfaces: ['eth0'],
  labels: { room: 'kitchen' },
  profile: 'wifi',
  dev: false,
  mdns: true,
  multicast: false,
  logLevel: 'debug',
  guestPort: 1884,
};

const odd: readonly unknown[] = [
  undefined,
  null,
  0,
  -1,
  65_536,
  1.5,
  Number.NaN,
  Infinity,
  '',
  'x'.repeat(1_000),
  'a\u0000b',
  '\ud800',
  true,
  [],
  [[]],
  ['', null],
  {},
  { __proto__: null, a: { b: 1 } },
  Array.from({ length: 100 }, (_, at) => `10.0.0.${at}`),
  Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`k${at}`, 'v'])),
  10n,
  Symbol('odd'),
  () => 1,
  new Date(0),
  new Uint8Array(3),
  JSON.parse('{"__proto__":{"dev":true},"constructor":1}'),
];

test('options of the library', { timeout }, () => {
  const random = createRandom(11);
  const fields = [...Object.keys(good), 'prot', '__proto__', 'constructor', 'toString', ''];
  let accepted = 0;
  for (let run = 0; run < runs; run += 1) {
    const given: Record<string, unknown> = {};
    for (let count = random.below(5); count >= 0; count -= 1) {
      const field = fields[random.below(fields.length)] ?? '';
      const isOdd = random.below(2) === 0;
      const value = isOdd ? odd[random.below(odd.length)] : good[field];
      Object.defineProperty(given, field, { value, enumerable: true, configurable: true });
    }
    try {
      const options = checkOptions(given);
      accepted += 1;
      expect(Object.getPrototypeOf(options)).toBe(Object.prototype);
      for (const field of Object.keys(options)) expect(good).toHaveProperty(field);
    } catch (error) {
      if (!MycelError.is(error) || error.code !== 'MYCEL_BAD_OPTION') {
        throw new Error(`run ${run}: ${Object.keys(given).join(' ')}`, { cause: error });
      }
      expect(error.message.split('\n').length).toBe(1);
      expect(error.message.length).toBeLessThan(1_000);
    }
  }
  expect(accepted).toBeGreaterThan(0);
  expect(accepted).toBeLessThan(runs);
});

test('values of flags', { timeout }, async () => {
  const samples = ['1h30m', '900', 'room=kitchen', 'wifi', 'board.local:1883', '[fe80::1%2]:99'];
  await fuzz(
    samples.map((text) => new TextEncoder().encode(text)),
    (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      let taken = 0;
      for (const parse of [
        () => parseDuration('--ttl', text, 's'),
        () => parseWhole('--port', 0, 65_535)(text),
        () => collectLabel(text, undefined),
        () => parseChoice('--profile', ['wifi'])(text),
      ]) {
        try {
          parse();
          taken += 1;
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          expect(error.exitCode).toBe(2);
        }
      }
      return taken > 0 || parseAddress(text, 1883) !== undefined;
    },
  );
});
