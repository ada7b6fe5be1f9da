/** Seeds lead to addresses, by themselves or by DNS, again and again until somebody is there. */

import { afterEach, expect, test, vi } from 'vitest';

import { createSystemResolver } from '../../../src/adapters/seeds/resolver.ts';
import { createSeedsRung, seedsMax } from '../../../src/adapters/seeds/rung.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createManualClock, createStory } from '../bonjour-lab/manual-clock.ts';
import { startDnsServer } from './dns-server.ts';
import type { SrvZone } from './dns-server.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function open(seeds: readonly string[], zone: Record<string, SrvZone[string]> = {}) {
  const clock = createManualClock();
  const story = createStory();
  const dns = await startDnsServer(zone);
  const resolver = createSystemResolver([dns.server]);
  const rung = createSeedsRung({
    clock,
    random: createRandom(1),
    seeds,
    portDefault: 1883,
    resolver,
  });
  cleanups.push(
    () => rung.stop(),
    () => dns.stop(),
  );
  await rung.start(story.handlers);
  return { clock, rung, lines: story.lines };
}

test('an address is reported at once, with the default port where it names none', async () => {
  const { lines } = await open(['10.0.0.1', '10.0.0.2:99', '[fd00::1]:7']);
  expect(lines).toEqual(['seen - 10.0.0.1:1883', 'seen - 10.0.0.2:99', 'seen - fd00::1:7']);
});

test('a name with a port leads to its addresses at that port', async () => {
  const { lines } = await open(['localhost:99']);
  await vi.waitFor(() => expect(lines.length).toBe(1));
  expect(lines[0]).toContain('127.0.0.1:99');
});

test('a name without a port leads to its SRV targets, best first', async () => {
  const { lines, rung } = await open(['mesh.example'], {
    '_mycel._tcp.mesh.example': [
      { priority: 20, weight: 0, port: 3, target: 'localhost' },
      { priority: 10, weight: 1, port: 2, target: 'localhost' },
      { priority: 10, weight: 9, port: 1, target: 'localhost' },
    ],
  });
  await vi.waitFor(() => expect(lines.length).toBe(3));
  expect(lines.map((line) => /127\.0\.0\.1:(\d)/.exec(line)?.[1])).toEqual(['1', '2', '3']);
  expect(rung.records().length).toBe(3);
  expect(rung.records()[0]?.node).toBeUndefined();
});

test('a target that does not resolve does not hide the others', async () => {
  const { lines } = await open(['mesh.example'], {
    '_mycel._tcp.mesh.example': [
      { priority: 1, weight: 0, port: 1, target: 'nobody.invalid' },
      { priority: 2, weight: 0, port: 2, target: 'localhost' },
    ],
  });
  await vi.waitFor(() => expect(lines.length).toBe(1));
  expect(lines[0]).toContain('127.0.0.1:2');
});

test('a name without SRV falls back to its addresses and the default port', async () => {
  const { lines } = await open(['localhost']);
  await vi.waitFor(() => expect(lines.length).toBe(1));
  expect(lines[0]).toContain('127.0.0.1:1883');
});

test('a name that does not resolve is reported with the fix and asked again at a doubling pace', async () => {
  const zone: Record<string, SrvZone[string]> = {};
  const { clock, lines } = await open(['mesh.invalid', '10.0.0.1'], zone);
  await vi.waitFor(() => expect(lines.at(-1)).toMatch(/^trouble Seed 'mesh.invalid' does not/));
  expect(lines[0]).toBe('seen - 10.0.0.1:1883');
  zone['_mycel._tcp.mesh.invalid'] = [{ priority: 1, weight: 0, port: 5, target: 'localhost' }];
  clock.advance(1_100);
  await vi.waitFor(() => expect(lines).toContain('trouble -'));
  expect(lines.some((line) => line.includes('127.0.0.1:5'))).toBe(true);
});

test('a burst asks at once', async () => {
  const { lines, rung } = await open(['10.0.0.1']);
  rung.burst();
  expect(lines.length).toBe(2);
});

test('nothing is reported after stop, not even an answer that was on its way', async () => {
  const { clock, lines, rung } = await open(['localhost:99']);
  await rung.stop();
  clock.advance(100_000);
  await new Promise((resolve) => setImmediate(resolve));
  expect(lines).toEqual([]);
  expect(clock.alarmCount()).toBe(0);
});

test.each([['a b'], [''], ['host:99999'], [':1'], ['[::1']])('the seed %j is refused', (seed) => {
  const options = { clock: createManualClock(), random: createRandom(1), portDefault: 1883 };
  expect(() => createSeedsRung({ ...options, seeds: [seed] })).toThrow('is not host:port');
});

test('a 33rd seed is refused', () => {
  const seeds = Array.from({ length: seedsMax + 1 }, () => '10.0.0.1');
  const options = { clock: createManualClock(), random: createRandom(1), portDefault: 1883 };
  expect(() => createSeedsRung({ ...options, seeds })).toThrow('32 seeds');
});
