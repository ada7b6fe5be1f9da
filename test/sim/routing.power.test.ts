import { describe, expect, test } from 'vitest';
import {
  comeBack,
  cutOff,
  flapLinks,
  full,
  heardOf,
  quietMesh,
  smallMeshes,
} from './routing-shapes.ts';
import { seedsFor } from './swarm.ts';

/** Per shape; SIM_SEEDS makes it more. */
const seedCount = 10;

describe.each(Object.entries(smallMeshes))('a power cut on a %s', (_name, { count, edges }) => {
  test('loses no event of the origin that was on its disk, repeats none and keeps their order', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count, edges, latencyMs: { min: 1, spread: 40 } });
      flapLinks(mesh, 6_000);
      let made = 0;
      const safe: string[] = [];
      for (let life = 0; life < 3; life += 1) {
        for (let step = 0; step < 60; step += 1) {
          mesh.at(mesh.now + mesh.random.below(1_500), () => {
            const topic = `t/${made % 3}`;
            mesh.publishTo(0, topic, `${made}`);
            made += 1;
          });
        }
        const from = made;
        mesh.runUntil(mesh.now + 1_500);
        const last = mesh.node(0).router.lastSeq();
        // The last batch may not have reached the disk.
        const writtenTo = last - mesh.random.below(8);
        const lost = last - writtenTo;
        for (let text = from; text < made - lost; text += 1) safe.push(`${text}`);
        cutOff(mesh, 0);
        mesh.powerCut(0, writtenTo);
        mesh.runUntil(mesh.now + mesh.random.below(400));
        comeBack(mesh, 0);
      }
      mesh.publishTo(0, 'after', 'after');
      mesh.runUntil(mesh.now + 60_000);
      for (let at = 1; at < count; at += 1) {
        const heard = heardOf(mesh, at, 0);
        const where = `at ${at}, seed ${seed}`;
        expect(new Set(heard).size, `repeats ${where}`).toBe(heard.length);
        expect(heard.at(-1), where).toBe('after');
        const order = heard.slice(0, -1).map(Number);
        expect(order, `order ${where}`).toEqual([...order].sort((one, other) => one - other));
        expect(heard, where).toEqual(expect.arrayContaining(safe));
        // What was under way and never came to the disk is gone, and may be told; nothing that was heard is.
        const unheard = made + 1 - heard.length;
        expect(mesh.node(at).log.gaps, `gaps ${where}`).toBeLessThanOrEqual(unheard);
      }
      expect(mesh.node(0).router.view().outbox.count).toBe(0);
    }
  });

  test('of a receiver loses it nothing that it had not acknowledged', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count, edges, latencyMs: { min: 1, spread: 40 } });
      const last = count - 1;
      for (let made = 0; made < 100; made += 1) {
        mesh.at(mesh.now + 10 * made, () => mesh.publishTo(0, 't', `${made}`));
      }
      mesh.runUntil(300 + mesh.random.below(600));
      cutOff(mesh, last);
      mesh.runUntil(mesh.now + 100);
      const before = heardOf(mesh, last, 0);
      mesh.powerCut(last, 0);
      comeBack(mesh, last);
      mesh.runUntil(30_000);
      const after = heardOf(mesh, last, 0);
      const all = Array.from({ length: 100 }, (_, at) => `${at}`);
      expect(after, `seed ${seed}`).toEqual(all.slice(100 - after.length));
      expect(before.length + after.length, `seed ${seed}`).toBeGreaterThanOrEqual(100);
      expect(mesh.node(last).log.gaps).toBe(0);
    }
  });
});

test('what is owed to a member that does not come back is given up and counted', () => {
  const mesh = quietMesh({ seed: 1, count: 3, edges: full(3) });
  cutOff(mesh, 2);
  mesh.runUntil(300);
  for (let made = 0; made < 5; made += 1) mesh.publishTo(0, 't', `${made}`);
  cutOff(mesh, 0);
  mesh.powerCut(0, Infinity);
  mesh.node(0).router.memberJoined(mesh.now, mesh.node(1).id, 1);
  for (const link of mesh.links) if (!link.ends.includes(2)) mesh.open(link);
  mesh.runUntil(10_000);
  expect(heardOf(mesh, 1, 0)).toEqual(['0', '1', '2', '3', '4']);
  expect(mesh.node(0).router.view().outbox.count).toBe(5);
  mesh.runUntil(301_000);
  expect(mesh.node(0).router.view().outbox.count).toBe(0);
  expect(mesh.drops.get('outbox-dead')).toBe(5);
});
