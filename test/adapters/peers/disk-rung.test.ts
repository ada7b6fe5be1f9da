/** Known peers survive a restart, wear no flash, and a damaged record is no catastrophe. */

import { expect, test, vi } from 'vitest';

import {
  createDiskRung,
  knownPeersMax,
  saveEveryMs,
} from '../../../src/adapters/peers/disk-rung.ts';
import type { KnownPeer } from '../../../src/adapters/peers/disk-rung.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { beaconOf } from '../../contract/rung.ts';
import { createManualClock, createStory } from '../bonjour-lab/manual-clock.ts';

const { node, meshTag } = beaconOf('a');
const at = (host: string): { host: string; port: number }[] => [{ host, port: 1883 }];

function open(stored: unknown = []) {
  const clock = createManualClock();
  const story = createStory();
  const saves: (readonly KnownPeer[])[] = [];
  const disk = { isFull: false };
  const rung = createDiskRung({
    clock,
    random: createRandom(1),
    load: () => Promise.resolve(stored),
    save(peers) {
      if (disk.isFull) return Promise.reject(new Error('no space left'));
      saves.push(structuredClone(peers));
      return Promise.resolve();
    },
  });
  return { clock, story, saves, disk, rung };
}

/** Lets promises that are already settled run. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a peer remembered before a restart is seen after it, newest first', async () => {
  const before = open();
  await before.rung.start(before.story.handlers);
  before.rung.remember(node, at('10.0.0.1'), meshTag);
  before.rung.remember(beaconOf('b').node, at('10.0.0.2'), meshTag);
  await before.rung.stop();
  const after = open(before.saves.at(-1));
  await after.rung.start(after.story.handlers);
  expect(after.story.lines).toEqual([
    `seen ${beaconOf('b').node} 10.0.0.2:1883`,
    `seen ${node} 10.0.0.1:1883`,
  ]);
});

test('however often peers change, the disk is written once a minute at most', async () => {
  const { clock, rung, saves, story } = open();
  await rung.start(story.handlers);
  for (let second = 0; second < 300; second += 1) {
    rung.remember(node, at(`10.0.${second >> 8}.${second & 255}`), meshTag);
    clock.advance(1_000);
    await settle();
  }
  expect(saves.length).toBeGreaterThanOrEqual(5);
  expect(saves.length).toBeLessThanOrEqual(6);
  await rung.stop();
  expect(saves.at(-1)?.[0]?.addresses[0]?.host).toBe('10.0.1.43');
});

test('what is no news is not written', async () => {
  const { clock, rung, saves, story } = open([{ node, meshTag, addresses: at('10.0.0.1') }]);
  await rung.start(story.handlers);
  for (let minute = 0; minute < 10; minute += 1) {
    rung.remember(node, at('10.0.0.1'), meshTag);
    clock.advance(saveEveryMs);
    await settle();
  }
  await rung.stop();
  expect(saves).toEqual([]);
});

test('the 129th peer pushes out the one confirmed longest ago', async () => {
  const { rung, saves, story } = open();
  await rung.start(story.handlers);
  for (let count = 0; count < knownPeersMax; count += 1) {
    rung.remember(beaconOf(`${count}`).node, at('10.0.0.1'), meshTag);
  }
  rung.remember(beaconOf('0').node, at('10.0.0.1'), meshTag);
  rung.remember(node, at('10.0.0.1'), meshTag);
  await rung.stop();
  const nodes = saves.at(-1)?.map((peer) => peer.node) ?? [];
  expect(nodes.length).toBe(knownPeersMax);
  expect(nodes.slice(0, 2)).toEqual([node, beaconOf('0').node]);
  expect(nodes).not.toContain(beaconOf('1').node);
});

test.each([
  ['nothing', undefined],
  ['text', 'peers'],
  ['a foreign shape', { peers: [] }],
  ['broken entries', [null, 7, {}, { node: 'x' }, { node, meshTag: 'no', addresses: at('h') }]],
  [
    'bad addresses',
    [{ node, meshTag, addresses: [null, { host: 'a b', port: 1 }, { host: 'h' }] }],
  ],
])('%s on disk is read as no peers, without trouble', async (_, stored) => {
  const { rung, story } = open(stored);
  await rung.start(story.handlers);
  expect(story.lines).toEqual([]);
  expect(rung.records()).toEqual([]);
});

test('an unreadable disk is reported and the rung works on', async () => {
  const { clock, story } = open();
  const rung = createDiskRung({
    clock,
    random: createRandom(1),
    load: () => Promise.reject(new Error('I/O error')),
    save: () => Promise.resolve(),
  });
  await rung.start(story.handlers);
  rung.remember(node, at('10.0.0.1'), meshTag);
  expect(story.lines).toEqual(['trouble The known peers cannot be read (I/O error).']);
  expect(rung.records().length).toBe(1);
});

test('a full disk is reported, tried again each minute and cleared when it has room', async () => {
  const { clock, disk, rung, saves, story } = open();
  await rung.start(story.handlers);
  disk.isFull = true;
  rung.remember(node, at('10.0.0.1'), meshTag);
  clock.advance(1_000);
  await vi.waitFor(() => expect(story.lines.at(-1)).toMatch(/^trouble .*no space left/));
  disk.isFull = false;
  clock.advance(saveEveryMs);
  await vi.waitFor(() => expect(saves.length).toBe(1));
  expect(story.lines.filter((line) => line === 'trouble -').length).toBe(1);
});

test('a forgotten peer is lost and gone from the disk', async () => {
  const { rung, saves, story } = open([{ node, meshTag, addresses: at('10.0.0.1') }]);
  await rung.start(story.handlers);
  rung.forget(node);
  await rung.stop();
  expect(story.lines.at(-1)).toBe(`lost ${node}`);
  expect(saves).toEqual([[]]);
});

test('peers are told again at a doubling pace, so that a mesh that starts all at once meets', async () => {
  const { clock, rung, story } = open([{ node, meshTag, addresses: at('10.0.0.1') }]);
  await rung.start(story.handlers);
  clock.advance(8_000);
  expect(story.lines.length).toBe(4);
  await rung.stop();
  expect(clock.alarmCount()).toBe(0);
});
