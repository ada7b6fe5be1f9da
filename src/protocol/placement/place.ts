/** Which nodes should run the replicas of an agent: those that can, spread, the same answer on every node that knows the same. */

import { rendezvousOrder } from '../../kernel/hash.ts';

/** Replicas of one agent. */
export const replicasMax = 256;

/** A node that could run something. */
export interface Site<Id extends string = string> {
  readonly id: Id;
  /** Share of the work it takes, by its cores and load. @default 1 */
  readonly weight?: number;
}

/**
 * One node a replica. Replicas that have a holder among the sites keep it; the rest go by rendezvous to the node that
 * holds the fewest of this agent, so that a node that goes moves only what it held.
 * @param held the holder of each replica now, or undefined
 */
export function placeReplicas<Id extends string>(
  agent: string,
  replicas: number,
  sites: readonly Site<Id>[],
  held: readonly (Id | undefined)[],
): (Id | undefined)[] {
  const count = Math.min(replicasMax, Math.max(0, Math.floor(replicas)));
  const weights = new Map(sites.map(({ id, weight }) => [id, weight ?? 1]));
  const loads = new Map<Id, number>(sites.map(({ id }) => [id, 0]));
  const placed: (Id | undefined)[] = [];
  for (let at = 0; at < count; at += 1) {
    const holder = held[at];
    const keeps = holder !== undefined && loads.has(holder);
    placed.push(keeps ? holder : undefined);
    if (keeps) loads.set(holder, (loads.get(holder) ?? 0) + 1);
  }
  for (let at = 0; at < count; at += 1) {
    if (placed[at] !== undefined) continue;
    const order = rendezvousOrder(
      `${agent}#${at}`,
      [...loads.keys()],
      (id) => weights.get(id) ?? 1,
    );
    let best: Id | undefined;
    for (const id of order) {
      if (best === undefined || (loads.get(id) ?? 0) < (loads.get(best) ?? 0)) best = id;
    }
    placed[at] = best;
    if (best !== undefined) loads.set(best, (loads.get(best) ?? 0) + 1);
  }
  return placed;
}
