/** Whom an overlay of pairs wants, and its knobs. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { OverlayInput } from './overlay.ts';

/** Whom to link with. */
export interface PairPolicy {
  /** Learns from an input, before the links do; true when what it wants may have changed. */
  look(now: Millis, input: OverlayInput): boolean;
  /** Whether this node wants a link with the peer and dials for it. */
  wants(node: NodeId, links: PairLinks): boolean;
  /** Whether the peer dials for the link, too, as far as this node can tell. */
  isMutual(node: NodeId): boolean;
  /** Whether a link that this node does not want may be closed: the peer does not want it either, as far as it can tell. */
  maySpare(node: NodeId, isDialler: boolean, links: PairLinks): boolean;
  /** A peer could not be reached, or the link with it was lost. */
  lost(now: Millis, node: NodeId): void;
  /** When what it wants may change by itself. */
  deadline(): Millis;
}

/** What a policy may know of the links. */
export interface PairLinks {
  readonly count: number;
  isLinked(node: NodeId): boolean;
}

/** Knobs of an overlay that keeps pairs. */
export interface PairsConfig {
  readonly self: NodeId;
  /** How long the higher id leaves the dialling to the lower one, in ms. @default 3_000 */
  readonly yieldMs?: Millis;
  /** First reconnect delay, in ms. @default 500 */
  readonly backoffMsMin?: Millis;
  /** Longest reconnect delay before jitter, in ms. @default 30_000 */
  readonly backoffMsMax?: Millis;
  /** Dials under way at once; the others wait their turn. @default 8 */
  readonly dialsMax?: number;
  /** A dial that reports nothing for so long is taken for failed, in ms. @default 30_000 */
  readonly dialMsMax?: Millis;
  /** A link that is lost sooner than this counts as a failed dial, in ms. @default 5_000 */
  readonly stableMs?: Millis;
  /** How long the lesser of two connections is still read, in ms. @default 250 */
  readonly lingerMs?: Millis;
  /** Peers known; the oldest that is neither member nor linked makes room, else the new one is not taken. @default 1024 */
  readonly candidatesMax?: number;
  /** Bare seeds known; more are not taken. @default 64 */
  readonly seedsMax?: number;
}
