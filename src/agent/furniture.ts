/** The floors above the mesh, put together: every part of a node and what it adds to the node's public face. */

import type { Furniture } from '../runtime/node.ts';
import type { PartWorld } from '../runtime/parts.ts';

/** What the parts add to a node. */
export type AgentHandles = Readonly<Record<never, never>>;

/** Furnishes a node. Parts start in this order. */
export function furnish(_world: PartWorld): Furniture<AgentHandles> {
  return { parts: [], handles: {} };
}
