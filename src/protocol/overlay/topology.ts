/** Which overlay a mesh runs: one register for the whole mesh, the last writer wins by (epoch, node). */

import type { NodeId } from '../../kernel/ids.ts';
import type { OverlayName } from './overlay.ts';

/** What a mesh is to be good at; moves the sizes at which `auto` switches. */
export const topologyHints = [
  'balanced',
  'low-latency',
  'high-throughput',
  'massive-scale',
  'event-driven',
] as const;

/** One of them. */
export type TopologyHint = (typeof topologyHints)[number];

/** Names one epoch: two nodes may propose the same number. */
export interface TopologyMark {
  /** From 1; 0: nobody has ever set a topology, each node runs what it was started with. */
  readonly epoch: number;
  /** Who proposed it; the empty string in epoch 0. */
  readonly by: NodeId | '';
}

/** The register. */
export interface Topology extends TopologyMark {
  readonly kind: OverlayName;
  /** Members named as hubs, for the kinds that have some. */
  readonly hubs: readonly NodeId[];
  /** Whether the member with the lowest id may switch by itself. */
  readonly isAuto: boolean;
  readonly hint: TopologyHint;
  /** A switch that failed is undone by this: it is not undone in turn. */
  readonly isReturn: boolean;
  /** Why, in a few words, for people. */
  readonly reason: string;
}

/** What is asked for. */
export type TopologyWish = Pick<
  Topology,
  'kind' | 'hubs' | 'isAuto' | 'hint' | 'isReturn' | 'reason'
>;

/** One line of the history. */
export interface TopologyChange {
  readonly topology: Topology;
  /** `begun` with a switch, `kept` when nothing had to be built, `done`, or `rolledBack`. */
  readonly what: 'begun' | 'kept' | 'done' | 'rolledBack';
  /** How long ago it was, in ms, when it is shown. */
  readonly agoMs: number;
}

/** Hubs that may be named. */
export const hubsMax = 32;

/** Characters of a reason. */
export const reasonLengthMax = 128;

/** Changes remembered; the oldest goes. */
export const historyMax = 32;

/** Whether one register beats another. */
export function isNewer(one: TopologyMark, than: TopologyMark): boolean {
  return one.epoch !== than.epoch ? one.epoch > than.epoch : one.by > than.by;
}

/** A mark as the key of a map. */
export function markKey({ epoch, by }: TopologyMark): string {
  return `${epoch} ${by}`;
}

/** Whether two registers ask for the same links. */
export function isSameShape(
  one: Pick<Topology, 'kind' | 'hubs'>,
  other: Pick<Topology, 'kind' | 'hubs'>,
): boolean {
  return (
    one.kind === other.kind &&
    one.hubs.length === other.hubs.length &&
    one.hubs.every((hub) => other.hubs.includes(hub))
  );
}

/** The register of a mesh that nobody has set one for. */
export function unsetTopology(kind: OverlayName): Topology {
  return {
    epoch: 0,
    by: '',
    kind,
    hubs: [],
    isAuto: false,
    hint: 'balanced',
    isReturn: false,
    reason: 'as started',
  };
}
