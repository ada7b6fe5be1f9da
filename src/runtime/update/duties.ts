/** What a node does for its mesh, and has to do under another version of its program, too: its agents and its services. */

import type { NodeId } from '../../kernel/ids.ts';
import type { Agents } from '../agents/agents.ts';
import type { Services } from '../services/services.ts';

/** Agents and services that are remembered over a restart; more are not asked for after it. */
export const dutiesMax = 64;

/** The duties of a node. */
export interface Duties {
  /** What is done here now, and well, by name. */
  done(): readonly string[];
  /**
   * Why one of these is not done, although it is still this node's to do; undefined: all are. What is another node's by now,
   * or nobody's, is not missed. Called again and again, it sees an agent that falls and is started again in between.
   */
  trouble(before: readonly string[]): Promise<string | undefined>;
}

const agentPrefix = 'agent ';
const servicePrefix = 'service ';

/** Builds them. */
export function createDuties(
  agents: Pick<Agents, 'due'>,
  services: Pick<Services, 'list' | 'checkHealth'>,
  self: NodeId,
): Duties {
  let restartsSeen = new Map<string, number>();

  /** Whether each service here is well, by name. */
  function servicesHere(): Map<string, boolean> {
    const own = services.list().filter(({ node }) => node === self);
    return new Map(
      own.map(({ namespace, service, isHealthy }) => [
        `${servicePrefix}${namespace}/${service}`,
        isHealthy,
      ]),
    );
  }

  function agentTrouble(before: ReadonlySet<string>): string | undefined {
    const due = agents.due().filter(({ agent }) => before.has(`${agentPrefix}${agent}`));
    const seen = restartsSeen;
    restartsSeen = new Map(due.map(({ instance, restarts }) => [instance, restarts]));
    for (const { instance, state, restarts } of due) {
      if (state === undefined) return `agent ${instance} does not run`;
      if (state !== 'running') return `agent ${instance} is ${state}`;
      if (restarts > (seen.get(instance) ?? restarts)) return `agent ${instance} failed`;
    }
    return undefined;
  }

  return {
    done() {
      const running = agents.due().filter(({ state }) => state === 'running');
      const names = new Set(running.map(({ agent }) => `${agentPrefix}${agent}`));
      for (const [name, isHealthy] of servicesHere()) if (isHealthy) names.add(name);
      return [...names].slice(0, dutiesMax);
    },
    async trouble(before) {
      const names = new Set(before);
      const found = agentTrouble(names);
      if (found !== undefined) return found;
      await services.checkHealth();
      const here = servicesHere();
      for (const name of names) {
        if (!name.startsWith(servicePrefix)) continue;
        if (!here.has(name)) return `${name} is not offered`;
        if (here.get(name) !== true) return `${name} is not well`;
      }
      return undefined;
    },
  };
}
