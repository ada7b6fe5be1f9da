/** The overlays a node can run, by name, with their pace on each kind of network, and the switch between them. */

import type { NodeId } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { ProfileName } from '../protocol/membership/profiles.ts';
import { createAutoTopology } from '../protocol/overlay/auto-topology.ts';
import { createFullMesh } from '../protocol/overlay/full-mesh.ts';
import { createHubSpoke } from '../protocol/overlay/hub-spoke.ts';
import type { HyparviewPace } from '../protocol/overlay/hyparview-config.ts';
import { createHyparview } from '../protocol/overlay/hyparview.ts';
import type { Overlay, OverlayName, OverlayRole } from '../protocol/overlay/overlay.ts';
import type { Switchboard } from '../protocol/overlay/switchboard-types.ts';
import { createSwitchboard } from '../protocol/overlay/switchboard.ts';
import type { Topology } from '../protocol/overlay/topology.ts';
import { createUnity } from '../protocol/overlay/unity.ts';

const wired: HyparviewPace = {
  activeMax: 5,
  passiveMax: 30,
  shuffleMs: 10_000,
  promotionMs: 5_000,
};

/** The pace of HyParView per profile (protocols reference, section 10). */
const hyparviewPaces: Readonly<Record<ProfileName, HyparviewPace>> = {
  wired,
  fast: wired,
  wifi: { ...wired, shuffleMs: 30_000, promotionMs: 15_000 },
  loopback: { activeMax: 4, passiveMax: 24, shuffleMs: 1_000, promotionMs: 500 },
};

/**
 * How long both overlays run at least, max(10 s, 3 heartbeats), and when a switch is given up (protocols reference, 2.6):
 * the lowest member must have been heard over the new links by then, which it is once in a shuffle period.
 */
const switchPaces: Readonly<
  Record<ProfileName, { bridgeMs: number; abortMs: number; cooldownMs?: number }>
> = {
  wired: { bridgeMs: 15_000, abortMs: 45_000 },
  fast: { bridgeMs: 10_000, abortMs: 40_000 },
  wifi: { bridgeMs: 45_000, abortMs: 120_000 },
  loopback: { bridgeMs: 2_000, abortMs: 45_000, cooldownMs: 5_000 },
};

/** Parents of a node that is no hub. In `pub-sub` all its traffic takes one way. */
const parentsOf = { 'client-server': 2, 'pub-sub': 1 } as const;

/** What an overlay is built from. */
export interface OverlayOptions {
  readonly self: NodeId;
  readonly boot: number;
  readonly role: OverlayRole;
  readonly topology: Topology;
  readonly profile: ProfileName;
}

function createOverlay(options: OverlayOptions, topology: Topology, random: Random): Overlay {
  const { self, boot, role, profile } = options;
  const { kind: overlay, hubs } = topology;
  const pace = hyparviewPaces[profile];
  const inner = ((): Overlay => {
    switch (overlay) {
      case 'full-mesh':
        return createFullMesh({ self }, random.split());
      case 'hyparview':
        return createHyparview({ self, ...pace }, random.split());
      case 'client-server':
      case 'pub-sub':
        return createHubSpoke({ self, role, hubs, parents: parentsOf[overlay] }, random.split());
    }
  })();
  return createUnity(inner, { self, boot, overlay, beatMs: pace.shuffleMs }, random.split());
}

/** Builds the overlay that the mesh runs, ready to be switched. */
export function createTopologySwitch(options: OverlayOptions, random: Random): Switchboard {
  const { self, topology, profile } = options;
  return createSwitchboard(
    {
      self,
      topology,
      create: (next, chance) => createOverlay(options, next, chance),
      auto: createAutoTopology(),
      ...switchPaces[profile],
    },
    random,
  );
}

/** Links that a node keeps in this overlay; undefined: as many as there are members, or as come to a hub. */
export function activeMaxOf(kind: OverlayName, profile: ProfileName): number | undefined {
  return kind === 'hyparview' ? hyparviewPaces[profile].activeMax : undefined;
}

/** What a member is fit for, by its labels: `role` hub, server, gateway or broker; `role` leaf or `power` battery. */
export function roleOf(labels: Readonly<Record<string, string>>): OverlayRole {
  const role = labels['role'] ?? '';
  if (['hub', 'server', 'gateway', 'broker'].includes(role)) return 'hub';
  return role === 'leaf' || labels['power'] === 'battery' ? 'leaf' : 'any';
}
