/** What a node does for others: services, agents and what stands on them, as parts and handles of the node. */

import { createAgents } from '../runtime/agents/agents.ts';
import type { Furniture } from '../runtime/node.ts';
import type { PartWorld } from '../runtime/parts.ts';
import { createPages } from '../runtime/services/pages.ts';
import { createServices } from '../runtime/services/services.ts';
import { createAgentsHandle } from './agent.ts';
import type { AgentsHandle } from './agent.ts';
import { createServiceHandles } from './service.ts';
import type { ServiceHandles } from './service.ts';

/** What they add to a node. */
export interface WorkHandles extends ServiceHandles {
  readonly agents: AgentsHandle;
}

/** Builds them. */
export function furnishWork(world: PartWorld): Furniture<WorkHandles> {
  const pages = createPages(world);
  const services = createServices(world, pages);
  const agents = createAgents(world, pages, services, world.adapters.cells);
  const handles = { ...createServiceHandles(services), agents: createAgentsHandle(agents) };
  return { parts: [pages, services, agents], handles };
}
