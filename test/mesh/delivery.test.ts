import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Lab } from './lab.ts';
import { startMesh, statesSeen, type LabMesh } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import {
  difference,
  heardFrom,
  linkedAs,
  listen,
  numbered,
  speak,
  type Listener,
} from './traffic.ts';

const flags = ['--profile', 'fast'];

/** Time for a late second copy to come. */
const extraMs = 500;

/** Numbers of the nodes that each node can reach. */
type Topology = (at: number) => readonly number[];

const complete =
  (count: number): Topology =>
  (at) =>
    Array.from({ length: count }, (_, other) => other).filter((other) => other !== at);
const ring =
  (count: number): Topology =>
  (at) => [(at + 1) % count, (at + count - 1) % count];
const line =
  (count: number): Topology =>
  (at) =>
    [at - 1, at + 1].filter((other) => other >= 0 && other < count);

/** Lets only the pairs of a topology hear each other. */
async function shape(lab: Lab, mesh: LabMesh, topology: Topology): Promise<void> {
  for (const from of lab.hosts) {
    for (const to of lab.hosts) {
      if (from !== to && !topology(from.at).includes(to.at)) lab.block(from, to);
    }
  }
  await linkedAs(mesh, topology, 30_000);
}

/** Shapes the mesh before the first test of a suite, and again when it is another one. */
function shapeOnce(shared: () => readonly [Lab, LabMesh], topology: Topology): void {
  let shaped: LabMesh | undefined;
  beforeEach(async () => {
    const [lab, mesh] = shared();
    if (shaped === mesh) return;
    await shape(lab, mesh, topology);
    shaped = mesh;
  });
}

async function withListeners(
  mesh: LabMesh,
  args: readonly string[],
  act: (listeners: readonly Listener[]) => Promise<void>,
): Promise<void> {
  const listeners = await Promise.all(mesh.nodes.map((node) => listen(node, ...args)));
  try {
    await act(listeners);
  } finally {
    await Promise.all(listeners.map((listener) => listener.stop()));
  }
}

/** Every publisher's messages at every node: once each, in order, and nothing else. */
async function expectAll(
  listeners: readonly Listener[],
  sent: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const total = Object.values(sent).reduce((sum, lines) => sum + lines.length, 0);
  await Promise.all(listeners.map((listener) => listener.waitForCount(total, 60_000)));
  await sleep(extraMs);
  for (const [at, listener] of listeners.entries()) {
    for (const [publisher, lines] of Object.entries(sent)) {
      const problem = difference(lines, heardFrom(listener, publisher));
      expect(problem, `${publisher} at node ${at}`).toBe('');
    }
    expect(listener.messages().length).toBe(total);
  }
}

function proveDelivery(mesh: () => LabMesh, topology: string): void {
  test(`10 000 messages of one client reach every node of a ${topology} once and in order`, async () => {
    await withListeners(mesh(), ['-q', '1', '-t', 'load/#'], async (listeners) => {
      const lines = numbered('first', 10_000);
      const startedAt = performance.now();
      await speak(mesh().node(0), lines, '-q', '1', '-t', 'load/first');
      await expectAll(listeners, { first: lines });
      const seconds = (performance.now() - startedAt - extraMs) / 1000;
      console.info(`${topology}: 10 000 messages in ${seconds.toFixed(1)} s`);
    });
  });

  test(`two clients at once on a ${topology} are each heard once and in order`, async () => {
    const last = mesh().nodes.length - 1;
    await withListeners(mesh(), ['-q', '1', '-t', 'load/#'], async (listeners) => {
      const left = numbered('left', 2000);
      const right = numbered('right', 2000);
      await Promise.all([
        speak(mesh().node(0), left, '-q', '1', '-t', 'load/left'),
        speak(mesh().node(last), right, '-q', '1', '-t', 'load/right'),
      ]);
      await expectAll(listeners, { left, right });
    });
  });

  test(`QoS 0 is repeated nowhere on a ${topology}`, async () => {
    await withListeners(mesh(), ['-q', '0', '-t', 'load/#'], async (listeners) => {
      const lines = numbered('signal', 1000);
      await speak(mesh().node(0), lines, '-q', '0', '-t', 'load/signal');
      await expectAll(listeners, { signal: lines });
    });
  });

  test(`everybody on a ${topology} is held alive by everybody`, () => {
    const { nodes } = mesh();
    for (const { process, id } of nodes) {
      const others = nodes.filter((other) => other.id !== id);
      expect(others.map((other) => statesSeen(process).get(other.id))).toEqual(
        others.map(() => 'alive'),
      );
    }
  });
}

describe('on two hosts', () => {
  let mesh: LabMesh;
  shareLab({ hosts: 2 }, async (lab) => {
    mesh = await startMesh(lab, 2, { flags });
    await linkedAs(mesh, complete(2), 20_000);
  });
  proveDelivery(() => mesh, 'pair');
});

describe('on three hosts', () => {
  let lab: Lab;
  let mesh: LabMesh;
  shareLab({ hosts: 3 }, async (fresh) => {
    lab = fresh;
    mesh = await startMesh(lab, 3, { flags });
    await linkedAs(mesh, complete(3), 20_000);
  });
  proveDelivery(() => mesh, 'triangle');

  describe('of which two cannot reach each other', () => {
    shapeOnce(() => [lab, mesh], line(3));
    proveDelivery(() => mesh, 'line');
  });
});

describe('on five hosts', () => {
  let lab: Lab;
  let mesh: LabMesh;
  shareLab({ hosts: 5 }, async (fresh) => {
    lab = fresh;
    mesh = await startMesh(lab, 5, { flags });
    await linkedAs(mesh, complete(5), 20_000);
  });
  proveDelivery(() => mesh, 'full mesh');

  describe('that only reach their neighbours', () => {
    shapeOnce(() => [lab, mesh], ring(5));
    proveDelivery(() => mesh, 'ring');
  });
});
