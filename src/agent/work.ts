/** What a node does for others: services, and what stands on them, as parts and handles of the node. */

import type { Furniture } from '../runtime/node.ts';
import type { PartWorld } from '../runtime/parts.ts';
import { createPages } from '../runtime/services/pages.ts';
import { createServices } from '../runtime/services/services.ts';
import { createServiceHandles } from './service.ts';
import type { ServiceHandles } from './service.ts';

/** What they add to a node. */
export type WorkHandles = ServiceHandles;

/** Builds them. */
export function furnishWork(world: PartWorld): Furniture<WorkHandles> {
  const pages = createPages(world);
  const services = createServices(world, pages);
  return { parts: [pages, services], handles: createServiceHandles(services) };
}
