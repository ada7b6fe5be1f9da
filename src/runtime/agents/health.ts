/** How the instances of each agent fare, as one view. */

import type { NodeId } from '../../kernel/ids.ts';
import type { HeldClaim } from './claims.ts';
import type { AgentHealth, AgentInfo } from './deploy-options.ts';
import type { Deployment } from './deployment.ts';

/** Takes all instances of each deployed agent together. @param place where its instances belong now */
export function healthOf(
  deployments: readonly Deployment[],
  claims: readonly HeldClaim[],
  place: (wanted: Deployment) => readonly (NodeId | undefined)[],
): AgentHealth[] {
  const live = deployments.filter(({ hash }) => hash !== undefined);
  return live.map((wanted) => {
    const mine = claims.filter(({ agent }) => agent === wanted.name);
    const running = mine.filter(({ state }) => state === 'running').length;
    const count = wanted.isAuto ? place(wanted).length : wanted.replicas;
    return {
      agent: wanted.name,
      wanted: count,
      running,
      failed: mine.filter(({ state }) => state === 'failed').length,
      restarts: mine.reduce((sum, { restarts }) => sum + restarts, 0),
      nodes: [...new Set(mine.map(({ node }) => node))],
      isWhole: running >= count,
    };
  });
}

/** The instances as people see them. */
export function listOf(claims: readonly HeldClaim[]): AgentInfo[] {
  return claims.map(({ agent, instance, node, state, restarts, since }) => ({
    agent,
    instance,
    node,
    state,
    restarts,
    since,
  }));
}
