/** What a node does for others: services, agents and what stands on them, as parts and handles of the node. */

import type { Hardware } from '../ports/hardware.ts';
import type { Hold } from '../runtime/agents/crew.ts';
import { createAgents } from '../runtime/agents/agents.ts';
import type { Consensus } from '../runtime/consensus/part.ts';
import type { Furniture } from '../runtime/node.ts';
import type { PartWorld } from '../runtime/parts.ts';
import { createPages } from '../runtime/services/pages.ts';
import { createServices } from '../runtime/services/services.ts';
import { createDuties } from '../runtime/update/duties.ts';
import type { Duties } from '../runtime/update/duties.ts';
import { createTasks } from '../runtime/tasks/tasks.ts';
import { createWork } from '../runtime/distribution/work.ts';
import { createAgreementsHandle } from './agreements.ts';
import type { AgreementsHandle } from './agreements.ts';
import { createAgentsHandle } from './agent.ts';
import type { AgentsHandle } from './agent.ts';
import { createLlm } from './llm.ts';
import type { LlmHandle } from './llm.ts';
import { createServiceHandles } from './service.ts';
import type { ServiceHandles } from './service.ts';
import { createWorkHandle } from './spread-work.ts';
import type { WorkHandle } from './spread-work.ts';
import { createTasksHandle } from './tasks.ts';
import type { TasksHandle } from './tasks.ts';

/** What they add to a node. */
export interface WorkHandles extends ServiceHandles {
  readonly agents: AgentsHandle;
  /** Tasks for whoever can do them best. */
  readonly tasks: TasksHandle;
  /** One function on many items, on many nodes. */
  readonly work: WorkHandle;
  /** Votes, bargains, markets, and tasks allotted without an auctioneer. */
  readonly agreements: AgreementsHandle;
  /** Language models, asked through the mesh. */
  readonly llm: LlmHandle;
}

/** Builds them. */
export function furnishWork(
  world: PartWorld,
  consensus: Consensus,
  hardware: Hardware,
  hold: Hold,
): Furniture<WorkHandles> & { readonly duties: Duties } {
  const pages = createPages(world);
  const services = createServices(world, pages);
  const tasks = createTasks(world, pages, consensus, hardware);
  const work = createWork(world, world.adapters.cells, hardware);
  const llm = createLlm(world, services);
  const agents = createAgents(world, { pages, services, tasks, hold, modelsFor: llm.modelsFor });
  const handles = {
    ...createServiceHandles(services),
    agents: createAgentsHandle(agents),
    tasks: createTasksHandle(tasks),
    work: createWorkHandle(work, world.clock),
    llm: llm.handle,
    agreements: createAgreementsHandle(async () => {
      const { createAgreements } = await import('../runtime/agreements/agreements.ts');
      return createAgreements(world, services, pages);
    }),
  };
  const duties = createDuties(agents, services, world.node.id);
  return { parts: [pages, services, tasks, work, llm.part, agents], handles, duties };
}
