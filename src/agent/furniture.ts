/** The floors above the mesh, put together: every part of a node and what it adds to the node's public face. */

import { createDecisions } from './decisions.ts';
import type { DecisionHandles } from './decisions.ts';
import { createDeviceHandle } from './device.ts';
import type { DeviceHandle } from './device.ts';
import { furnishShared } from './shared.ts';
import type { SharedHandles } from './shared.ts';
import { furnishWork } from './work.ts';
import type { WorkHandles } from './work.ts';
import { createBlobs } from '../runtime/blobs/blobs.ts';
import type { Blobs } from '../runtime/blobs/blobs.ts';
import { createUpdates } from '../runtime/update/updates.ts';
import type { Updates } from '../runtime/update/updates.ts';
import { createExplain } from '../runtime/explain/explain.ts';
import type { ExplainHandle } from '../runtime/explain/explain.ts';
import type { Hardware } from '../ports/hardware.ts';
import type { Furniture } from '../runtime/node.ts';
import { lazyPart } from '../runtime/parts.ts';
import type { NodePart, PartWorld } from '../runtime/parts.ts';

/** What the parts add to a node. */
export interface AgentHandles extends SharedHandles, WorkHandles, DecisionHandles {
  /** Content named by its hash, kept here and fetched from whoever has it. */
  readonly blobs: Blobs;
  /** The version of the program, here and over the mesh. */
  readonly updates: Updates;
  /** The board under the node. */
  readonly device: DeviceHandle;
  /** What happens, or happened, to messages, hop by hop. */
  readonly explain: ExplainHandle;
}

/** Furnishes a node. Parts start in this order. */
export function furnish(world: PartWorld): Furniture<AgentHandles> {
  const hardware = world.adapters.hardware(world.dataDir);
  const shared = furnishShared(world);
  const decisions = createDecisions(world);
  const work = furnishWork(world, decisions.consensus, hardware, decisions.handles.lock);
  const blobs = createBlobs({ ...world, files: world.adapters.blobFiles(world.dataDir) });
  const device = createDeviceHandle(hardware, world.adapters.peripherals);
  const explain = createExplain(world);
  const updates = createUpdates(world, blobs.handle, work.duties);
  return {
    parts: [
      explain,
      blobs,
      ...shared.parts,
      ...work.parts,
      decisions.part,
      updates.part,
      ...boardParts(world, hardware),
    ],
    handles: {
      device,
      updates: updates.handle,
      explain: explain.handle,
      blobs: blobs.handle,
      ...shared.handles,
      ...work.handles,
      ...decisions.handles,
    },
  };
}

/** What shows the board to other software, where it was asked for. */
function boardParts(world: PartWorld, hardware: Hardware): NodePart[] {
  const { metrics, homeAssistant } = world.options;
  const parts: NodePart[] = [];
  if (metrics !== undefined) {
    parts.push(
      lazyPart(async () =>
        (await import('../runtime/device/metrics-page.ts')).createMetricsPage(
          world,
          hardware,
          metrics,
        ),
      ),
    );
  }
  if (homeAssistant !== undefined) {
    parts.push(
      lazyPart(async () =>
        (await import('../runtime/device/home-assistant.ts')).createHomeAssistant(
          world,
          hardware,
          homeAssistant,
        ),
      ),
    );
  }
  return parts;
}
