/** Members that are away for long: what they are owed goes to the disk and comes back, and nothing of it is lost. */

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
import type { RoutingMesh, RoutingMeshOptions } from './routing-mesh.ts';
import { seedsFor } from './swarm.ts';

/** Per shape; SIM_SEEDS makes it more. */
const seedCount = 10;

/** Far less than what a member misses. */
const outbox = { countMax: 24, bytesMax: 4096 };

/** What one piece that was brought back may add. */
const pieceBytes = 20 * 160;

/** A member is cut off and known to be dead. */
function die(mesh: RoutingMesh, at: number): void {
  cutOff(mesh, at);
  mesh.at(mesh.now + 300, () => {
    const { id } = mesh.node(at);
    for (const [other, node] of mesh.nodes.entries()) {
      if (other !== at) node.router.memberGone(mesh.now, id, 'dead');
    }
  });
}

const staged = (
  options: Pick<RoutingMeshOptions, 'seed' | 'count' | 'edges'>,
  bytesMax = outbox.bytesMax,
): RoutingMesh =>
  quietMesh({ ...options, router: { outbox: { ...outbox, bytesMax, hasDisk: true } }, diskMs: 20 });

describe.each(Object.entries(smallMeshes))('on a %s', (_name, { count, edges }) => {
  test('a member that is away again and again, also without its memory, misses nothing', () => {
    for (const seed of seedsFor(seedCount, [])) {
      // Every other one has a memory that one piece from the disk fills.
      const bytesMax = seed % 2 === 0 ? pieceBytes / 3 : outbox.bytesMax;
      const mesh = staged({ seed, count, edges }, bytesMax);
      const last = count - 1;
      const heard: string[] = [];
      let made = 0;
      const isOver = (): boolean => made === 600;
      const publish = (): void => {
        if (isOver()) return;
        mesh.publishTo(0, `t/${made % 3}`, `${made}`);
        made += 1;
        mesh.at(mesh.now + mesh.random.below(30), publish);
      };
      publish();
      for (let away = 0; !isOver(); away += 1) {
        mesh.runUntil(mesh.now + 200 + mesh.random.below(1_000));
        die(mesh, last);
        mesh.runUntil(mesh.now + 1_000 + mesh.random.below(4_000));
        if (away % 2 === 1) {
          heard.push(...heardOf(mesh, last, 0));
          mesh.powerCut(last, 0);
        }
        comeBack(mesh, last);
      }
      mesh.runUntil(mesh.now + 60_000);
      heard.push(...heardOf(mesh, last, 0));
      const all = Array.from({ length: made }, (_, at) => `${at}`);
      // A receiver without its memory gets again what it had not acknowledged, once more and in order.
      expect([...new Set(heard)], `seed ${seed}`).toEqual(all);
      for (let at = 1; at < last; at += 1) expect(heardOf(mesh, at, 0)).toEqual(all);
      const { log, router } = mesh.node(0);
      expect(router.view().outbox).toMatchObject({ count: 0, awayCount: 0, bytes: 0 });
      expect(log.outboxBytesMax).toBeLessThan(bytesMax + pieceBytes);
      for (const node of mesh.nodes) expect([node.log.gaps, node.log.forfeited]).toEqual([0, 0]);
    }
  });

  test('an origin that loses its power while much of what it owes is on the disk alone loses none of it', () => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = staged({ seed, count, edges });
      const last = count - 1;
      let made = 0;
      const safe = new Set<string>();
      for (let life = 0; life < 3; life += 1) {
        if (life === 0) die(mesh, last);
        for (let step = 0; step < 120; step += 1) {
          mesh.at(mesh.now + mesh.random.below(3_000), () => {
            mesh.publishTo(0, 't', `${made}`);
            made += 1;
          });
        }
        const from = made;
        mesh.runUntil(mesh.now + 3_100 + mesh.random.below(100));
        const upTo = mesh.diskUpTo(0);
        const lost = mesh.node(0).router.lastSeq() - upTo + mesh.node(0).backlog.length;
        for (let text = from; text < made - lost; text += 1) safe.add(`${text}`);
        cutOff(mesh, 0);
        mesh.powerCut(0, upTo);
        expect(mesh.node(0).router.view().outbox.awayCount).toBeGreaterThan(0);
        mesh.runUntil(mesh.now + 200);
        for (let at = 1; at < count; at += 1) if (at < last || life === 2) comeBack(mesh, at);
      }
      flapLinks(mesh, mesh.now + 3_000);
      mesh.runUntil(mesh.now + 90_000);
      const heard = heardOf(mesh, last, 0);
      expect(heard.map(Number), `seed ${seed}`).toEqual(
        [...new Set(heard.map(Number))].sort((one, other) => one - other),
      );
      expect(heard, `seed ${seed}`).toEqual(expect.arrayContaining([...safe]));
      expect(mesh.node(0).router.view().outbox).toMatchObject({ count: 0, awayCount: 0 });
      expect([mesh.node(last).log.gaps, mesh.node(0).log.forfeited]).toEqual([0, 0]);
    }
  });
});

test.each(['memory', 'place'] as const)(
  'a member without its %s in the stream is told that it lost something, though not how much',
  (lost) => {
    for (const seed of seedsFor(seedCount, [])) {
      const mesh = quietMesh({
        seed,
        count: 3,
        edges: full(3),
        diskMs: 20,
        router: { outbox: { ...outbox, hasDisk: true, awayCountMax: 64, retentionMs: 20_000 } },
      });
      mesh.publishTo(0, 't', 'first');
      mesh.runUntil(mesh.now + 500);
      die(mesh, 2);
      for (let made = 0; made < 300; made += 1) {
        mesh.at(mesh.now + made * 20, () => mesh.publishTo(0, 't', `${made}`));
      }
      // Its own memory is gone; or its origin's: what it was owed was given up, and its name with it.
      mesh.runUntil(mesh.now + (lost === 'memory' ? 8_000 : 30_000));
      if (lost === 'memory') mesh.powerCut(2, 0);
      comeBack(mesh, 2);
      mesh.runUntil(mesh.now + 30_000);
      mesh.publishTo(0, 't', 'last');
      mesh.runUntil(mesh.now + 30_000);
      expect(heardOf(mesh, 2, 0).at(-1)).toBe('last');
      const { gapCount, gaps } = mesh.node(2).log;
      expect([gapCount, gaps], `seed ${seed}`).toEqual([1, lost === 'memory' ? 0 : 300]);
      expect(mesh.node(1).log.gapCount).toBe(0);
    }
  },
);

test('what is given up beyond the disk is told to its origin and to its receiver, event by event', () => {
  for (const seed of seedsFor(seedCount, [])) {
    const mesh = quietMesh({
      seed,
      count: 3,
      edges: full(3),
      diskMs: 20,
      router: {
        outbox: {
          ...outbox,
          hasDisk: true,
          awayCountMax: 64,
        },
      },
    });
    mesh.publishTo(0, 't', 'first');
    mesh.runUntil(mesh.now + 500);
    die(mesh, 2);
    for (let made = 0; made < 300; made += 1) {
      mesh.at(mesh.now + made * 20, () => mesh.publishTo(0, 't', `${made}`));
    }
    mesh.runUntil(mesh.now + 8_000);
    comeBack(mesh, 2);
    mesh.runUntil(mesh.now + 30_000);
    const all = ['first', ...Array.from({ length: 300 }, (_, at) => `${at}`)];
    expect(heardOf(mesh, 1, 0)).toEqual(all);
    const heard = heardOf(mesh, 2, 0);
    const kept = heard.length - 1;
    expect(kept).toBeGreaterThan(64);
    expect(heard).toEqual(['first', ...all.slice(all.length - kept)]);
    const { forfeited } = mesh.node(0).log;
    expect([forfeited, mesh.node(2).log.gaps]).toEqual([300 - kept, 300 - kept]);
    expect(mesh.drops.get('outbox-quota')).toBe(forfeited);
  }
});
