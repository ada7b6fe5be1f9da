/** Large messages among small ones, on lossy links and through power cuts: whole, once, in order, or not at all. */

import { describe, expect, test } from 'vitest';
import {
  comeBack,
  cutOff,
  flapLinks,
  full,
  heardOf,
  line,
  quietMesh,
  ring,
} from './routing-shapes.ts';
import { seedsFor } from './swarm.ts';

/** Per shape; SIM_SEEDS makes it more. */
const seedCount = 3;

/** A message in so many parts, which begins with its number. */
const textOf = (number: number, parts: number): string =>
  `${number} `.padEnd(parts === 0 ? 8 : parts * 96 * 1024 - 7, `${number % 10}`);

/** The numbers of what was heard, when each is exactly what was published. */
function numbers(heard: readonly string[], published: readonly string[]): number[] {
  return heard.map((text) => {
    const number = Number.parseInt(text, 10);
    return published[number] === text ? number : NaN;
  });
}

const shapes = {
  mutual: { count: 2, edges: line(2) },
  line: { count: 3, edges: line(3) },
  ring: { count: 4, edges: ring(4) },
  'full mesh of 4': { count: 4, edges: full(4) },
};

describe.each(Object.entries(shapes))('large messages on a %s', (_name, { count, edges }) => {
  test('come whole, once and in order while links flap and copies appear', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count, edges, duplication: 0.05, linkRoom: 8 });
      flapLinks(mesh, 3_000);
      const published: string[] = [];
      for (let step = 0; step < 16; step += 1) {
        mesh.at(mesh.now + mesh.random.below(3_000), () => {
          const text = textOf(published.length, step % 2 === 0 ? 2 + mesh.random.below(6) : 0);
          published.push(text);
          mesh.publishTo(0, 't', text);
        });
      }
      mesh.runUntil(90_000);
      const all = published.map((_, at) => at);
      for (let at = 1; at < count; at += 1) {
        expect(numbers(heardOf(mesh, at, 0), published), `seed ${seed} at ${at}`).toEqual(all);
        expect(mesh.node(at).log.gaps).toBe(0);
      }
      expect(mesh.node(0).router.view().outbox.count).toBe(0);
      expect(mesh.drops.get('parts-torn')).toBe(undefined);
    }
  });

  test('of which power cuts of their origin leave parts are never given out in half, nor is what was safe lost', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count, edges, latencyMs: { min: 1, spread: 40 } });
      const published: string[] = [];
      const safe = new Set<number>();
      for (let life = 0; life < 3; life += 1) {
        // What the life before left is on the disk, however little this one adds.
        const leftTo = mesh.node(0).router.lastSeq();
        const ends: [number, number][] = [];
        for (let step = 0; step < 8; step += 1) {
          mesh.at(mesh.now + mesh.random.below(400), () => {
            const number = published.length;
            published.push(textOf(number, step % 2 === 0 ? 2 + mesh.random.below(4) : 0));
            mesh.publishTo(0, 't', published[number] as string);
            ends.push([number, mesh.node(0).router.lastSeq()]);
          });
        }
        mesh.runUntil(mesh.now + mesh.random.below(600));
        // The last entries may not have reached the disk, also in the middle of a message.
        const lastSeq = mesh.node(0).router.lastSeq();
        const writtenTo = Math.max(leftTo, lastSeq - mesh.random.below(8));
        for (const [number, end] of ends) if (end <= writtenTo) safe.add(number);
        cutOff(mesh, 0);
        mesh.powerCut(0, writtenTo);
        mesh.runUntil(mesh.now + mesh.random.below(400));
        comeBack(mesh, 0);
      }
      mesh.runUntil(mesh.now + 60_000);
      for (let at = 1; at < count; at += 1) {
        const heard = numbers(heardOf(mesh, at, 0), published);
        const where = `at ${at}, seed ${seed}`;
        expect(heard, `whole and in order ${where}`).toEqual(
          [...new Set(heard)].sort((one, other) => one - other),
        );
        expect(heard, where).toEqual(expect.arrayContaining([...safe]));
      }
      expect(mesh.node(0).router.view().outbox.count).toBe(0);
    }
  });

  test('are not lost to a receiver whose power is cut in the middle of one', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count, edges, latencyMs: { min: 1, spread: 40 } });
      const last = count - 1;
      const published = Array.from({ length: 12 }, (_, at) => textOf(at, at % 3 === 0 ? 0 : 5));
      for (const [at, text] of published.entries()) {
        mesh.at(mesh.now + 40 * at, () => mesh.publishTo(0, 't', text));
      }
      mesh.runUntil(250 + mesh.random.below(400));
      cutOff(mesh, last);
      const before = numbers(heardOf(mesh, last, 0), published);
      mesh.powerCut(last, 0);
      mesh.runUntil(mesh.now + 100);
      comeBack(mesh, last);
      mesh.runUntil(60_000);
      const after = numbers(heardOf(mesh, last, 0), published);
      const all = published.map((_, at) => at);
      expect(after, `seed ${seed}`).toEqual(all.slice(all.length - after.length));
      expect(before, `seed ${seed}`).toEqual(all.slice(0, before.length));
      expect(before.length + after.length).toBeGreaterThanOrEqual(all.length);
    }
  });
});

test('more of them at once than a receiver has room for wait for each other, and all come', () => {
  const mesh = quietMesh({ seed: 7, count: 5, edges: full(5), linkRoom: 16 });
  const text = 'x'.repeat(12 * 1024 * 1024);
  for (let at = 1; at < 5; at += 1) {
    mesh.want(at, []);
    mesh.at(mesh.now + at, () => mesh.publishTo(at, 't', `${text}${at}`));
  }
  mesh.runUntil(mesh.now + 120_000);
  for (let at = 1; at < 5; at += 1) {
    expect(heardOf(mesh, 0, at).map((one) => one.length)).toEqual([text.length + 1]);
  }
  expect(mesh.drops.get('parts-full') ?? 0).toBeGreaterThan(0);
});
