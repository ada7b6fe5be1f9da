import { describe, expect, test } from 'vitest';
import { createFullMesh } from '../../src/protocol/overlay/full-mesh.ts';
import { createHyparview } from '../../src/protocol/overlay/hyparview.ts';
import type { OverlayName } from '../../src/protocol/overlay/overlay.ts';
import { createUnity } from '../../src/protocol/overlay/unity.ts';
import { flood, graphOf, isWhole, measure } from './overlay-graph.ts';
import { OverlayMesh } from './overlay-mesh.ts';

/** Per law. */
const seeds = Number(process.env['SIM_SEEDS'] ?? 40) / 10;

interface Shape {
  readonly seed: number;
  readonly count: number;
  readonly activeMax?: number;
  /** @default every node 'hyparview' */
  readonly overlayOf?: (at: number) => OverlayName;
  readonly isWatched?: boolean;
  readonly deadDialMs?: number;
}

/** The pace of the profile `loopback`, with latency. */
function build(shape: Shape): OverlayMesh {
  const { seed, count, activeMax = 5, overlayOf = () => 'hyparview', isWatched = true } = shape;
  const mesh = new OverlayMesh({
    seed,
    latencyMs: { min: 0.2, spread: 3 },
    deadDialMs: shape.deadDialMs ?? 0,
    overlayOf,
    create(self, boot, random, at) {
      const pace = { activeMax, passiveMax: 24, shuffleMs: 1_000, promotionMs: 500 };
      const overlay = overlayOf(at);
      const inner =
        overlay === 'full-mesh'
          ? createFullMesh({ self }, random.split())
          : createHyparview({ self, ...pace }, random.split());
      if (!isWatched) return inner;
      return createUnity(inner, { self, boot, overlay, beatMs: 1_000 }, random);
    },
  });
  for (let at = 0; at < count; at += 1) mesh.add();
  return mesh;
}

/** Membership spreads the word of a node, and the node hears of the others, within a third of a second. */
function introduce(mesh: OverlayMesh, at: number): void {
  for (const other of mesh.live()) {
    if (other === at) continue;
    for (const [hearer, subject] of [
      [other, at],
      [at, other],
    ] as const) {
      mesh.at(mesh.now + 5 + mesh.random.unit() * 300, () => {
        if (mesh.node(subject).isUp) mesh.memberUp(hearer, subject);
      });
    }
  }
}

function start(shape: Shape, untilMs = 10_000): OverlayMesh {
  const mesh = build(shape);
  for (let at = 1; at < shape.count; at += 1) mesh.sight(at, 0);
  for (let at = 0; at < shape.count; at += 1) introduce(mesh, at);
  mesh.runUntil(untilMs);
  return mesh;
}

/** Power off, noticed by links within 50 ms and by membership within 600. */
function lose(mesh: OverlayMesh, at: number): void {
  mesh.kill(at, 50);
  for (const other of mesh.live()) {
    mesh.at(mesh.now + 100 + mesh.random.unit() * 500, () => {
      if (!mesh.node(at).isUp) mesh.memberGone(other, at);
    });
  }
}

/** Says goodbye to nobody and comes back by itself. */
function comeBack(mesh: OverlayMesh, at: number): void {
  const others = mesh.live();
  mesh.revive(at);
  mesh.sight(at, others[mesh.random.below(others.length)] ?? at);
  introduce(mesh, at);
}

function timeUntilWhole(mesh: OverlayMesh, msMax: number): number {
  const since = mesh.now;
  while (!isWhole(mesh) && mesh.now < since + msMax) mesh.runUntil(mesh.now + 50);
  return mesh.now - since;
}

describe('a HyParView mesh', () => {
  test('of 20 nodes has a quarter of the links of a full mesh, and is in one piece', () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const mesh = start({ seed, count: 20 });
      expect(isWhole(mesh), `seed ${seed}`).toBe(true);
      const { mutual, oneSided } = mesh.links();
      expect(oneSided).toBe(0);
      expect(mutual).toBeLessThanOrEqual((20 * 19) / 2 / 2);
      expect(mutual).toBeLessThanOrEqual((20 * 5) / 2);
      expect(mutual).toBeGreaterThanOrEqual(45);
    }
  });

  test('smaller than its views links everybody with everybody, like a full mesh', () => {
    for (const count of [2, 3, 5, 6]) {
      const mesh = start({ seed: count, count });
      expect(mesh.links()).toEqual({ mutual: (count * (count - 1)) / 2, oneSided: 0 });
    }
  });

  test('of eight with four links at most leaves nobody below three, though all the others are full', () => {
    for (let seed = 1; seed <= 10 * seeds; seed += 1) {
      const mesh = start({ seed, count: 8, activeMax: 4 }, 20_000);
      const degrees = graphOf(mesh).map((neighbours) => neighbours.length);
      expect(Math.min(...degrees), `seed ${seed}: ${degrees.join(' ')}`).toBeGreaterThanOrEqual(3);
    }
  });

  test('of eight that lost two leaves nobody below three, though dials to the two hang for seconds', () => {
    for (let seed = 1; seed <= 10 * seeds; seed += 1) {
      const mesh = start({ seed, count: 8, activeMax: 4, deadDialMs: 5_000 });
      for (const at of [6, 7]) lose(mesh, at);
      mesh.runUntil(mesh.now + 10_000);
      const degrees = mesh.live().map((at) => mesh.node(at).neighbours.length);
      expect(Math.min(...degrees), `seed ${seed}: ${degrees.join(' ')}`).toBeGreaterThanOrEqual(3);
    }
  });

  test('comes to rest: no link changes, and less than one dial in 5 s for each node that lacks a neighbour', () => {
    const mesh = start({ seed: 3, count: 21 }, 60_000);
    const { announce, dial, send } = mesh.counts;
    mesh.runUntil(660_000);
    expect(mesh.counts.announce - announce).toBe(0);
    expect(mesh.counts.dial - dial).toBeLessThanOrEqual(600 * 2 * 1.25);
    const perNodePerShuffle = (mesh.counts.send - send) / 600 / 21;
    console.info(`${perNodePerShuffle.toFixed(1)} messages a node and shuffle period at rest`);
    expect(perNodePerShuffle).toBeLessThanOrEqual(20);
  });

  test.each([
    { count: 6, activeMax: 4 },
    { count: 8, activeMax: 4 },
    { count: 12, activeMax: 4 },
    { count: 30, activeMax: 5 },
  ])('of $count is in one piece 3 s after every loss and every return of two nodes', (shape) => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const mesh = start({ ...shape, seed });
      for (let step = 0; step < 10; step += 1) {
        const pair = [0, 1].map(() => mesh.live()[mesh.random.below(mesh.live().length)] ?? 0);
        const victims = [...new Set(pair)];
        for (const at of victims) lose(mesh, at);
        mesh.runUntil(mesh.now + 3_000);
        expect(isWhole(mesh), `seed ${seed}, loss ${step}`).toBe(true);
        for (const at of victims) comeBack(mesh, at);
        mesh.runUntil(mesh.now + 3_000);
        expect(isWhole(mesh), `seed ${seed}, return ${step}`).toBe(true);
      }
      mesh.runUntil(mesh.now + 5_000);
      expect(mesh.links().oneSided, `seed ${seed}`).toBe(0);
      for (const at of mesh.live()) {
        expect(mesh.node(at).neighbours.length).toBeLessThanOrEqual(shape.activeMax);
      }
    }
  });

  test('cut in halves is one again within 3 s of their meeting, by many links', () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const mesh = start({ seed, count: 20 });
      const isLeft = (at: number): boolean => at < 10;
      mesh.block((one, other) => isLeft(one) !== isLeft(other));
      for (const at of mesh.live()) {
        for (const other of mesh.live()) {
          if (isLeft(at) !== isLeft(other)) mesh.memberGone(at, other);
        }
      }
      mesh.runUntil(mesh.now + 30_000);
      const half = flood(graphOf(mesh), 0);
      expect(half.reached).toBe(10);
      mesh.block(() => false);
      for (const at of mesh.live()) introduce(mesh, at);
      expect(timeUntilWhole(mesh, 60_000)).toBeLessThanOrEqual(3_000);
      mesh.runUntil(mesh.now + 10_000);
      const across = graphOf(mesh).flatMap((peers, at) =>
        peers.filter((peer) => isLeft(at) && !isLeft(peer)),
      );
      expect(across.length).toBeGreaterThanOrEqual(5);
    }
  });

  test('in two pieces that nobody was told of is mended by the watch within 5 beats, and stays torn without it', () => {
    for (const isWatched of [true, false]) {
      const mesh = build({ seed: 4, count: 12, isWatched });
      const isOdd = (at: number): boolean => at % 2 === 1;
      // Membership goes over UDP: everybody is a member of everybody's mesh all the time.
      mesh.block((one, other) => isOdd(one) !== isOdd(other));
      for (let at = 2; at < 12; at += 1) mesh.sight(at, at % 2);
      for (let at = 0; at < 12; at += 1) introduce(mesh, at);
      mesh.runUntil(10_000);
      mesh.block(() => false);
      expect(isWhole(mesh)).toBe(false);
      const ms = timeUntilWhole(mesh, 60_000);
      if (isWatched) expect(ms).toBeLessThanOrEqual(5_000);
      else expect(isWhole(mesh)).toBe(false);
    }
  });

  test('of 1 000 reaches all of its survivors when 30 % are gone at once and their links are noticed', () => {
    const mesh = new OverlayMesh({
      seed: 2,
      create: (self, _boot, random) => createHyparview({ self }, random),
    });
    for (let at = 0; at < 1_000; at += 1) {
      mesh.add();
      if (at > 0) mesh.sight(at, mesh.random.below(at));
      mesh.drain();
    }
    for (let cycle = 0; cycle < 5; cycle += 1) mesh.cycle(12_000, 3);
    const before = measure(graphOf(mesh), mesh.live(), 20, 1);
    expect(before.reach).toBe(1);
    expect(before.hopsMax).toBeLessThanOrEqual(8);
    for (let at = 0; at < 1_000; at += 1) if (mesh.random.unit() < 0.3) mesh.kill(at);
    mesh.drain();
    const after = measure(graphOf(mesh), mesh.live(), 20, 1);
    expect(mesh.live().length).toBeLessThan(750);
    expect(after.reach).toBe(1);
  });
});

describe('a mesh of full-mesh and HyParView nodes', () => {
  test.each([
    { full: 1, partial: 1 },
    { full: 1, partial: 15 },
    { full: 3, partial: 20 },
    { full: 10, partial: 10 },
    { full: 15, partial: 1 },
  ])('($full and $partial) is in one piece, and neither kind breaks its own rule', (row) => {
    const { full, partial } = row;
    for (let seed = 1; seed <= seeds; seed += 1) {
      const isFull = (at: number): boolean => (at + seed) % (full + partial) < full;
      const overlayOf = (at: number): OverlayName => (isFull(at) ? 'full-mesh' : 'hyparview');
      const mesh = start({ seed, count: full + partial, overlayOf });
      expect(isWhole(mesh), `seed ${seed}`).toBe(true);
      mesh.runUntil(120_000);
      expect(isWhole(mesh), `seed ${seed}`).toBe(true);
      const graph = graphOf(mesh);
      for (const [at, neighbours] of graph.entries()) {
        if (!isFull(at)) expect(neighbours.length).toBeLessThanOrEqual(5);
        else expect(neighbours.filter(isFull)).toHaveLength(full - 1);
        expect(neighbours.length).toBeGreaterThanOrEqual(1);
      }
      // A bargain may be under way at the moment of the look.
      expect(mesh.links().oneSided).toBeLessThanOrEqual(2);
      const { dial } = mesh.counts;
      mesh.runUntil(mesh.now + 120_000);
      const perMinute = (mesh.counts.dial - dial) / 2 / (full + partial);
      expect(perMinute, `dials a node and minute, seed ${seed}`).toBeLessThanOrEqual(8);
    }
  });
});
