/**
 * The gate in front of an effect: it lets a token pass only if none higher has passed, and nothing after the effect is
 * done. Leases reduce waste; this alone gives "exactly one" (Kleppmann 2016; protocols: docs/protocols/agreement.md).
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';

/** Resources whose highest token a gate remembers while they are open. */
export const fencesMax = 8192;

/** Finished resources a gate remembers, so that a late copy is told that it is done. */
export const finishedFencesMax = 65_536;

/** What the gate says to a token. `full`: too many resources are open; nothing is let through unseen. */
export type FenceVerdict = 'accepted' | 'stale' | 'done' | 'full';

/** One gate. */
export interface Fence {
  /** Whether the holder of this token may act on the resource now. A token that passed passes again until a higher one does. */
  admit(resource: string, token: number): FenceVerdict;
  /** The effect happened under this token: `accepted` once, then `done`. */
  finish(resource: string, token: number): FenceVerdict;
  /** The highest token seen; 0 when none. */
  highest(resource: string): number;
}

/** Builds a gate that has seen nothing. */
export function createFence(): Fence {
  const open = new Map<string, number>();
  const finished = new BoundedMap<string, number>(finishedFencesMax);

  function admit(resource: string, token: number): FenceVerdict {
    if (finished.has(resource)) return 'done';
    const seen = open.get(resource);
    if (!Number.isSafeInteger(token) || token < 1 || token < (seen ?? 0)) return 'stale';
    if (seen === undefined && open.size >= fencesMax) return 'full';
    open.set(resource, token);
    return 'accepted';
  }

  return {
    admit,
    finish(resource, token) {
      const verdict = admit(resource, token);
      if (verdict !== 'accepted') return verdict;
      open.delete(resource);
      finished.set(resource, token);
      return 'accepted';
    },
    highest: (resource) => open.get(resource) ?? finished.get(resource) ?? 0,
  };
}
