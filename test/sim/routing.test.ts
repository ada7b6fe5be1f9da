import { describe, expect, test } from 'vitest';
import { RoutingMesh } from './routing-mesh.ts';
import type { Edge } from './routing-mesh.ts';
import { flapLinks, full, line, quietMesh, randomGraph, ring } from './routing-shapes.ts';
import { seedsFor } from './swarm.ts';

/** Per shape; the five small shapes make 200 seeds. */
const seedCount = 40;

const shapes: Record<string, { count: number; edges: (seed: number) => Edge[] }> = {
  mutual: { count: 2, edges: () => line(2) },
  line: { count: 5, edges: () => line(5) },
  triangle: { count: 3, edges: () => ring(3) },
  ring: { count: 5, edges: () => ring(5) },
  'full mesh of 5': { count: 5, edges: () => full(5) },
  'random graph of 20': { count: 20, edges: (seed) => randomGraph(20, 4, seed) },
};

function expectExactlyOnce(mesh: RoutingMesh, seed: number): void {
  for (const node of mesh.nodes) {
    expect(node.log.gaps, `gaps, seed ${seed}`).toBe(0);
    for (const origin of mesh.nodes) {
      if (origin === node) continue;
      const got = node.log.events.get(origin.id) ?? [];
      const wrongAt = got.findIndex((seq, at) => seq !== at + 1);
      const where = `seed ${seed}, from ${origin.id} at ${node.id}`;
      expect(wrongAt, `out of order: ${where}`).toBe(-1);
      expect(got.length, `count: ${where}`).toBe(origin.published);
    }
  }
}

function publishAtRandom(mesh: RoutingMesh, each: number, spanMs: number): void {
  for (let at = 0; at < mesh.nodes.length; at += 1) {
    for (let count = 0; count < each; count += 1) {
      mesh.at(mesh.now + mesh.random.below(spanMs), () => mesh.publishEvent(at));
    }
  }
}

describe.each(Object.entries(shapes))('routers on a %s', (_name, shape) => {
  test('deliver each event once and in order, and no link carries one twice in a direction', () => {
    for (const seed of seedsFor(seedCount / 10, [])) {
      const mesh = quietMesh({ seed, count: shape.count, edges: shape.edges(seed) });
      publishAtRandom(mesh, 20, 2_000);
      mesh.runUntil(6_000);
      expectExactlyOnce(mesh, seed);
      expect(Math.max(...mesh.crossings.values())).toBe(1);
      expect(mesh.addressedCount).toBe(0);
    }
  });

  test('deliver each event once and in order while links flap and copies appear', () => {
    for (const seed of seedsFor(shape.count > 10 ? seedCount / 4 : seedCount, [])) {
      const mesh = quietMesh({
        seed,
        count: shape.count,
        edges: shape.edges(seed),
        duplication: 0.05,
      });
      flapLinks(mesh, 3_000);
      publishAtRandom(mesh, shape.count > 10 ? 10 : 40, 3_000);
      mesh.runUntil(60_000);
      expectExactlyOnce(mesh, seed);
    }
  });
});

describe('routers', () => {
  test('send a message over each link of its origin once, and over no other, on a complete mesh', () => {
    const mesh = quietMesh({ seed: 3, count: 5, edges: full(5) });
    for (let count = 0; count < 50; count += 1) mesh.publishEvent(0);
    mesh.runUntil(2_000);
    expectExactlyOnce(mesh, 3);
    expect(mesh.crossings.size).toBe(50 * 4);
  });

  test('deliver 10 000 events of a burst in order over a narrow line, with the publisher held back', () => {
    const mesh = quietMesh({
      seed: 4,
      count: 3,
      edges: line(3),
      linkRoom: 16,
      latencyMs: { min: 0.1, spread: 0.1 },
      router: { outbox: { countMax: 2_000 } },
    });
    for (let count = 0; count < 10_000; count += 1) mesh.publishEvent(0);
    expect(mesh.node(0).backlog.length).toBeGreaterThan(0);
    mesh.runUntil(120_000);
    expectExactlyOnce(mesh, 4);
  });

  test('give signals at most once, and the last of a topic even through a saturated link', () => {
    const mesh = quietMesh({ seed: 5, count: 4, edges: line(4), linkRoom: 4 });
    for (let count = 1; count <= 500; count += 1) mesh.publishSignal(0, count);
    mesh.runUntil(5_000);
    for (const at of [1, 2, 3]) {
      const seen = mesh.node(at).log.signals.get(mesh.node(0).id) ?? [];
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.length).toBeLessThan(500);
      expect(seen).toContain(500);
    }
    expect(mesh.drops.get('signal-saturated')).toBeGreaterThan(400);
  });

  test('let nothing that a member missed while partitioned for a minute be lost', () => {
    const mesh = quietMesh({ seed: 6, count: 3, edges: line(3) });
    const away = mesh.links[1];
    if (away === undefined) throw new Error('the line has two links');
    mesh.cut(away);
    mesh.runUntil(500);
    mesh.node(0).router.memberGone(mesh.now, mesh.node(2).id, 'dead');
    mesh.node(2).router.memberGone(mesh.now, mesh.node(0).id, 'dead');
    for (let count = 0; count < 100; count += 1) mesh.publishEvent(0);
    mesh.runUntil(60_000);
    expect(mesh.node(1).log.events.get(mesh.node(0).id)).toHaveLength(100);
    mesh.open(away);
    mesh.node(0).router.memberJoined(mesh.now, mesh.node(2).id, 1);
    mesh.node(2).router.memberJoined(mesh.now, mesh.node(0).id, 1);
    mesh.runUntil(65_000);
    expectExactlyOnce(mesh, 6);
  });

  test('fill the holes of an origin that was taken for dead, when it is back', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count: 3, edges: full(3), latencyMs: { min: 1, spread: 30 } });
      const [direct] = mesh.links;
      if (direct === undefined) throw new Error('a full mesh of 3 has links');
      for (let count = 0; count < 20; count += 1) {
        mesh.at(mesh.now + 5 * count, () => mesh.publishEvent(0));
      }
      // What the direct link loses is a hole before what the detour brings; then every way is cut.
      mesh.at(240 + mesh.random.below(40), () => mesh.cut(direct));
      mesh.runUntil(290 + mesh.random.below(40));
      for (const link of mesh.links) mesh.cut(link);
      for (const node of mesh.nodes) {
        for (const other of mesh.nodes) {
          if (node !== other) node.router.memberGone(mesh.now, other.id, 'dead');
        }
      }
      mesh.runUntil(60_000);
      mesh.start();
      mesh.runUntil(70_000);
      expectExactlyOnce(mesh, seed);
    }
  });

  test('owe a restarted member only what is published after its return', () => {
    const mesh = quietMesh({ seed: 7, count: 3, edges: full(3) });
    for (let count = 0; count < 10; count += 1) mesh.publishEvent(0);
    mesh.runUntil(1_000);
    for (const link of mesh.links) if (link.ends.includes(2)) mesh.cut(link);
    mesh.runUntil(1_100);
    mesh.restart(2);
    for (const link of mesh.links) mesh.open(link);
    mesh.runUntil(1_500);
    for (let count = 0; count < 5; count += 1) mesh.publishEvent(0);
    for (let count = 0; count < 7; count += 1) mesh.publishEvent(2);
    mesh.runUntil(5_000);
    expect(mesh.node(2).log.events.get(mesh.node(0).id)).toEqual([11, 12, 13, 14, 15]);
    expect(mesh.node(1).log.events.get(mesh.node(2).id)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(mesh.node(2).log.gaps).toBe(0);
  });

  test('agree on the last retained value of each topic, whatever the order of arrival', () => {
    const mesh = quietMesh({
      seed: 8,
      count: 5,
      edges: ring(5),
      latencyMs: { min: 1, spread: 80 },
    });
    for (let round = 0; round < 40; round += 1) {
      const at = mesh.random.below(5);
      const topic = `r/${mesh.random.below(4)}`;
      mesh.at(mesh.now + mesh.random.below(500), () =>
        mesh.publishEvent(at, { topic, payload: `${round}` }),
      );
    }
    mesh.runUntil(10_000);
    const digests = mesh.nodes.map((node) => [...node.router.retained.digest()]);
    for (const digest of digests) expect(digest).toEqual(digests[0]);
    expect(mesh.node(0).router.retained.view().live).toBe(4);
  });

  test('never show by synchronisation what comes as an event, and agree when links flap', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count: 4, edges: ring(4), latencyMs: { min: 1, spread: 60 } });
      flapLinks(mesh, 3_000);
      for (let round = 0; round < 120; round += 1) {
        const at = mesh.random.below(4);
        const topic = `r/${mesh.random.below(3)}`;
        const payload = round % 7 === 0 ? '' : `${round}`;
        mesh.at(mesh.now + mesh.random.below(3_000), () =>
          mesh.publishEvent(at, { topic, payload }),
        );
      }
      mesh.runUntil(60_000);
      expectExactlyOnce(mesh, seed);
      const digests = mesh.nodes.map((node) => [...node.router.retained.digest()].join());
      expect(new Set(digests).size, `seed ${seed}`).toBe(1);
      for (const node of mesh.nodes) expect(node.log.shown, `seed ${seed}`).toEqual([]);
    }
  });

  test('show a newcomer the values from before its time, each once', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({ seed, count: 3, edges: full(3), latencyMs: { min: 1, spread: 60 } });
      const publish = (round: number): void =>
        mesh.publishEvent(0, { topic: `r/${round % 3}`, payload: `${round}` });
      for (let round = 0; round < 9; round += 1) publish(round);
      mesh.runUntil(1_000);
      for (const link of mesh.links) if (link.ends.includes(2)) mesh.cut(link);
      mesh.runUntil(1_100);
      mesh.restart(2);
      for (const link of mesh.links) mesh.open(link);
      for (let round = 9; round < 12; round += 1) {
        mesh.at(mesh.now + mesh.random.below(200), () => publish(round));
      }
      mesh.runUntil(10_000);
      const { log } = mesh.node(2);
      const events = log.events.get(mesh.node(0).id) ?? [];
      expect(events, `seed ${seed}`).toEqual([10, 11, 12]);
      const shown = log.shown.map(({ seq }) => seq);
      expect(new Set(shown).size, `seed ${seed}`).toBe(shown.length);
      expect(shown.filter((seq) => seq > 9)).toEqual([]);
      expect([...log.retained.values()].sort()).toEqual(['10', '11', '9']);
    }
  });

  test('show the last value of a member that died before its event could come, when it is given up', () => {
    const mesh = quietMesh({ seed: 10, count: 3, edges: full(3) });
    const ways = mesh.links.filter((link) => link.ends.includes(2));
    for (const link of ways) mesh.cut(link);
    mesh.runUntil(300);
    mesh.publishEvent(0, { topic: 'r', payload: 'last' });
    mesh.runUntil(400);
    for (const link of mesh.links) if (link.ends.includes(0)) mesh.cut(link);
    for (const at of [1, 2]) mesh.node(at).router.memberGone(mesh.now, mesh.node(0).id, 'dead');
    for (const link of ways) if (!link.ends.includes(0)) mesh.open(link);
    mesh.runUntil(10_000);
    expect(mesh.node(2).log.retained.get('r')).toBe('last');
    expect(mesh.node(2).log.shown).toEqual([]);
    mesh.runUntil(310_000);
    expect(mesh.node(2).log.shown.map(({ text }) => text)).toEqual(['last']);
  });

  test('stay quiet when there is nothing to do', () => {
    const mesh = quietMesh({ seed: 9, count: 5, edges: ring(5) });
    mesh.publishEvent(0);
    mesh.runUntil(10_000);
    const before = mesh.letterCount;
    mesh.runUntil(3_600_000);
    expect(mesh.letterCount).toBe(before);
    for (const node of mesh.nodes) expect(node.router.deadline()).toBe(Infinity);
  });
});

test.each(Object.entries(shapes))(
  'a parcel comes once to the one it is for: %s',
  (_name, shape) => {
    const mesh = new RoutingMesh({ seed: 7, count: shape.count, edges: shape.edges(7) });
    mesh.start();
    mesh.runUntil(2_000);
    const [first] = mesh.nodes;
    const last = mesh.nodes.at(-1);
    if (first === undefined || last === undefined || first === last) throw new Error('two or more');
    for (const [from, to] of [
      [first, last],
      [last, first],
    ] as const) {
      expect(from.router.mail(to.id, 'talk', new TextEncoder().encode('hello'))).toBe(true);
    }
    mesh.runUntil(4_000);
    expect(last.log.parcels).toEqual([`${first.id} talk hello`]);
    expect(first.log.parcels).toEqual([`${last.id} talk hello`]);
    const others = mesh.nodes.filter((node) => node !== first && node !== last);
    expect(others.flatMap(({ log }) => log.parcels)).toEqual([]);
  },
);
