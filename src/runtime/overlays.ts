/** The overlays a node can run, by name, with their pace on each kind of network. */

import type { NodeId } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { ProfileName } from '../protocol/membership/profiles.ts';
import { createFullMesh } from '../protocol/overlay/full-mesh.ts';
import type { HyparviewPace } from '../protocol/overlay/hyparview-config.ts';
import { createHyparview } from '../protocol/overlay/hyparview.ts';
import type { Overlay, OverlayName } from '../protocol/overlay/overlay.ts';
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

/** What an overlay is built from. */
export interface OverlayOptions {
  readonly self: NodeId;
  readonly boot: number;
  readonly overlay: OverlayName;
  readonly profile: ProfileName;
}

/** Builds the overlay of this name. */
export function createOverlay(options: OverlayOptions, random: Random): Overlay {
  const { self, boot, overlay, profile } = options;
  const pace = hyparviewPaces[profile];
  const inner =
    overlay === 'full-mesh'
      ? createFullMesh({ self }, random.split())
      : createHyparview({ self, ...pace }, random.split());
  return createUnity(inner, { self, boot, overlay, beatMs: pace.shuffleMs }, random.split());
}

/** Links that a node keeps in this overlay; undefined: as many as there are members. */
export function activeMaxOf({
  overlay,
  profile,
}: Omit<OverlayOptions, 'self' | 'boot'>): number | undefined {
  return overlay === 'hyparview' ? hyparviewPaces[profile].activeMax : undefined;
}
