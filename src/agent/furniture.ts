/** The floors above the mesh, put together: every part of a node and what it adds to the node's public face. */

import { createDeviceHandle } from './device.ts';
import type { DeviceHandle } from './device.ts';
import type { Furniture } from '../runtime/node.ts';
import type { PartWorld } from '../runtime/parts.ts';

/** What the parts add to a node. */
export interface AgentHandles {
  /** The board under the node. */
  readonly device: DeviceHandle;
}

/** Furnishes a node. Parts start in this order. */
export function furnish(world: PartWorld): Furniture<AgentHandles> {
  const device = createDeviceHandle(world.adapters.hardware(world.dataDir));
  return { parts: [], handles: { device } };
}
