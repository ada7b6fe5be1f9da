/**
 * What was published a moment ago and not sent to everybody: a subscription takes some milliseconds to reach the
 * publishers of a mesh, and what they publish after it was made must not be lost for that.
 */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isShared, sharedFilter, topicMatches } from '../../kernel/topic.ts';
import type { Wish } from './interest.ts';
import type { Excluded } from './message-ring.ts';
import type { Publication } from './router-world.ts';

/** How long it is kept, in ms: many times what an interest needs through the widest mesh. */
const recentMs: Millis = 1000;

/** Messages, and bytes of their payloads. While they are all younger than `recentMs` newer ones are not kept. */
const recentMax = 256;
const recentBytesMax: number = 256 * 1024;

interface Kept {
  readonly publication: Publication;
  readonly at: Millis;
  readonly excluded: Excluded;
  /** Whom it was sent to since. */
  sent: Set<NodeId> | undefined;
  /** The groups that had members when it was published, or have had it since. */
  readonly groups: Set<string>;
}

/** The last messages that somebody did not want. */
export interface Recent {
  note(now: Millis, publication: Publication, excluded: Excluded, groups: Iterable<string>): void;
  /** What a member missed that has just said what it wants, in the order of publication. */
  missed(now: Millis, wish: Wish): readonly Publication[];
  /** The same for groups that had no member anywhere: one for each group. */
  missedByGroups(
    now: Millis,
    wish: Wish,
  ): readonly { readonly filter: string; readonly publication: Publication }[];
}

/** Builds an empty memory. */
export function createRecent(): Recent {
  let kept: Kept[] = [];
  let bytes = 0;

  function forgetOld(now: Millis): void {
    const from = kept.findIndex((one) => now - one.at < recentMs);
    const old = from < 0 ? kept : kept.slice(0, from);
    for (const { publication } of old) bytes -= publication.payload.byteLength;
    kept = from < 0 ? [] : kept.slice(from);
  }

  return {
    note(now, publication, excluded, groups) {
      const size = publication.payload.byteLength;
      if (kept.length >= recentMax || bytes + size > recentBytesMax) {
        const first = kept[0];
        if (first === undefined || now - first.at < recentMs) return;
        forgetOld(now);
        if (bytes + size > recentBytesMax) return;
      }
      const own = { ...publication, payload: publication.payload.slice() };
      kept.push({
        publication: own,
        at: now,
        excluded,
        sent: undefined,
        groups: new Set(groups),
      });
      bytes += size;
    },
    missed(now, { node, filters, sinceMs }) {
      if (kept.length === 0) return [];
      forgetOld(now);
      const missed: Publication[] = [];
      for (const one of kept) {
        const { topic, hlc } = one.publication;
        if (hlc.wallMs < sinceMs || !one.excluded.has(node) || one.sent?.has(node) === true)
          continue;
        if (
          filters !== 'everything' &&
          ![...filters].some((filter) => topicMatches(filter, topic))
        ) {
          continue;
        }
        one.sent ??= new Set();
        one.sent.add(node);
        missed.push(one.publication);
      }
      return missed;
    },
    missedByGroups(now, { filters, sinceMs }) {
      if (kept.length === 0 || filters === 'everything') return [];
      const shares = [...filters].filter(isShared);
      if (shares.length === 0) return [];
      forgetOld(now);
      const missed: { filter: string; publication: Publication }[] = [];
      for (const { publication, groups } of kept) {
        if (publication.hlc.wallMs < sinceMs) continue;
        for (const filter of shares) {
          if (groups.has(filter)) continue;
          if (!topicMatches(sharedFilter(filter), publication.topic)) continue;
          groups.add(filter);
          missed.push({ filter, publication });
        }
      }
      return missed;
    },
  };
}
