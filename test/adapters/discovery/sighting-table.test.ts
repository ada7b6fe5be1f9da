/** What a rung has heard stays bounded, expires on time and is reported once. */

import { expect, test } from 'vitest';

import {
  createSightingTable,
  sightingAddressesMax,
  sightingRepeatMs,
  sightingsMax,
} from '../../../src/adapters/discovery/sighting-table.ts';
import type { Heard } from '../../../src/adapters/discovery/sighting-table.ts';
import { beaconOf } from '../../contract/rung.ts';
import { createManualClock, createStory } from '../bonjour-lab/manual-clock.ts';

function open(limit?: number) {
  const clock = createManualClock();
  const story = createStory();
  const table = createSightingTable({
    rung: 'mdns',
    clock,
    handlers: story.handlers,
    ...(limit === undefined ? {} : { limit }),
  });
  return { clock, story: story.lines, table };
}

function heard(label: string, more: Partial<Heard> = {}): Heard {
  const { node, meshTag, state } = beaconOf(label);
  const addresses = [{ host: '10.0.0.1', port: 1883 }];
  return { node, meshTag, state, addresses, holdMs: 60_000, source: '10.0.0.1', ...more };
}
const a = beaconOf('a').node;

test('a node heard again without news is reported again only every 10 seconds', () => {
  const { clock, story, table } = open();
  expect(table.hear(heard('a'))).toBe('new');
  clock.advance(sightingRepeatMs - 1);
  expect(table.hear(heard('a'))).toBe('known');
  expect(story).toEqual([`seen ${a} 10.0.0.1:1883`]);
  clock.advance(1);
  table.hear(heard('a'));
  expect(story.length).toBe(2);
});

test('a changed state, a new address and a restart are reported at once', () => {
  const { story, table } = open();
  table.hear(heard('a', { mark: 1 }));
  table.hear(heard('a', { mark: 1, state: 'open' }));
  table.hear(heard('a', { mark: 1, state: 'open', addresses: [{ host: '10.0.0.2', port: 1 }] }));
  expect(table.hear(heard('a', { mark: 2, state: 'open' }))).toBe('restarted');
  expect(story).toEqual([
    `seen ${a} 10.0.0.1:1883`,
    `seen ${a} 10.0.0.1:1883`,
    `seen ${a} 10.0.0.2:1,10.0.0.1:1883`,
    `seen ${a} 10.0.0.1:1883,10.0.0.2:1`,
  ]);
});

test('hearing prolongs a life; silence ends it at the hold time, not earlier', () => {
  const { clock, story, table } = open();
  table.hear(heard('a'));
  clock.advance(40_000);
  table.hear(heard('a'));
  clock.advance(59_999);
  expect(story.includes(`lost ${a}`)).toBe(false);
  clock.advance(1);
  expect(story.at(-1)).toBe(`lost ${a}`);
  expect(table.size).toBe(0);
  expect(clock.alarmCount()).toBe(0);
});

test('a goodbye is believed only from an address of the node', () => {
  const { story, table } = open();
  table.hear(heard('a'));
  table.forget(a, '10.0.0.66');
  expect(story.includes(`lost ${a}`)).toBe(false);
  table.forget(a, '10.0.0.1');
  expect(story.at(-1)).toBe(`lost ${a}`);
});

test('a flooder pushes out its own inventions, never the quiet neighbours', () => {
  const { table } = open();
  for (let at = 0; at < 10; at += 1) {
    table.hear(heard(`good ${at}`, { source: `10.0.1.${at}` }));
  }
  for (let at = 0; at < 30_000; at += 1) table.hear(heard(`bad ${at}`, { source: '10.0.0.66' }));
  expect(table.size).toBe(sightingsMax);
  const nodes = new Set(table.records().map((record) => record.node));
  for (let at = 0; at < 10; at += 1) expect(nodes.has(beaconOf(`good ${at}`).node)).toBe(true);
});

test('every node that is pushed out is reported lost', () => {
  const { story, table } = open(2);
  for (const label of ['a', 'b', 'c']) table.hear(heard(label, { source: label }));
  expect(story.filter((line) => line.startsWith('lost'))).toEqual([`lost ${a}`]);
});

test('a node keeps its eight youngest addresses', () => {
  const { table } = open();
  for (let at = 0; at < 20; at += 1) {
    table.hear(heard('a', { addresses: [{ host: `10.0.0.${at}`, port: 1 }] }));
  }
  const addresses = table.records()[0]?.addresses ?? [];
  expect(addresses.length).toBe(sightingAddressesMax);
  expect(addresses[0]).toEqual({ host: '10.0.0.19', port: 1 });
});

test('a closed table reports nothing and holds no alarm', () => {
  const { clock, story, table } = open();
  table.hear(heard('a'));
  table.close();
  table.hear(heard('b'));
  clock.advance(1_000_000);
  expect(story.length).toBe(1);
  expect(clock.alarmCount()).toBe(0);
});
