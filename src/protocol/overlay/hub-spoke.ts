/**
 * Overlays with hubs: client-server and pub-sub. Hubs are linked with each other and relay, every other node is linked
 * with a few of them alone.
 *
 * Hubs are those named when the topology was set, else the members labelled so, else the lowest ids that are not leaves.
 * A node without any link and any hub takes whatever it finds, so a mesh whose hubs are all gone still holds together.
 */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { Overlay, OverlayInput, OverlayRole } from './overlay.ts';
import { createPairs } from './pairs.ts';
import type { PairLinks, PairPolicy, PairsConfig } from './pair-policy.ts';

/** Knobs of an overlay with hubs. */
export interface HubSpokeConfig extends PairsConfig {
  /** This node's own role. @default 'any' */
  readonly role?: OverlayRole;
  /** The hubs, when they were named. @default none: by role */
  readonly hubs?: readonly NodeId[];
  /** Hubs that a node which is none keeps links with. @default 2 */
  readonly parents?: number;
  /** Hubs when nobody is named or labelled. @default 2 */
  readonly electedMax?: number;
}

/** How long a hub that failed is passed over while another one is there, in ms. */
const restMs: Millis = 30_000;

/** How long a node outside the choice is wanted when something is to be said to it alone, in ms. */
const wantedMs: Millis = 60_000;

/** Members known with their roles; more are neither hubs nor passed over. */
const membersMax = 4096;

/** Builds the overlay. */
export function createHubSpoke(config: HubSpokeConfig, random: Random): Overlay {
  return createPairs(config, createHubPolicy(config), random);
}

/** Who the hubs are, among the living. */
export function hubsOf(
  living: ReadonlyMap<NodeId, OverlayRole>,
  named: readonly NodeId[],
  electedMax: number,
): readonly NodeId[] {
  const chosen = named.filter((node) => living.has(node));
  if (chosen.length > 0) return chosen;
  const all = [...living.keys()];
  const labelled = all.filter((node) => living.get(node) === 'hub');
  if (labelled.length > 0) return labelled;
  const fit = all.filter((node) => living.get(node) !== 'leaf');
  return (fit.length > 0 ? fit : all).toSorted().slice(0, Math.max(1, electedMax));
}

/** The hubs in this node's order of preference: each node has its own (rendezvous hashing, Thaler and Ravishankar 1998). */
export function byPreference(self: NodeId, hubs: readonly NodeId[]): readonly NodeId[] {
  return hubs
    .map((hub) => ({ hub, weight: hashOf(`${self} ${hub}`) }))
    .toSorted((left, right) => right.weight - left.weight || (left.hub < right.hub ? -1 : 1))
    .map(({ hub }) => hub);
}

/** FNV-1a, 32 bits, with a final mix: ids differ in few characters. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function createHubPolicy(config: HubSpokeConfig): PairPolicy {
  const { self, hubs: named = [], role = 'any' } = config;
  const parents = Math.max(1, config.parents ?? 2);
  const electedMax = config.electedMax ?? 2;
  const living = new Map<NodeId, OverlayRole>([[self, role]]);
  const resting = new Map<NodeId, Millis>();
  const wanted = new Map<NodeId, Millis>();
  let hubs: readonly NodeId[] = [];
  let preferred: readonly NodeId[] = [];

  function choose(): void {
    hubs = hubsOf(living, named, electedMax);
    preferred = hubs.includes(self) ? [] : byPreference(self, hubs);
  }
  choose();

  /** The parents of a node that is no hub: the first that do not rest, else the first. */
  function isParent(node: NodeId): boolean {
    const fit = preferred.filter((hub) => !resting.has(hub));
    const order = [...fit, ...preferred.filter((hub) => resting.has(hub))];
    return order.slice(0, parents).includes(node);
  }

  const isHub = (node: NodeId): boolean => hubs.includes(node);

  /** Without a link, and without a hub to hope for. */
  const isStranded = (links: PairLinks): boolean =>
    links.count === 0 && hubs.every((hub) => hub === self || resting.has(hub));

  function wants(node: NodeId, links: PairLinks): boolean {
    if (wanted.has(node) || isStranded(links)) return true;
    // A stranger may belong to a part of the mesh that was cut off: hubs look after that.
    if (isHub(self)) return isHub(node) || !living.has(node);
    return isParent(node);
  }

  function expire(now: Millis, table: Map<NodeId, Millis>): boolean {
    let isAny = false;
    for (const [node, at] of table) {
      if (at > now) continue;
      table.delete(node);
      isAny = true;
    }
    return isAny;
  }

  function put(table: Map<NodeId, Millis>, node: NodeId, at: Millis): boolean {
    if (!table.has(node) && table.size >= membersMax) return false;
    table.set(node, at);
    return true;
  }

  function learn(now: Millis, input: OverlayInput): boolean {
    switch (input.type) {
      case 'memberUp': {
        const { node, role: its = 'any' } = input;
        if (node === self || living.get(node) === its) return false;
        if (!living.has(node) && living.size >= membersMax) return false;
        if (!living.has(node)) resting.delete(node);
        living.set(node, its);
        choose();
        return true;
      }
      case 'memberGone':
      case 'memberSlept':
        if (input.node === self || !living.delete(input.node)) return false;
        choose();
        return true;
      case 'linkOpened':
        return resting.delete(input.node);
      case 'selfMoved':
        resting.clear();
        return true;
      case 'torn':
        return put(wanted, input.towards, now + wantedMs);
      case 'wanted':
        return put(wanted, input.node, now + wantedMs);
      default:
        return false;
    }
  }

  return {
    look(now, input) {
      const isRested = expire(now, resting);
      const isDone = expire(now, wanted);
      return learn(now, input) || isRested || isDone;
    },
    wants,
    isMutual: (node) => isHub(self) && isHub(node),
    // Make before break: nothing is given up while a parent is not there. Hubs leave it to the others to part.
    maySpare(node, isDialler, links) {
      if (isHub(self) || !living.has(node) || !(isDialler || isHub(node))) return false;
      const others = preferred.slice(0, parents).filter((hub) => hub !== node && !resting.has(hub));
      return others.length > 0 && others.every((hub) => links.isLinked(hub));
    },
    lost(now, node) {
      if (isHub(node)) put(resting, node, now + restMs);
    },
    deadline() {
      let soonest = Infinity;
      for (const at of resting.values()) soonest = Math.min(soonest, at);
      for (const at of wanted.values()) soonest = Math.min(soonest, at);
      return soonest;
    },
  };
}
