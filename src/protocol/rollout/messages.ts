/** What the one who rolls a version out and the nodes that take it say to each other. */

import type { Millis } from '../../kernel/core.ts';

/** Most nodes of one roll-out. */
export const targetsMax = 1024;

/** Longest reason that is kept, in characters. */
export const reasonLengthMax = 256;

/** Take a version on trial, or go back to the one before. */
export type OrderKind = 'try' | 'revert';

/** What a node is to do. Of two orders the one with the higher number holds; of one number, `revert` holds. */
export interface Order {
  readonly kind: OrderKind;
  /** Counts roll-outs of the whole mesh: a node obeys none that is older than the last one. */
  readonly number: number;
  /** The name of the version, unique per content. */
  readonly version: string;
  /** How long the new version must be well without a break before it is kept, in ms. */
  readonly healthyForMs: Millis;
  /** How long the trial may last in all, in ms. */
  readonly trialMs: Millis;
}

/**
 * Where a node is with its last order. `idle`: it never had one. `fetching`: the package is on its way. `restarting`: the
 * next start is the trial. `trial`: the new version runs and is watched. `kept`: it stays. `failed`: it was refused, or its
 * trial failed, and the version before runs. `reverting`, `reverted`: on the way back by order, and back.
 */
export type InstallPhase =
  | 'idle'
  | 'fetching'
  | 'restarting'
  | 'trial'
  | 'kept'
  | 'failed'
  | 'reverting'
  | 'reverted';

/** What a node says of itself. */
export interface InstallReport {
  /** Of the last order that it took; 0: none. */
  readonly number: number;
  readonly phase: InstallPhase;
  /** The version that runs: `installed` is the one that was installed by hand. */
  readonly running: string;
  /** Why it failed, or what is not well yet; empty otherwise. */
  readonly reason: string;
}
