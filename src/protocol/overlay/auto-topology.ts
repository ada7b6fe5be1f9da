/**
 * When a mesh should change its overlay by itself: by its size, with a gap between the way there and the way back, so
 * that a mesh at the edge does not swing (protocols reference, 8.3).
 */

import type { Millis } from '../../kernel/core.ts';
import type { OverlayName } from './overlay.ts';
import type { TopologyHint } from './topology.ts';

/** What is known when it is asked. */
export interface MeshSize {
  /** Members alive, or dead for less than an hour: a mesh that is cut in two has not shrunk. */
  readonly known: number;
  /** Those of them that are leaves by label. */
  readonly leaves: number;
}

/** Decides. */
export interface AutoTopology {
  /** The overlay to switch to, and why; undefined: stay. */
  look(now: Millis, kind: OverlayName, hint: TopologyHint, size: MeshSize): Advice | undefined;
  /** A switch was made, by whomever. */
  switched(now: Millis): void;
  /** When something may have been true for long enough. */
  deadline(): Millis;
  /** Whether it has switched so often that it waits for a person. */
  isFrozen(now: Millis): boolean;
}

/** What it would do. */
export interface Advice {
  readonly kind: OverlayName;
  readonly reason: string;
}

/** A full mesh grows into HyParView from `enter` members on, and back at `leave`. */
const sizes: Readonly<Record<TopologyHint, { readonly enter: number; readonly leave: number }>> = {
  balanced: { enter: 24, leave: 16 },
  'low-latency': { enter: 48, leave: 32 },
  'high-throughput': { enter: 32, leave: 20 },
  'event-driven': { enter: 24, leave: 16 },
  'massive-scale': { enter: 12, leave: 8 },
};

/** Shares of leaves at which hubs take over, and at which they go. */
const leavesEnter = 0.3;
const leavesLeave = 0.15;

const enterMs: Millis = 60_000;
const leaveMs: Millis = 600_000;

/** Least time between two switches, and most of them in an hour. */
const pauseMs: Millis = 300_000;
const switchesMax = 3;
const hourMs: Millis = 3_600_000;

/** Builds it. `scale` shortens every wait, for tests and loopback. */
export function createAutoTopology(scale = 1): AutoTopology {
  const switches: Millis[] = [];
  let wish: { kind: OverlayName; since: Millis; waitMs: Millis } | undefined;

  function wanted(kind: OverlayName, hint: TopologyHint, { known, leaves }: MeshSize): Advice {
    const { enter, leave } = sizes[hint];
    const share = known === 0 ? 0 : leaves / known;
    const hasHubs = kind === 'client-server' || kind === 'pub-sub';
    if (known > 2 && share >= (hasHubs ? leavesLeave : leavesEnter)) {
      const to = hasHubs ? kind : 'client-server';
      return { kind: to, reason: `${leaves} of ${known} members are leaves` };
    }
    const isLarge = kind === 'hyparview' ? known > leave : known >= enter;
    return { kind: isLarge ? 'hyparview' : 'full-mesh', reason: `${known} members` };
  }

  function isGrowth(kind: OverlayName): boolean {
    return kind === 'hyparview' || kind === 'client-server';
  }

  const recent = (now: Millis): number => switches.filter((at) => now - at < hourMs * scale).length;

  return {
    look(now, kind, hint, size) {
      const advice = wanted(kind, hint, size);
      if (advice.kind === kind) {
        wish = undefined;
        return undefined;
      }
      const waitMs = (isGrowth(advice.kind) ? enterMs : leaveMs) * scale;
      if (wish?.kind !== advice.kind) wish = { kind: advice.kind, since: now, waitMs };
      const last = switches.at(-1) ?? -Infinity;
      if (now - wish.since < waitMs || now - last < pauseMs * scale) return undefined;
      return recent(now) < switchesMax ? advice : undefined;
    },
    switched(now) {
      wish = undefined;
      switches.push(now);
      if (switches.length > switchesMax) switches.shift();
    },
    deadline() {
      if (wish === undefined) return Infinity;
      const oldest = switches.length < switchesMax ? -Infinity : (switches[0] ?? -Infinity);
      const last = switches.at(-1) ?? -Infinity;
      return Math.max(wish.since + wish.waitMs, last + pauseMs * scale, oldest + hourMs * scale);
    },
    isFrozen: (now) => wish !== undefined && recent(now) >= switchesMax,
  };
}
