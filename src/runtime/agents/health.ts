/** How the instances of each agent fare, as one view. */

import type { NodeId } from '../../kernel/ids.ts';
import type { Claims, HeldClaim } from './claims.ts';
import type { AgentHealth, AgentInfo, DueAgent } from './deploy-options.ts';
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

/** The instances that belong on one node. @param place where the instances of a deployment belong now */
export function dueOf(
  deployments: readonly Deployment[],
  claims: Pick<Claims, 'holder'>,
  place: (wanted: Deployment) => readonly (NodeId | undefined)[],
  node: NodeId,
): DueAgent[] {
  return deployments
    .filter(({ hash }) => hash !== undefined)
    .flatMap((wanted) =>
      place(wanted).flatMap((site, number) => {
        if (site !== node) return [];
        const instance = `${wanted.name}#${number}`;
        const holder = claims.holder(instance);
        const own = holder?.node === node ? holder : undefined;
        return [{ agent: wanted.name, instance, state: own?.state, restarts: own?.restarts ?? 0 }];
      }),
    );
}
