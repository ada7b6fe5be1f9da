/**
 * Who should host replicas, by what hosting one more would cost each node: a sequential single-item auction (Koenig et al.
 * 2006) of equal items, so that a large, cool, idle board takes more of them than a small, hot or busy one.
 */

import { rendezvousOrder } from '../../kernel/hash.ts';
import { replicasMax } from './place.ts';

/** What an agent is taken to need of a core while nobody has measured it. */
export const agentLoad = 0.1;

/** Heat above which a board slows down, and at which it is as good as half a board, in degrees Celsius. */
const warmC = 65;
const hotC = 85;

/** What a node tells of itself to whoever deploys. Undefined: the board does not tell. */
export interface HostingFacts {
  readonly cores: number;
  /** Processes that run or wait to run, averaged over a minute. */
  readonly load: number;
  /** Agents it hosts. */
  readonly agents: number;
  /** Share of its memory that programs could still take, 0 to 1. */
  readonly freeShare: number;
  readonly temperatureC: number | undefined;
  readonly isThrottled: boolean | undefined;
  /** Charge of the battery that feeds it, 0 to 1; undefined on mains. */
  readonly batteryShare: number | undefined;
}

/** What hosting one more agent costs a node that takes `more` others besides: the share of it that is then in use, dearer when it is hot, held back, on battery or short of memory. */
export function hostingCost(facts: HostingFacts, more: number): number {
  const { cores, load, agents, freeShare, temperatureC, isThrottled, batteryShare } = facts;
  const used = (load + agentLoad * (agents + more + 1)) / Math.max(1, cores);
  const heat = temperatureC === undefined ? 1 : 1 + clamp((temperatureC - warmC) / (hotC - warmC));
  const battery = batteryShare === undefined ? 1 : 1 + 2 * (1 - clamp(batteryShare));
  // Half of the memory free is enough; the last tenth counts ten times.
  const memory = Math.max(1, 0.5 / Math.max(0.05, clamp(freeShare)));
  return used * heat * (isThrottled === true ? 2 : 1) * battery * memory;
}

/** A node that bids for hosting. */
export interface HostingSite<Id extends string = string> {
  readonly id: Id;
  readonly facts: HostingFacts;
}

/** Who hosts a replica, and at what cost. */
export interface Hosting<Id extends string = string> {
  readonly node: Id;
  readonly cost: number;
}

/** Gives one replica a round to the lowest bid; equal bids by rendezvous of the replica, so that they are spread. */
export function auctionReplicas<Id extends string>(
  agent: string,
  replicas: number,
  sites: readonly HostingSite<Id>[],
): Hosting<Id>[] {
  const taken = new Map<Id, number>();
  const facts = new Map(sites.map((site) => [site.id, site.facts]));
  const count = sites.length === 0 ? 0 : Math.min(replicasMax, Math.max(0, Math.floor(replicas)));
  return Array.from({ length: count }, (_, at) => {
    const order = rendezvousOrder(`${agent}#${at}`, [...facts.keys()]);
    const bids = order.map((node) => {
      const cost = hostingCost(facts.get(node) as HostingFacts, taken.get(node) ?? 0);
      return { node, cost: Number.isFinite(cost) ? cost : Infinity };
    });
    const best = bids.reduce((least, bid) => (bid.cost < least.cost ? bid : least));
    taken.set(best.node, (taken.get(best.node) ?? 0) + 1);
    return best;
  });
}

function clamp(share: number): number {
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}
