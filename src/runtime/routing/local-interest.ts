/** What the subscribers of this node want, of whatever kind they are: told to the mesh as the fewest filters that cover it. */

import { isShared, sharedFilter, topicMatches } from '../../kernel/topic.ts';
import type { Clock } from '../../ports/clock.ts';
import { coveringFilters } from '../../protocol/routing/interest.ts';

/** Whoever reports to it: each tells a filter once when it is wanted, and once when it is not any more. */
export type InterestSource = 'broker' | 'programs' | 'groups';

/** How long a filter that nobody wants any more is still told, in ms: its client may only be reconnecting. */
const lingerMs = 1000;

/** Hears what is wanted now, and since when by the wall clock. */
export type InterestFollower = (
  filters: ReadonlySet<string> | 'everything',
  sinceMs: number,
) => void;

/** One node's own interest, over all its lives. */
export interface LocalInterest {
  say(source: InterestSource, filter: string, isWanted: boolean): void;
  /** Tells the follower what is wanted, now and after each change; returns the function that ends it. */
  follow(follower: InterestFollower): () => void;
  /** The filters of this node's own subscribers that match a topic, shared ones included. */
  matching(topic: string): readonly string[];
  stop(): void;
}

/** Builds it. Bounded by the sources, which bound their subscribers. */
export function createLocalInterest(clock: Clock): LocalInterest {
  const wanted: Record<InterestSource, Set<string>> = {
    broker: new Set(),
    programs: new Set(),
    groups: new Set(),
  };
  const followers = new Set<InterestFollower>();
  let filters: ReadonlySet<string> | 'everything' = new Set();
  let sinceMs = 0;
  let isDue = false;
  let cancelLater = (): void => {};
  let isLaterDue = false;

  function tell(): void {
    isDue = false;
    isLaterDue = false;
    cancelLater();
    filters = coveringFilters([...wanted.broker, ...wanted.programs, ...wanted.groups]);
    for (const follower of followers) follower(filters, sinceMs);
  }

  return {
    say(source, filter, isWanted) {
      if (isWanted) {
        wanted[source].add(filter);
        if (!isDue) sinceMs = clock.wallMs();
        // At the end of this turn: a client may bring hundreds of filters in one packet.
        if (!isDue) setImmediate(tell);
        isDue = true;
      } else if (!wanted[source].delete(filter) || isDue) {
        return;
      } else if (source === 'groups') {
        // At once: what still comes for a group without members has to be handed on.
        setImmediate(tell);
        isDue = true;
      } else if (!isLaterDue) {
        isLaterDue = true;
        cancelLater = clock.alarm(clock.now() + lingerMs, tell);
      }
    },
    matching(topic) {
      const all = new Set([...wanted.broker, ...wanted.programs, ...wanted.groups]);
      return [...all].filter((one) => wants(one, topic)).toSorted();
    },
    follow(follower) {
      followers.add(follower);
      follower(filters, sinceMs);
      return () => void followers.delete(follower);
    },
    stop() {
      followers.clear();
      cancelLater();
    },
  };
}

/** Whether a subscription, shared or not, is for messages of a topic. */
export function wants(filter: string, topic: string): boolean {
  return topicMatches(isShared(filter) ? sharedFilter(filter) : filter, topic);
}
