/** What peers tell is passed on, and bounded however talkative they are. */

import { expect, test } from 'vitest';

import { createPeersRung, toldHoldMs, toldMax } from '../../../src/adapters/peers/peers-rung.ts';
import { sightingsMax } from '../../../src/adapters/discovery/sighting-table.ts';
import { beaconOf } from '../../contract/rung.ts';
import { createManualClock, createStory } from '../bonjour-lab/manual-clock.ts';

const teller = beaconOf('teller').node;
const node = beaconOf('a').node;
const addresses = [{ host: '10.0.0.1', port: 1883 }];

async function open() {
  const clock = createManualClock();
  const story = createStory();
  const rung = createPeersRung({ clock });
  await rung.start(story.handlers);
  return { clock, rung, lines: story.lines };
}

test('a told address is reported at once, and again on a burst', async () => {
  const { rung, lines } = await open();
  rung.told(teller, [{ node, addresses }]);
  rung.burst();
  expect(lines).toEqual([`seen ${node} 10.0.0.1:1883`, `seen ${node} 10.0.0.1:1883`]);
});

test('a told address that is not confirmed expires after 10 minutes', async () => {
  const { clock, rung, lines } = await open();
  rung.told(teller, [{ node, addresses }]);
  clock.advance(toldHoldMs - 1);
  expect(rung.records().length).toBe(1);
  clock.advance(1);
  expect(lines.at(-1)).toBe(`lost ${node}`);
});

test('one telling counts for 64 nodes, and all of them together for 256', async () => {
  const { rung } = await open();
  const crowd = Array.from({ length: 5_000 }, (_, at) => beaconOf(`${at}`).node);
  rung.told(
    teller,
    crowd.map((member) => ({ node: member, addresses })),
  );
  expect(rung.records().length).toBe(toldMax);
  for (const member of crowd) rung.told(teller, [{ node: member, addresses }]);
  expect(rung.records().length).toBe(sightingsMax);
});

test('a talkative liar does not push out what another member told', async () => {
  const { rung } = await open();
  rung.told(teller, [{ node, addresses }]);
  for (let at = 0; at < 1_000; at += 1) {
    rung.told(beaconOf('liar').node, [{ node: beaconOf(`${at}`).node, addresses }]);
  }
  expect(rung.records().some((record) => record.node === node)).toBe(true);
});

test('before start and after stop nothing is reported', async () => {
  const { rung, lines, clock } = await open();
  await rung.stop();
  rung.told(teller, [{ node, addresses }]);
  expect(lines).toEqual([]);
  expect(clock.alarmCount()).toBe(0);
});
