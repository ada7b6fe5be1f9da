/** Nodes on a mesh inside this process, with calls, pages and services, but no sockets: for tests of what stands on them. */

import { onTestFinished } from 'vitest';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMemoryMesh } from '../../../src/adapters/memory/mesh.ts';
import type { MemoryMesh } from '../../../src/adapters/memory/mesh.ts';
import { createMemoryStore } from '../../../src/adapters/memory/store.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import { createServiceHandles } from '../../../src/agent/service.ts';
import type { ServiceHandles } from '../../../src/agent/service.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createCalls } from '../../../src/runtime/calls/calls.ts';
import type { PartWorld } from '../../../src/runtime/parts.ts';
import { createPages } from '../../../src/runtime/services/pages.ts';
import type { Pages } from '../../../src/runtime/services/pages.ts';
import { createServices } from '../../../src/runtime/services/services.ts';
import type { Services } from '../../../src/runtime/services/services.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

/** One node of the stage. */
export interface Seat extends ServiceHandles {
  readonly id: NodeId;
  readonly world: PartWorld;
  readonly pages: Pages;
  readonly all: Services;
  stop(): Promise<void>;
}

/** A stage and its nodes. */
export interface Stage {
  readonly mesh: MemoryMesh;
  readonly seats: readonly Seat[];
}

/** Labels of the nodes by their number. */
export type Labels = readonly Readonly<Record<string, string>>[];

/** Sets up so many nodes that know one another. */
export async function createStage(count: number, labels: Labels = []): Promise<Stage> {
  const mesh = createMemoryMesh();
  const ids = Array.from({ length: count }, (_, at) => simNodeId(at));
  const ports = ids.map((id) => mesh.join(id));
  const seats: Seat[] = [];
  for (const [at, port] of ports.entries()) {
    const clock = createSystemClock();
    const log = createMemoryLog();
    const metrics = createMetrics();
    const random = createRandom(at + 1);
    const calls = createCalls({ mesh: port, clock, random: random.split(), log, metrics });
    const members = () =>
      ids.flatMap((id, of) =>
        id === port.self || port.peers().includes(id)
          ? [
              {
                id,
                name: `n${of}`,
                labels: labels[of] ?? {},
                capabilities: [],
                isSelf: id === port.self,
              },
            ]
          : [],
      );
    const world = {
      node: { id: port.self, members },
      mesh: port,
      calls,
      clock,
      log,
      metrics,
      store: createMemoryStore(),
      random: () => random.split(),
    } as unknown as PartWorld;
    const pages = createPages(world);
    const all = createServices(world, pages);
    await pages.start();
    await all.start();
    const stop = async (): Promise<void> => {
      await all.stop();
      await pages.stop();
      calls.stop();
    };
    onTestFinished(stop);
    seats.push({ ...createServiceHandles(all), id: port.self, world, pages, all, stop });
  }
  return { mesh, seats };
}
