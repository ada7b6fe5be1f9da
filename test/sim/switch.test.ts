/** Switches of the overlay under traffic, with the production switchboards and routers: nothing lost, nothing twice. */

import { describe, expect, test } from 'vitest';
import type { OverlayName } from '../../src/protocol/overlay/overlay.ts';
import { SwitchMesh } from './switch-mesh.ts';

const seeds = Math.max(1, Number(process.env['SIM_SEEDS'] ?? 40) / 40);
/** Of the profile 'loopback'. */
const cooldownMs = 5_000;

/** Every node publishes about every 100 ms. */
function traffic(mesh: SwitchMesh, from: number, to: number): void {
  for (const { at } of mesh.nodes) {
    for (let when = from; when < to; when += 100) {
      mesh.at(when + mesh.random.below(100), () => mesh.node(at).isUp && mesh.publish(at));
    }
  }
}

/** What is wrong with what the nodes of these numbers have of each other's events, in the lives they are in. */
function problems(mesh: SwitchMesh, nodes: readonly number[]): string[] {
  const wrong: string[] = [];
  for (const at of nodes) {
    const { heard, gaps } = mesh.node(at);
    if (gaps > 0) wrong.push(`${gaps} gaps at ${at}`);
    for (const other of nodes) {
      if (other === at) continue;
      const { boot, published } = mesh.node(other);
      const got = heard.get(`${other}.${boot}`) ?? [];
      const isInOrder = got.every((seq, index) => seq === index + 1);
      if (!isInOrder || got.length !== published) {
        wrong.push(`${got.length} of ${published} from ${other} at ${at}, in order: ${isInOrder}`);
      }
    }
  }
  return wrong;
}

const kindsOf = (mesh: SwitchMesh): string[] => [
  ...new Set(mesh.live().map(({ board }) => board.topology().kind)),
];
const isSettled = (mesh: SwitchMesh): boolean =>
  mesh.live().every(({ board }) => board.view().leaving === undefined);

function start(count: number, seed: number, overlay: OverlayName = 'full-mesh'): SwitchMesh {
  const mesh = new SwitchMesh({ seed, count, overlay });
  mesh.runUntil(5_000);
  expect(mesh.isWhole(), `seed ${seed}`).toBe(true);
  return mesh;
}

describe('a switch of the overlay', () => {
  test.each([
    ['full-mesh', 'hyparview', 12, 26],
    ['hyparview', 'client-server', 12, 21],
    ['client-server', 'pub-sub', 12, 11],
    ['pub-sub', 'full-mesh', 12, 66],
  ] as const)('from %s to %s loses no event and delivers none twice', (from, to, count, links) => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const mesh = start(count, seed, from);
      traffic(mesh, 5_000, 15_000);
      mesh.at(7_000, () => expect(mesh.set(mesh.random.below(count), to)).toBe(true));
      for (let at = 5_000; at < 20_000; at += 250) {
        mesh.at(at, () => expect(mesh.isWhole(), `at ${mesh.now}, seed ${seed}`).toBe(true));
      }
      mesh.runUntil(25_000);
      expect(kindsOf(mesh), `seed ${seed}`).toEqual([to]);
      expect(isSettled(mesh)).toBe(true);
      expect(mesh.links().length).toBeLessThanOrEqual(links);
      mesh.runUntil(60_000);
      expect(problems(mesh, [...mesh.nodes.keys()]), `seed ${seed}`).toEqual([]);
    }
  });

  test('reaches a node whose cable was out during it, and loses nothing for it', () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const mesh = start(10, seed);
      const away = 4;
      traffic(mesh, 5_000, 20_000);
      mesh.at(6_000, () => mesh.isolate(away, true));
      mesh.at(12_000, () => expect(mesh.set(1, 'hyparview')).toBe(true));
      mesh.at(30_000, () => mesh.isolate(away, false));
      mesh.runUntil(29_000);
      expect(mesh.node(away).board.topology().kind).toBe('full-mesh');
      mesh.runUntil(120_000);
      expect(kindsOf(mesh), `seed ${seed}`).toEqual(['hyparview']);
      expect(mesh.isWhole()).toBe(true);
      expect(problems(mesh, [...mesh.nodes.keys()]), `seed ${seed}`).toEqual([]);
    }
  });

  test('is remembered by a node that loses power in the middle of it', () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const mesh = start(8, seed);
      mesh.at(6_000, () => expect(mesh.set(1, 'hyparview')).toBe(true));
      mesh.at(7_000, () => mesh.kill(5));
      mesh.at(9_000, () => mesh.revive(5));
      mesh.runUntil(10_000);
      expect(mesh.node(5).remembered.kind).toBe('hyparview');
      mesh.runUntil(40_000);
      expect(kindsOf(mesh), `seed ${seed}`).toEqual(['hyparview']);
      traffic(mesh, 40_000, 42_000);
      mesh.runUntil(70_000);
      expect(mesh.isWhole()).toBe(true);
      for (const { at } of mesh.nodes) {
        const { boot } = mesh.node(at);
        for (const { heard, at: other } of mesh.nodes) {
          if (other !== at)
            expect(heard.get(`${at}.${boot}`)?.length).toBe(mesh.node(at).published);
        }
      }
    }
  });

  test('goes back when members are lost during it, and nothing is lost by going back', () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const mesh = start(12, seed);
      traffic(mesh, 5_000, 15_000);
      mesh.at(6_000, () => expect(mesh.set(0, 'client-server')).toBe(true));
      for (const at of [9, 10, 11]) mesh.at(6_100, () => mesh.kill(at));
      mesh.runUntil(60_000);
      expect(kindsOf(mesh), `seed ${seed}`).toEqual(['full-mesh']);
      const { topology, history } = mesh.node(3).board.view();
      expect(topology.reason).toContain('rolled back');
      expect(history.map(({ what }) => what)).toContain('begun');
      expect(isSettled(mesh)).toBe(true);
      expect(problems(mesh, [0, 1, 2, 3, 4, 5, 6, 7, 8]), `seed ${seed}`).toEqual([]);
    }
  });

  test('is settled by its epoch when two halves of the mesh have chosen differently', () => {
    const mesh = start(6, 3);
    expect(mesh.set(0, 'hyparview')).toBe(true);
    expect(mesh.set(5, 'client-server')).toBe(true);
    mesh.runUntil(40_000);
    expect(kindsOf(mesh)).toHaveLength(1);
    expect(isSettled(mesh)).toBe(true);
    expect(mesh.isWhole()).toBe(true);
  });

  test('is refused during another one and until it has cooled down', () => {
    const mesh = start(4, 1);
    expect(mesh.set(0, 'hyparview')).toBe(true);
    expect(mesh.node(0).board.refusal(mesh.now)?.why).toBe('switching');
    mesh.runUntil(mesh.now + 4_000);
    expect(mesh.set(1, 'full-mesh')).toBe(false);
    expect(mesh.node(1).board.refusal(mesh.now)?.why).toBe('cooldown');
    mesh.runUntil(mesh.now + cooldownMs);
    expect(mesh.set(1, 'full-mesh')).toBe(true);
  });
});

test('a client-server mesh moves the leaves to another hub when theirs dies', () => {
  const roleOf = (at: number) => (at < 3 ? 'hub' : 'leaf');
  const mesh = new SwitchMesh({ seed: 5, count: 10, overlay: 'client-server', roleOf });
  mesh.runUntil(8_000);
  const parentsOf = (at: number): number => mesh.node(at).chosen.size;
  for (let at = 3; at < 10; at += 1) expect(parentsOf(at)).toBe(2);
  expect(mesh.links().every(([left]) => left < 3)).toBe(true);
  mesh.kill(1);
  mesh.runUntil(20_000);
  for (let at = 3; at < 10; at += 1) expect(parentsOf(at)).toBe(2);
  expect(mesh.isWhole()).toBe(true);
  for (const at of [0, 2]) mesh.kill(at);
  mesh.runUntil(40_000);
  // No hub is left: the mesh holds together all the same.
  expect(mesh.isWhole()).toBe(true);
});

test('HyParView has at most half of the links of a full mesh at 20 nodes', () => {
  const mesh = new SwitchMesh({ seed: 2, count: 20, overlay: 'hyparview' });
  mesh.runUntil(20_000);
  const links = mesh.links().length;
  console.info(`${links} links of ${(20 * 19) / 2}`);
  expect(links).toBeLessThanOrEqual(95);
  expect(mesh.isWhole()).toBe(true);
});
