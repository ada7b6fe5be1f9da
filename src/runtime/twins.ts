/**
 * Notices one identity on two devices by their greetings. A restart greets and its former life is silent for ever; an
 * instance that greets again after another one did is alive beside it. Both are kept out until one has been silent.
 */

import { BoundedMap } from '../kernel/bounded-map.ts';
import type { Millis } from '../kernel/core.ts';
import type { NodeId } from '../kernel/ids.ts';

/** An instance that has not greeted for so long is gone, in ms: twice the longest pause between two dials. */
export const twinsQuietMs = 90_000;

/** Identities watched; the longest unheard is forgotten. */
export const twinsWatchedMax = 4096;

/** Instances remembered of one identity; the longest unheard is forgotten. */
const instancesMax = 4;

/** The watch. */
export interface TwinWatch {
  /** An instance greets. True: there are two of them. */
  greeted(now: Millis, node: NodeId, instance: number): boolean;
}

interface Sighted {
  /** When each instance greeted last, the latest at the end. */
  readonly at: BoundedMap<number, Millis>;
  last: number;
  twinsUntil: Millis;
}

/** Begins to watch. */
export function createTwinWatch(): TwinWatch {
  const known = new BoundedMap<NodeId, Sighted>(twinsWatchedMax);
  return {
    greeted(now, node, instance) {
      const seen: Sighted = known.get(node) ?? {
        at: new BoundedMap(instancesMax),
        last: instance,
        twinsUntil: -Infinity,
      };
      known.set(node, seen);
      const before = seen.at.get(instance);
      const isBack = seen.last !== instance && before !== undefined;
      seen.at.set(instance, now);
      seen.last = instance;
      const others = [...seen.at].filter(([other]) => other !== instance).map(([, at]) => at);
      const lastOther = Math.max(-Infinity, ...others);
      // Only what both instances do prolongs it: when one is switched off, the other is let in again.
      if (isBack || now < seen.twinsUntil) {
        seen.twinsUntil = lastOther + twinsQuietMs;
      }
      return now < seen.twinsUntil;
    },
  };
}
