/** The knobs of HyParView and their defaults. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';

/** What depends on the kind of network. */
export interface HyparviewPace {
  /** Links a node keeps (A). A graph of 4 to 6 stays in one piece for any practical number of nodes. */
  readonly activeMax: number;
  /** Peers it knows and does not link with (P), to fall back on. */
  readonly passiveMax: number;
  /** Pause between shuffles, ±20 %. */
  readonly shuffleMs: Millis;
  /** Pause between attempts to fill the active view when it is not in need, ±20 %. */
  readonly promotionMs: Millis;
}

/** Knobs of a HyParView overlay (Leitão, Pereira, Rodrigues, DSN 2007, section 5.1). */
export interface HyparviewConfig extends Partial<HyparviewPace> {
  readonly self: NodeId;
  /** Hops of a forwarded join (ARWL). @default 6 */
  readonly activeWalk?: number;
  /** Hops left when a forwarded join is noted in the passive view (PRWL). @default 3 */
  readonly passiveWalk?: number;
  /** Hops of a shuffle. @default 6 */
  readonly shuffleWalk?: number;
  /** Below so many links a view is filled at once, above it at leisure. @default 3, at most `activeMax` */
  readonly activeMin?: number;
  /** Neighbours told of in a shuffle (ka). @default 3 */
  readonly shuffleActive?: number;
  /** Passive peers told of in a shuffle (kp). @default 4 */
  readonly shufflePassive?: number;
  /** How long an answer to a request may take, in ms. @default 5_000 */
  readonly answerMsMax?: Millis;
  /** First delay before a peer that failed or refused is asked again, in ms. @default 500 */
  readonly backoffMsMin?: Millis;
  /** Longest such delay before jitter, in ms. @default 30_000 */
  readonly backoffMsMax?: Millis;
  /** Dials under way at once. @default 8 */
  readonly dialsMax?: number;
  /** A dial that reports nothing for so long is taken for failed, in ms. @default 30_000 */
  readonly dialMsMax?: Millis;
  /** A link that is lost sooner than this counts as a failure of the peer, in ms. @default 5_000 */
  readonly stableMs?: Millis;
  /** How long the lesser of two connections is still read, in ms. @default 250 */
  readonly lingerMs?: Millis;
  /** Peers known by address; the oldest that is neither member nor in use makes room, else the new one is not taken. @default 4096 */
  readonly contactsMax?: number;
  /** Bare seeds known; more are not taken. @default 64 */
  readonly seedsMax?: number;
}

/** All knobs, set. */
export type Hyparview = Required<HyparviewConfig>;

/** The knobs with defaults (docs/protocols/overlay.md); impossible values become the nearest possible. */
export function knobsOf(config: HyparviewConfig): Hyparview {
  const activeMax = Math.max(1, config.activeMax ?? 5);
  return {
    self: config.self,
    activeMax,
    activeMin: Math.min(activeMax, config.activeMin ?? 3),
    passiveMax: Math.max(1, config.passiveMax ?? 30),
    activeWalk: config.activeWalk ?? 6,
    passiveWalk: config.passiveWalk ?? 3,
    shuffleWalk: config.shuffleWalk ?? 6,
    shuffleActive: config.shuffleActive ?? 3,
    shufflePassive: config.shufflePassive ?? 4,
    shuffleMs: Math.max(2, config.shuffleMs ?? 10_000),
    promotionMs: Math.max(2, config.promotionMs ?? 5_000),
    answerMsMax: Math.max(1, config.answerMsMax ?? 5_000),
    backoffMsMin: config.backoffMsMin ?? 500,
    backoffMsMax: config.backoffMsMax ?? 30_000,
    dialsMax: Math.max(1, config.dialsMax ?? 8),
    dialMsMax: Math.max(1, config.dialMsMax ?? 30_000),
    stableMs: config.stableMs ?? 5_000,
    lingerMs: Math.max(1, config.lingerMs ?? 250),
    contactsMax: Math.max(1, config.contactsMax ?? 4_096),
    seedsMax: config.seedsMax ?? 64,
  };
}
