/** What the nodes of a mesh know together: state, events, cached values, and what healed splits have merged. */

import { createMeshCaches } from '../runtime/cache/mesh-cache.ts';
import { createChronicle } from '../runtime/chronicle/chronicle.ts';
import type { Furniture } from '../runtime/node.ts';
import type { PartWorld } from '../runtime/parts.ts';
import { createDocuments } from '../runtime/state/documents.ts';
import { createPartitionLog } from '../runtime/state/partition-log.ts';
import { createStateCells } from '../runtime/state/state-cells.ts';
import { createStateRoom } from '../runtime/state/state-room.ts';
import { createCacheHandle } from './cache.ts';
import type { CacheHandle } from './cache.ts';
import { createEventsHandle } from './events.ts';
import type { EventsHandle } from './events.ts';
import { createPartitionsHandle } from './partitions.ts';
import type { PartitionsHandle } from './partitions.ts';
import { createStateHandle } from './state.ts';
import type { StateHandle } from './state-types.ts';

/** What they add to a node. */
export interface SharedHandles {
  /** State that every node may write, also while the mesh is split. */
  readonly state: StateHandle;
  /** What happened, on all nodes. */
  readonly events: EventsHandle;
  /** Values kept for a while, near and at their owners. */
  readonly cache: CacheHandle;
  /** Splits of the mesh. */
  readonly partitions: PartitionsHandle;
}

/** Furnishes a node with them. */
export function furnishShared(world: PartWorld): Furniture<SharedHandles> {
  const state = createStateRoom(world);
  const documents = createDocuments(world, state);
  const chronicle = createChronicle(world, state);
  const caches = createMeshCaches(world);
  const partitions = createPartitionLog(world, state);
  return {
    parts: [state.part, documents.part, chronicle.part, caches.part, partitions.part],
    handles: {
      state: createStateHandle(state, createStateCells(state, world.clock), documents),
      events: createEventsHandle(chronicle),
      cache: createCacheHandle(caches),
      partitions: createPartitionsHandle(partitions),
    },
  };
}
