/** What a switchboard is told, orders and shows, beside what any overlay does. */

import type { Millis } from '../../kernel/core.ts';
import type { OverlayEffect, OverlayInput, OverlayName, OverlayView } from './overlay.ts';
import type { Topology, TopologyMark, TopologyWish } from './topology.ts';

type Opened = Extract<OverlayInput, { readonly type: 'linkOpened' }>;
type DialFailed = Extract<OverlayInput, { readonly type: 'dialFailed' }>;
type Dial = Extract<OverlayEffect, { readonly type: 'dial' }>;

/** What it is told. */
export type SwitchInput =
  | Exclude<OverlayInput, Opened | DialFailed>
  /** `mark`: the epoch for which the dialler dialled; `topology`: what the peer's register says. */
  | (Opened & { readonly mark: TopologyMark; readonly topology: Topology })
  | (DialFailed & { readonly mark: TopologyMark })
  | { readonly type: 'topologyHeard'; readonly topology: Topology }
  /** Somebody at this node wants the mesh to change. Not taken while `refusal` has a reason. */
  | { readonly type: 'topologyWished'; readonly wish: TopologyWish };

/** What it orders. */
export type SwitchEffect =
  | Exclude<OverlayEffect, Dial>
  | (Dial & { readonly mark: TopologyMark })
  /** Keep this register: it is what this node starts with next time. */
  | { readonly type: 'remember'; readonly topology: Topology }
  /** Tell it to every peer with an open session. */
  | { readonly type: 'tell'; readonly topology: Topology };

/** Why a wish is not taken now, and for how long. */
export interface TopologyRefusal {
  readonly why: 'switching' | 'cooldown';
  readonly waitMs: Millis;
}

/** What people see of it. */
export interface SwitchView extends OverlayView {
  readonly topology: Topology;
  /** The overlay that is being left while a switch is under way. */
  readonly leaving: OverlayName | undefined;
  readonly linksPerOverlay: readonly { readonly kind: OverlayName; readonly links: number }[];
  readonly history: readonly {
    readonly topology: Topology;
    readonly what: 'begun' | 'kept' | 'done' | 'rolledBack';
    readonly at: Millis;
  }[];
}

/** An overlay that can be changed while it runs. */
export interface Switchboard {
  step(now: Millis, input: SwitchInput): readonly SwitchEffect[];
  deadline(): Millis;
  view(): SwitchView;
  /** The register, as this node knows it. */
  topology(): Topology;
  refusal(now: Millis): TopologyRefusal | undefined;
}
