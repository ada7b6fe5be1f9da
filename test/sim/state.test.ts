import { expect, test } from 'vitest';
import { addressOf } from '../../src/protocol/replication/cell.ts';
import { clear, increment } from '../../src/protocol/replication/writes.ts';
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
test('V-C1: facts with a whole context lose writes while all replicas agree; with their own dots they lose none', () => {
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

test('a counter has one page of each storage that ever counted: nothing is lost or counted twice, also when an old one comes back', () => {
  const mesh = new StateMesh({ seed: 17, count: 3 });
  const address = addressOf('counter', ['hits']);
  const hit = (at: number, by: number): void => {
    const node = mesh.nodes[at];
    if (node === undefined) throw new Error('no such node');
    mesh.write(at, address, increment(node.state.entries(address), node.replica, by));
  };
  const values = (): unknown[] => mesh.nodes.map(({ state }) => state.read(address));
  const pages = (): number[] => mesh.nodes.map(({ state }) => state.entries(address).length);
  const eve = mesh.nodes[2];
  if (eve === undefined) throw new Error('no node');
  let image: typeof eve.journal = [];
  let before = '';
  hit(0, 1_000);
  for (let life = 1; life <= 40; life += 1) {
    for (let count = 0; count < 5; count += 1) hit(2, 1);
    mesh.run(3_000);
    if (life === 7) [image, before] = [eve.journal.slice(), eve.replica];
    mesh.crash(2, 'lost');
    mesh.restart(2);
    mesh.run(5_000);
    expect(values()).toEqual(Array(3).fill(1_000 + 5 * life));
    expect(pages()).toEqual(Array(3).fill(1 + life));
  }
  const journals = eve.journal.length;
  // The card of the seventh life is put back, and counts before it meets anybody.
  mesh.crash(2, 'kept');
  [eve.journal, eve.synced, eve.replica] = [image, image.length, before];
  mesh.split((at) => Number(at === 2));
  mesh.restart(2);
  for (let count = 0; count < 3; count += 1) hit(2, 1);
  expect(eve.state.read(address)).toBe(1_000 + 7 * 5 + 3);
  mesh.heal();
  mesh.run(20_000);
  expect(values()).toEqual(Array(3).fill(1_000 + 40 * 5 + 3));
  expect(pages()).toEqual(Array(3).fill(41));
  expect(journals).toBeLessThan(200);
  // Deleted, it leaves nothing that is live; what is left of its replicas is retired.
  mesh.write(0, address, clear());
  mesh.run(20_000);
  expect(pages()).toEqual([0, 0, 0]);
  for (const { state } of mesh.nodes) expect(state.told().length).toBeLessThanOrEqual(5);
  expect(mesh.verdict()).toEqual([]);
});

test('a counter that 1500 replicas have counted in reaches a newcomer, and goes everywhere when it is deleted', () => {
  const mesh = new StateMesh({ seed: 19, count: 3 });
  const address = addressOf('counter', ['hits']);
  mesh.split((at) => at);
  mesh.run(1_000);
  const ann = mesh.nodes[0];
  if (ann === undefined) throw new Error('no node');
  const gone = (from: number): string => `${String(from).padStart(52, 'gone')}:1.chance`;
  for (let from = 0; from < 1_500; from += 1) {
    const entry = { replica: gone(from), count: 1, at: { wallMs: 1, count: 0 }, value: [2, 1] };
    ann.state.join({ address, live: [entry], dead: [] });
  }
  mesh.set(0, 'else', 1);
  mesh.heal();
  mesh.run(120_000);
  expect(mesh.nodes.map(({ state }) => state.read(address))).toEqual([1_500, 1_500, 1_500]);
  mesh.write(2, address, clear());
  mesh.run(60_000);
  expect(mesh.nodes.map(({ state }) => state.entries(address).length)).toEqual([0, 0, 0]);
  expect(mesh.verdict()).toEqual([]);
});

test('storages that are lost again and again leave no trace for ever: neither on the wire nor, in the end, in memory', () => {
  const mesh = new StateMesh({ seed: 11, count: 3 });
  const days = 86_400_000;
  const told = (): number[] => mesh.nodes.map(({ state }) => state.told().length);
  const remembered = (): number[] => mesh.nodes.map(({ state }) => state.context.replicaCount);
  mesh.set(0, 'stays', 0);
  for (let life = 1; life <= 60; life += 1) {
    mesh.set(2, 'written', life);
    mesh.set(2, `own ${life}`, life);
    mesh.run(3_000);
    mesh.remove(2, `own ${life}`);
    mesh.run(3_000);
    mesh.crash(2, 'lost');
    mesh.restart(2);
    mesh.run(10_000);
    // Those that write, and the one whose value still stands.
    for (const count of told()) expect(count).toBeLessThanOrEqual(5);
  }
  for (const count of remembered().slice(0, 2)) expect(count).toBeGreaterThan(55);
  expect(mesh.verdict()).toEqual([]);
  // A restart from disk remembers since when.
  for (const at of mesh.nodes.keys()) {
    mesh.crash(at, 'kept');
    mesh.restart(at);
    mesh.step(at, 80 * days);
  }
  mesh.run(20_000);
  for (const count of remembered().slice(0, 2)) expect(count).toBeGreaterThan(55);
  for (const at of mesh.nodes.keys()) mesh.step(at, 91 * days);
  mesh.run(20_000);
  for (const count of remembered()) expect(count).toBeLessThanOrEqual(5);
  expect(mesh.nodes.map(({ state }) => state.size)).toEqual([2, 2, 2]);
  expect(mesh.verdict()).toEqual([]);
});

test.each([undefined, 'forgotten-at-once'] as const)(
  'an image that is put back brings nothing back that a retired replica wrote and others removed, unless that was forgotten (%s)',
  (mutation) => {
    const mesh = new StateMesh({ seed: 13, count: 3, ...(mutation && { mutation }) });
    mesh.set(2, 'gone', 1);
    mesh.run(10_000);
    const [, ben] = mesh.nodes;
    if (ben === undefined) throw new Error('no node');
    const image = ben.journal.slice();
    mesh.crash(2, 'lost');
    mesh.restart(2);
    mesh.run(5_000);
    mesh.set(2, 'later', 2);
    mesh.remove(0, 'gone');
    mesh.run(20_000);
    mesh.crash(1, 'kept');
    ben.journal = image;
    ben.synced = image.length;
    mesh.restart(1);
    mesh.run(20_000);
    const sizes = mesh.nodes.map(({ state }) => state.size);
    expect(sizes).toEqual(mutation === undefined ? [1, 1, 1] : [2, 2, 2]);
    expect(mesh.verdict().length > 0).toBe(mutation !== undefined);
  },
);

test('a node that is gone for good is not told of any more, and one that comes back with news is heard', () => {
  const mesh = new StateMesh({ seed: 12, count: 4 });
  mesh.set(3, 'kept', 1);
  mesh.set(3, 'gone', 1);
  mesh.run(10_000);
  mesh.remove(0, 'gone');
  mesh.set(0, 'kept', 2);
  mesh.run(5_000);
  mesh.split((at) => Number(at === 3));
  mesh.set(3, 'news', 3);
  mesh.leave(3);
  mesh.run(20_000);
  const gone = mesh.nodes[3]?.replica;
  for (const { state } of mesh.nodes.slice(0, 3)) {
    expect(state.told().map(([replica]) => replica)).not.toContain(gone);
    expect(state.context.replicas()).toContain(gone);
  }
  mesh.heal();
  mesh.back(3);
  mesh.run(20_000);
  for (const { state } of mesh.nodes) {
    expect(state.told().map(([replica]) => replica)).toContain(gone);
    expect([...state.addresses()].sort()).toEqual(['rkept', 'rnews']);
  }
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
