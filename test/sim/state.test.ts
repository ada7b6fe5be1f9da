import { expect, test } from 'vitest';
import { addressOf } from '../../src/protocol/replication/cell.ts';
import { increment } from '../../src/protocol/replication/writes.ts';
import { StateMesh } from './state-mesh.ts';
import { storm } from './state-storm.ts';

test.for([
  'whole-context',
  'deaf-to-removals',
  'context-of-another-state',
  'counters-reused',
] as const)('the oracle catches the planted bug: %s', (mutation) => {
  const first = Array.from({ length: 12 }, (_, seed) => seed + 1);
  expect(first.some((seed) => storm(seed, mutation).wrong.length > 0)).toBe(true);
});

/**
 * The prior art's fault (protocols 3.3): replicas that can take a few facts at a time, and writes on all of them.
 * All replicas agree in the end; agreement alone proves nothing.
 */
test('facts with a whole context lose writes while all replicas agree; with their own dots they lose none', () => {
  const lost = { bug: 0, own: 0 };
  let written = 0;
  for (let seed = 1; seed <= 3; seed += 1) {
    for (const kind of ['bug', 'own'] as const) {
      const mesh = new StateMesh({
        seed,
        count: 3,
        ...(kind === 'bug' ? { mutation: 'whole-context' as const } : {}),
      });
      mesh.split((at) => at);
      mesh.run(1_000);
      for (let key = 0; key < 900; key += 1) mesh.set(key % 3, `${key % 3} ${key}`, key);
      mesh.heal();
      mesh.run(60_000);
      const sizes = mesh.nodes.map(({ state }) => state.size);
      expect(new Set(sizes).size, 'they agree').toBe(1);
      if (kind === 'bug') written += 900;
      lost[kind] += 900 - (sizes[0] ?? 0);
    }
  }
  expect(lost.own).toBe(0);
  expect(lost.bug).toBeGreaterThan(written / 100);
});

test('a lost life comes back: no counter is used twice, and no count is lost', () => {
  const mesh = new StateMesh({ seed: 7, count: 2 });
  const address = addressOf('counter', ['hits']);
  const hit = (at: number, by: number): void => {
    const node = mesh.nodes[at];
    if (node === undefined) throw new Error('no such node');
    mesh.write(at, address, increment(node.state.entries(address), node.replica, by));
  };
  hit(0, 5);
  mesh.run(5_000);
  const [ann] = mesh.nodes;
  if (ann === undefined) throw new Error('no node');
  const image = ann.journal.slice();
  hit(0, 10);
  mesh.run(5_000);
  // The card is put back to the image: the life that counted 10 is forgotten there, not at the other node.
  mesh.crash(0, 'kept');
  ann.journal = image;
  ann.synced = image.length;
  mesh.split((at) => at);
  mesh.restart(0);
  hit(0, 100);
  mesh.heal();
  mesh.run(20_000);
  const reunion = ann.state.reunite(address);
  expect(reunion).toBeDefined();
  if (reunion !== undefined) mesh.write(0, address, reunion);
  mesh.run(20_000);
  expect(mesh.nodes.map(({ state }) => state.read(address))).toEqual([115, 115]);
  expect(mesh.verdict()).toEqual([]);
});

test('at rest, comparing costs a fixed few bytes', () => {
  const mesh = new StateMesh({ seed: 3, count: 3 });
  for (let key = 0; key < 2_000; key += 1) mesh.set(0, `key ${key}`, key);
  mesh.run(30_000);
  expect(mesh.verdict()).toEqual([]);
  const before = { ...mesh.sent };
  mesh.run(60_000);
  const parcels = mesh.sent.parcels - before.parcels;
  expect(parcels).toBeLessThanOrEqual(3 * 40 * 2);
  expect((mesh.sent.bytes - before.bytes) / parcels).toBeLessThan(64);
});

test('a newcomer is filled a parcel at a time', () => {
  const mesh = new StateMesh({ seed: 5, count: 2 });
  mesh.split((at) => at);
  mesh.run(1_000);
  for (let key = 0; key < 3_000; key += 1) mesh.set(0, `sensor/${key}/value`, key);
  mesh.heal();
  mesh.run(30_000);
  expect(mesh.nodes[1]?.state.size).toBe(3_000);
  expect(mesh.verdict()).toEqual([]);
});
