import { describe, expect, test } from 'vitest';
import { flapLinks, full, line, quietMesh, randomGraph, ring } from './routing-shapes.ts';
import type { RoutingMesh } from './routing-mesh.ts';
import { seedsFor } from './swarm.ts';

/** Per shape; SIM_SEEDS makes it more. */
const seedCount = 5;

const filter = '$share/workers/job/#';

const shapes: Record<
  string,
  { count: number; edges: (seed: number) => (readonly [number, number])[] }
> = {
  mutual: { count: 2, edges: () => line(2) },
  line: { count: 5, edges: () => line(5) },
  ring: { count: 6, edges: () => ring(6) },
  'full mesh of 5': { count: 5, edges: () => full(5) },
  'random graph of 20': { count: 20, edges: (seed) => randomGraph(20, 4, seed) },
};

/** Every node publishes; the texts that were published. */
function chatter(mesh: RoutingMesh, each: number, spanMs: number): string[] {
  const said: string[] = [];
  for (const at of mesh.nodes.keys()) {
    for (let count = 0; count < each; count += 1) {
      const text = `${at}:${count}`;
      said.push(text);
      mesh.at(mesh.now + mesh.random.below(spanMs), () => mesh.publishTo(at, `job/${at}`, text));
    }
  }
  return said;
}

function tookAt(mesh: RoutingMesh, at: number, of = filter): string[] {
  return mesh
    .node(at)
    .log.shared.filter((one) => one.filter === of)
    .map(({ text }) => text);
}

function took(mesh: RoutingMesh, of = filter): string[] {
  return mesh.nodes.flatMap((_, at) => tookAt(mesh, at, of));
}

function isolate(mesh: RoutingMesh, at: number): void {
  for (const link of mesh.links) if (link.ends.includes(at)) mesh.cut(link);
}

function isSettled(mesh: RoutingMesh, without = -1): boolean {
  return mesh.nodes.every((one, at) => at === without || one.router.view().outbox.count === 0);
}

describe.each(Object.entries(shapes))('groups on a %s', (_name, shape) => {
  test('get each event exactly once for each group, while links flap and copies appear', () => {
    for (const seed of seedsFor(shape.count > 10 ? 1 : seedCount, [])) {
      const { count } = shape;
      const mesh = quietMesh({ seed, count, edges: shape.edges(seed), duplication: 0.05 });
      const other = '$share/audit/+/0';
      for (const at of mesh.nodes.keys()) {
        const mine = at % 2 === 1 ? [filter] : [];
        if (at === count - 1) mine.push(other);
        mesh.want(at, at === 0 ? ['job/#', ...mine] : mine);
      }
      mesh.runUntil(1_000);
      flapLinks(mesh, 4_000);
      const said = chatter(mesh, shape.count > 10 ? 15 : 40, 3_000);
      mesh.runUntil(60_000);
      expect(took(mesh).toSorted(), `seed ${seed}`).toEqual(said.toSorted());
      const audited = said.filter((text) => text.startsWith('0:'));
      expect(took(mesh, other).toSorted(), `seed ${seed}`).toEqual(audited.toSorted());
      // Ordinary subscribers lack nothing for it, in order.
      for (const [at, node] of mesh.nodes.entries()) {
        if (at === 0) continue;
        const heard = mesh
          .node(0)
          .log.heard.get(node.id)
          ?.map(({ text }) => text);
        expect(heard, `seed ${seed}`).toEqual(
          said.filter((text) => text.startsWith(`${at}:`)).toSorted(byOrder(mesh, at)),
        );
      }
      expect(isSettled(mesh), `seed ${seed}`).toBe(true);
    }
  });

  test('get each event exactly once while members leave and others join', () => {
    for (const seed of seedsFor(shape.count > 10 ? 1 : seedCount, [])) {
      const { count } = shape;
      const mesh = quietMesh({ seed, count, edges: shape.edges(seed) });
      for (const at of mesh.nodes.keys()) mesh.want(at, at === 0 ? [filter] : []);
      mesh.runUntil(1_000);
      const said = chatter(mesh, 30, 4_000);
      for (let change = 0; change < 12; change += 1) {
        mesh.at(mesh.now + 300 * change, () => {
          // Somebody is always in the group.
          const at = 1 + mesh.random.below(count - 1);
          mesh.want(at, mesh.node(at).groups.size === 0 ? [filter] : []);
        });
      }
      mesh.runUntil(30_000);
      expect(took(mesh).toSorted(), `seed ${seed}`).toEqual(said.toSorted());
      expect(isSettled(mesh), `seed ${seed}`).toBe(true);
    }
  });
});

function byOrder(mesh: RoutingMesh, at: number): (left: string, right: string) => number {
  const order =
    mesh
      .node(0)
      .log.heard.get(mesh.node(at).id)
      ?.map(({ text }) => text) ?? [];
  return (left, right) => order.indexOf(left) - order.indexOf(right);
}

describe('a group', () => {
  test('is served by nodes in turn, local members first', () => {
    const mesh = quietMesh({ seed: 3, count: 5, edges: full(5) });
    for (const at of mesh.nodes.keys()) mesh.want(at, at > 1 ? [filter] : []);
    mesh.runUntil(500);
    for (let count = 0; count < 30; count += 1) mesh.publishTo(0, 'job/x', `far:${count}`);
    for (let count = 0; count < 30; count += 1) mesh.publishSignal(1, count, 'job/x');
    for (let count = 0; count < 30; count += 1) mesh.publishTo(2, 'job/x', `own:${count}`);
    mesh.runUntil(2_000);
    const counts = [2, 3, 4].map(
      (at) => tookAt(mesh, at).filter((text) => !text.startsWith('own')).length,
    );
    expect(counts).toEqual([20, 20, 20]);
    expect(tookAt(mesh, 2).filter((text) => text.startsWith('own'))).toHaveLength(30);
    // One copy for each, however many members there are.
    expect(mesh.crossings.size).toBe(30 + 30);
  });

  test('far away gets signals by their address alone', () => {
    const mesh = quietMesh({ seed: 4, count: 5, edges: line(5) });
    for (const at of mesh.nodes.keys()) mesh.want(at, at === 4 ? [filter] : []);
    mesh.runUntil(500);
    for (let count = 0; count < 20; count += 1) mesh.publishSignal(0, count, 'job/x');
    mesh.runUntil(2_000);
    expect(tookAt(mesh, 4)).toHaveLength(20);
    for (const at of [1, 2, 3]) expect(mesh.node(at).log.signals.size).toBe(0);
    expect(mesh.addressedCount).toBe(20 * 4);
  });

  test('gets what a node took and did not acknowledge before it died, and twice at most what it had taken', () => {
    let twice = 0;
    for (const seed of seedsFor(20, [])) {
      const mesh = quietMesh({ seed, count: 4, edges: full(4) });
      for (const at of mesh.nodes.keys()) mesh.want(at, at > 0 ? [filter] : []);
      mesh.runUntil(500);
      for (let count = 0; count < 300; count += 1) {
        mesh.at(mesh.now + count * 5, () => mesh.publishTo(0, 'job/x', `${count}`));
      }
      const diesAt = mesh.now + 400 + mesh.random.below(400);
      mesh.at(diesAt, () => isolate(mesh, 2));
      mesh.at(diesAt + 200 + mesh.random.below(500), () => {
        for (const at of [0, 1, 3]) {
          mesh.node(at).router.memberGone(mesh.now, mesh.node(2).id, 'dead');
        }
      });
      mesh.runUntil(20_000);
      const living = [1, 3].flatMap((at) => tookAt(mesh, at));
      const dead = tookAt(mesh, 2);
      expect(new Set(living).size, `seed ${seed}`).toBe(living.length);
      const all = new Set([...living, ...dead]);
      expect(all.size, `seed ${seed}`).toBe(300);
      twice += living.length + dead.length - 300;
      expect(isSettled(mesh, 2), `seed ${seed}`).toBe(true);
    }
    // Acknowledgements that died with it: at least once is what a group of several nodes can promise.
    expect(twice).toBeGreaterThan(0);
    expect(twice / 20).toBeLessThan(10);
  });

  test('whose only node is dead is owed events until it is back or another one joins', () => {
    for (const isBack of [true, false]) {
      const mesh = quietMesh({ seed: 6, count: 3, edges: full(3) });
      mesh.want(0, []);
      mesh.want(1, [filter]);
      mesh.want(2, []);
      mesh.runUntil(500);
      isolate(mesh, 1);
      mesh.runUntil(600);
      for (const at of [0, 2]) {
        mesh.node(at).router.memberGone(mesh.now, mesh.node(1).id, 'dead');
      }
      for (let count = 0; count < 20; count += 1) mesh.publishTo(0, 'job/x', `${count}`);
      mesh.runUntil(5_000);
      expect(took(mesh)).toEqual([]);
      if (isBack) {
        for (const at of [0, 2]) mesh.node(at).router.memberJoined(mesh.now, mesh.node(1).id, 1);
        for (const link of mesh.links) mesh.open(link);
      } else mesh.want(2, [filter]);
      mesh.runUntil(20_000);
      expect(tookAt(mesh, isBack ? 1 : 2)).toEqual(Array.from({ length: 20 }, (_, at) => `${at}`));
      expect(isSettled(mesh, isBack ? -1 : 1)).toBe(true);
    }
  });

  test('that comes into being gets what was published after its subscription was made', () => {
    const mesh = quietMesh({ seed: 7, count: 4, edges: line(4) });
    for (const at of mesh.nodes.keys()) mesh.want(at, []);
    mesh.runUntil(500);
    mesh.publishTo(0, 'job/x', 'too early');
    mesh.runUntil(520);
    mesh.want(3, [filter]);
    mesh.runUntil(522);
    mesh.publishTo(0, 'job/x', 'in time');
    mesh.runUntil(3_000);
    expect(tookAt(mesh, 3)).toEqual(['in time']);
  });

  test('without a member anywhere costs nothing and is counted where it was known', () => {
    const mesh = quietMesh({ seed: 8, count: 2, edges: line(2) });
    mesh.want(0, []);
    mesh.want(1, [filter]);
    mesh.runUntil(500);
    // The word of it is under way: what comes meanwhile finds nobody.
    mesh.want(1, []);
    mesh.publishTo(0, 'job/x', 'late');
    mesh.runUntil(1_000);
    mesh.publishTo(0, 'job/x', 'later');
    mesh.runUntil(2_000);
    expect([took(mesh), mesh.drops.get('share-nobody')]).toEqual([[], 1]);
    expect(isSettled(mesh)).toBe(true);
  });
});
