/** Which nodes should run the replicas of an agent: those that can, spread, the same answer on every node that knows the same. */

import { rendezvousOrder } from '../../kernel/hash.ts';

/** Replicas of one agent. */
export const replicasMax = 256;

/** A node that could run something. */
export interface Site<Id extends string = string> {
  readonly id: Id;
  /** Share of the work it takes, by its cores and load. @default 1 */
  readonly weight?: number;
  /** Where it stands: replicas are spread over zones before they are spread over nodes. @default one for all */
  readonly zone?: string;
}

/**
 * One node a replica. Replicas that have a holder among the sites keep it; the rest go by rendezvous to the node that
 * holds the fewest of this agent, in the zone that holds the fewest, so that a node that goes moves only what it held.
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
  const zones = new Map(sites.map(({ id, zone }) => [id, zone ?? '']));
  const zoneLoads = new Map<string, number>();
  const zoneLoad = (id: Id): number => zoneLoads.get(zones.get(id) ?? '') ?? 0;
  const load = (id: Id): void => {
    loads.set(id, (loads.get(id) ?? 0) + 1);
    zoneLoads.set(zones.get(id) ?? '', zoneLoad(id) + 1);
  };
  const isEmptier = (one: Id, other: Id): boolean =>
    zoneLoad(one) !== zoneLoad(other)
      ? zoneLoad(one) < zoneLoad(other)
      : (loads.get(one) ?? 0) < (loads.get(other) ?? 0);
  const placed: (Id | undefined)[] = [];
  for (let at = 0; at < count; at += 1) {
    const holder = held[at];
    const keeps = holder !== undefined && loads.has(holder);
    placed.push(keeps ? holder : undefined);
    if (keeps) load(holder);
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
      if (best === undefined || isEmptier(id, best)) best = id;
    }
    placed[at] = best;
    if (best !== undefined) load(best);
  }
  return placed;
}
