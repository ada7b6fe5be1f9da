import { describe, expect, test } from 'vitest';
import { topicMatches } from '../../src/kernel/topic.ts';
import { flapLinks, full, line, quietMesh, randomGraph, ring } from './routing-shapes.ts';
import type { RoutingMesh } from './routing-mesh.ts';
import { seedsFor } from './swarm.ts';

/** Per shape; SIM_SEEDS makes it more. */
const seedCount = 5;

const topicCount = 6;
const topicOf = (at: number): string => `t/${at}`;

const shapes: Record<
  string,
  { count: number; edges: (seed: number) => (readonly [number, number])[] }
> = {
  mutual: { count: 2, edges: () => line(2) },
  line: { count: 5, edges: () => line(5) },
  triangle: { count: 3, edges: () => ring(3) },
  ring: { count: 6, edges: () => ring(6) },
  'full mesh of 5': { count: 5, edges: () => full(5) },
  'random graph of 20': { count: 20, edges: (seed) => randomGraph(20, 4, seed) },
};

interface Published {
  readonly topic: string;
  readonly text: string;
  readonly at: number;
}

/** Everybody publishes to random topics; what was published is returned, by node. */
function chatter(mesh: RoutingMesh, each: number, spanMs: number): Published[][] {
  const said: Published[][] = mesh.nodes.map(() => []);
  for (const [at, mine] of said.entries()) {
    for (let count = 0; count < each; count += 1) {
      mesh.at(mesh.now + mesh.random.below(spanMs), () => {
        const topic = topicOf(mesh.random.below(topicCount));
        const text = `${mine.length}`;
        mine.push({ topic, text, at: mesh.now });
        mesh.publishTo(at, topic, text);
      });
    }
  }
  return said;
}

/** What a node heard of another one on topics that match. */
function heardOf(
  mesh: RoutingMesh,
  at: number,
  origin: number,
  filters: readonly string[],
): string[] {
  const heard = mesh.node(at).log.heard.get(mesh.node(origin).id) ?? [];
  return heard.filter(({ topic }) => wanted(filters, topic)).map(({ text }) => text);
}

function wanted(filters: readonly string[], topic: string): boolean {
  return filters.some((filter) => topicMatches(filter, topic));
}

function drawFilters(mesh: RoutingMesh): string[] {
  const dice = mesh.random.below(5);
  if (dice === 0) return [];
  if (dice === 1) return ['t/+'];
  return [topicOf(mesh.random.below(topicCount)), topicOf(mesh.random.below(topicCount))];
}

describe.each(Object.entries(shapes))('interest on a %s', (_name, shape) => {
  test('brings each wanted event once and in order, while links flap and copies appear', () => {
    for (const seed of seedsFor(shape.count > 10 ? 1 : seedCount, [])) {
      const edges = shape.edges(seed);
      const mesh = quietMesh({ seed, count: shape.count, edges, duplication: 0.05 });
      const filters = mesh.nodes.map(() => drawFilters(mesh));
      for (const [at, mine] of filters.entries()) mesh.want(at, mine);
      mesh.runUntil(1_000);
      flapLinks(mesh, 4_000);
      const said = chatter(mesh, shape.count > 10 ? 15 : 40, 3_000);
      mesh.runUntil(60_000);
      for (const [at, mine] of filters.entries()) {
        expect(mesh.node(at).log.gaps, `gaps at ${at}, seed ${seed}`).toBe(0);
        for (const [origin, all] of said.entries()) {
          if (origin === at) continue;
          const due = all.filter(({ topic }) => wanted(mine, topic)).map(({ text }) => text);
          expect(heardOf(mesh, at, origin, mine), `${origin} at ${at}, seed ${seed}`).toEqual(due);
        }
      }
      expect(mesh.nodes.every(({ router }) => router.view().outbox.count === 0)).toBe(true);
    }
  });

  test('that changes in mid-stream loses nothing that was wanted all along, and repeats nothing', () => {
    for (const seed of seedsFor(shape.count > 10 ? 1 : 2, [])) {
      const mesh = quietMesh({ seed, count: shape.count, edges: shape.edges(seed) });
      const always = mesh.nodes.map(() => [topicOf(mesh.random.below(topicCount))]);
      for (const [at, mine] of always.entries()) mesh.want(at, mine);
      mesh.runUntil(1_000);
      flapLinks(mesh, 4_000);
      const said = chatter(mesh, shape.count > 10 ? 15 : 60, 4_000);
      for (const [at, mine] of always.entries()) {
        for (let change = 0; change < (shape.count > 10 ? 3 : 6); change += 1) {
          mesh.at(mesh.now + mesh.random.below(4_000), () =>
            mesh.want(at, [...mine, ...drawFilters(mesh)]),
          );
        }
      }
      mesh.runUntil(90_000);
      for (const [at, mine] of always.entries()) {
        expect(mesh.node(at).log.gaps, `gaps at ${at}, seed ${seed}`).toBe(0);
        for (const [origin, all] of said.entries()) {
          if (origin === at) continue;
          const due = all.filter(({ topic }) => wanted(mine, topic)).map(({ text }) => text);
          expect(heardOf(mesh, at, origin, mine), `${origin} at ${at}, seed ${seed}`).toEqual(due);
          const every = heardOf(mesh, at, origin, ['#']);
          expect(new Set(every).size, `repeats: ${origin} at ${at}, seed ${seed}`).toBe(
            every.length,
          );
        }
      }
    }
  });
});

describe('interest', () => {
  test('keeps a message off the links of those who do not want it', () => {
    const mesh = quietMesh({ seed: 1, count: 5, edges: full(5) });
    for (const at of mesh.nodes.keys()) mesh.want(at, at < 3 ? ['t/0'] : ['other']);
    mesh.runUntil(500);
    for (let count = 0; count < 50; count += 1) mesh.publishTo(0, 't/0', `${count}`);
    for (let count = 1; count <= 10; count += 1) mesh.publishSignal(0, count, 't/0');
    for (let count = 0; count < 50; count += 1) mesh.publishTo(0, 't/none', `${count}`);
    mesh.runUntil(2_000);
    const id = mesh.node(0).id;
    for (const at of [1, 2]) expect(mesh.node(at).log.heard.get(id)).toHaveLength(50);
    for (const at of [3, 4]) expect(mesh.node(at).log.heard.get(id)).toBeUndefined();
    const targets = [...mesh.crossings.keys()].map((key) => key.split('>')[1]);
    expect(new Set(targets)).toEqual(new Set(['1', '2']));
    expect(mesh.crossings.size).toBe(2 * (50 + 10));
    expect(mesh.node(0).router.listeners('t/0')).toEqual([1, 2].map((at) => mesh.node(at).id));
    expect(mesh.node(0).router.listeners('t/none')).toEqual([]);
  });

  test('goes to one far node only, and costs the others on the way no delivery', () => {
    const mesh = quietMesh({ seed: 2, count: 6, edges: line(6) });
    for (const at of mesh.nodes.keys()) mesh.want(at, at === 5 ? ['far'] : []);
    mesh.runUntil(500);
    for (let count = 0; count < 30; count += 1) mesh.publishTo(0, 'far', `${count}`);
    mesh.runUntil(3_000);
    expect(heardOf(mesh, 5, 0, ['far'])).toHaveLength(30);
    for (const at of [1, 2, 3, 4]) expect(mesh.node(at).log.heard.size).toBe(0);
    expect(mesh.addressedCount).toBe(30 * 5);
  });

  test('of a newcomer is everything until it says what it wants, and of a restarted one again', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count: 3, edges: full(3) });
      for (const at of mesh.nodes.keys()) mesh.want(at, ['t/0']);
      mesh.runUntil(500);
      for (let count = 0; count < 20; count += 1) mesh.publishTo(0, 't/1', `${count}`);
      for (const link of mesh.links) if (link.ends.includes(2)) mesh.cut(link);
      mesh.runUntil(600);
      mesh.restart(2);
      for (const link of mesh.links) mesh.open(link);
      mesh.publishTo(0, 't/1', 'before it said what it wants');
      mesh.runUntil(900);
      mesh.want(2, ['t/2']);
      mesh.runUntil(1_500);
      for (let count = 0; count < 20; count += 1) mesh.publishTo(0, `t/${count % 3}`, `${count}`);
      mesh.runUntil(5_000);
      const texts = heardOf(mesh, 2, 0, ['#']);
      expect(texts, `seed ${seed}`).toEqual([
        'before it said what it wants',
        '2',
        '5',
        '8',
        '11',
        '14',
        '17',
      ]);
      expect(mesh.node(2).log.gaps).toBe(0);
    }
  });

  test('that is younger than a message by the clock gets it, though it came to the publisher later', () => {
    const mesh = quietMesh({
      seed: 4,
      count: 2,
      edges: line(2),
      latencyMs: { min: 80, spread: 0 },
    });
    mesh.want(0, []);
    mesh.want(1, []);
    mesh.runUntil(2_000);
    mesh.publishTo(0, 't/0', 'earlier');
    mesh.runUntil(2_010);
    mesh.want(1, ['t/0']);
    mesh.publishTo(0, 't/0', 'first');
    mesh.publishTo(0, 't/1', 'not wanted');
    mesh.publishSignal(0, 7, 't/0');
    mesh.runUntil(2_100);
    mesh.publishTo(0, 't/0', 'second');
    mesh.runUntil(5_000);
    expect(heardOf(mesh, 1, 0, ['#'])).toEqual(['first', 'second']);
    expect(mesh.node(1).log.signals.get(mesh.node(0).id)).toEqual([7]);
  });

  test('is known to everybody after any cuts, and then costs no more word', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count: 8, edges: randomGraph(8, 4, seed) });
      flapLinks(mesh, 4_000);
      for (let change = 0; change < 60; change += 1) {
        const at = change % 8;
        mesh.at(mesh.now + mesh.random.below(4_000), () =>
          mesh.want(at, [`${at}/${mesh.random.below(9)}`]),
        );
      }
      for (const at of mesh.nodes.keys()) mesh.at(4_500, () => mesh.want(at, [`${at}/last`]));
      mesh.runUntil(20_000);
      for (const [at, { router }] of mesh.nodes.entries()) {
        for (const [other, { id }] of mesh.nodes.entries()) {
          const due = other === at ? [] : [id];
          expect(router.listeners(`${other}/last`), `${other} at ${at}, seed ${seed}`).toEqual(due);
        }
      }
      const before = mesh.interestCount;
      mesh.runUntil(3_600_000);
      expect(mesh.interestCount).toBe(before);
    }
  });
});
