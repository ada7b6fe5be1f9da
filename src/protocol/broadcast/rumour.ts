/**
 * Rumour mongering spreads small urgent facts to every site with a few messages each (Demers et al., "Epidemic
 * algorithms for replicated database maintenance", 1987, section 1.4). Its residue is not zero: whoever needs
 * certainty backs it with anti-entropy. Departures from the paper: docs/divergences.md.
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Core, Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { Random } from '../../kernel/random.ts';

/** Longest name of a rumour, in UTF-16 units; longer ones are ignored. */
export const rumourIdLengthMax = 128;

/** Peers a site chooses from; more are left out. */
export const rumourPeersMax = 1024;

/** Asks a site serves per period when pulling; more are ignored, so that one peer cannot make it flood another. */
export const rumourAsksPerPeriodMax = 32;

/** How a site spreads rumours and when it loses interest in one. */
export interface RumourConfig {
  /**
   * `push` costs nothing while there is nothing to tell. `pull` asks every period, and leaves fewer sites without
   * the rumour.
   * @default 'push'
   */
  readonly exchange?: 'push' | 'pull';
  /** Whether only telling someone who knew costs interest (`feedback`), or any telling (`blind`). @default 'feedback' */
  readonly judge?: 'feedback' | 'blind';
  /** Interest ends after `k` such tellings in a row (`counter`), or after each with probability 1/k (`coin`). @default 'counter' */
  readonly loss?: 'counter' | 'coin';
  /** @default 4 (leaves 0.35 % of the sites, for 5.6 messages a site) */
  readonly k?: number;
  /** Time between two contacts of a site, in ms. @default 100 */
  readonly periodMs?: Millis;
  /** Rumours a site spreads at once; the oldest cools when one more arrives. @default 256 */
  readonly rumoursMax?: number;
  /** Rumours a site remembers having heard; a forgotten one may be delivered again. @default 4096 */
  readonly knownMax?: number;
  /** Tellings of one rumour by one site, answered or not: peers that never answer do not keep it hot. @default 100 */
  readonly sendsMax?: number;
}

/** Facts for a site. */
export type RumourInput<Item> =
  | { readonly type: 'tick' }
  /** The sites to choose from, without this one. */
  | { readonly type: 'peers'; readonly ids: readonly NodeId[] }
  /** This site itself has news. */
  | { readonly type: 'learned'; readonly id: string; readonly item: Item }
  | { readonly type: 'received'; readonly from: NodeId; readonly id: string; readonly item: Item }
  | {
      readonly type: 'answered';
      readonly from: NodeId;
      readonly id: string;
      readonly wasNew: boolean;
    }
  /** A peer wants to hear what is hot (pull). */
  | { readonly type: 'asked'; readonly from: NodeId };

/** Orders of a site. */
export type RumourEffect<Item> =
  | { readonly type: 'push'; readonly to: NodeId; readonly id: string; readonly item: Item }
  /** Feedback for a push; not given when all sites are blind. */
  | { readonly type: 'answer'; readonly to: NodeId; readonly id: string; readonly wasNew: boolean }
  | { readonly type: 'ask'; readonly to: NodeId }
  /** A rumour reached this site for the first time. */
  | { readonly type: 'deliver'; readonly id: string; readonly item: Item };

/** What a site spreads and remembers. */
export interface RumourView {
  readonly hot: readonly { readonly id: string; readonly sendCount: number }[];
  readonly knownCount: number;
  readonly peerCount: number;
  /** Rumours that cooled early because too many were hot. */
  readonly evictedCount: number;
}

interface Rumour<Item> {
  readonly id: string;
  readonly item: Item;
  /** Heard since the last cycle: not yet spread, and still counted as news to its tellers. */
  isFresh: boolean;
  uselessCount: number;
  sendCount: number;
  /** Tellings whose answer may still come. */
  awaitingCount: number;
  /** What became of the tellings since the last cycle. */
  wasTold: boolean;
  wasUseful: boolean;
  wasUseless: boolean;
}

/** Builds a site that knows no rumour and no peer. */
export function createRumours<Item>(
  config: RumourConfig,
  random: Random,
): Core<RumourInput<Item>, RumourEffect<Item>, RumourView> {
  const isPull = config.exchange === 'pull';
  const isBlind = config.judge === 'blind';
  const isCoin = config.loss === 'coin';
  const k = Math.max(1, config.k ?? 4);
  const periodMs = Math.max(1, config.periodMs ?? 100);
  const sendsMax = config.sendsMax ?? 100;
  const hot = new BoundedMap<string, Rumour<Item>>(config.rumoursMax ?? 256);
  const known = new BoundedMap<string, true>(Math.max(config.knownMax ?? 4096, hot.limit));
  let peers: readonly NodeId[] = [];
  let askedCount = 0;
  let nextAt: Millis = Infinity;

  /** Begins to spread, unless the name was heard before. */
  function kindle(id: string, item: Item): boolean {
    if (known.has(id) || id.length > rumourIdLengthMax) return false;
    known.set(id, true);
    const untold = { uselessCount: 0, sendCount: 0, awaitingCount: 0, wasTold: false };
    hot.set(id, { id, item, isFresh: true, ...untold, wasUseful: false, wasUseless: false });
    return true;
  }

  function hear(from: NodeId, id: string, item: Item): RumourEffect<Item>[] {
    if (id.length > rumourIdLengthMax) return [];
    const isFirst = kindle(id, item);
    const effects: RumourEffect<Item>[] = isFirst ? [{ type: 'deliver', id, item }] : [];
    if (isBlind) return effects;
    // Tellers of one cycle are judged by what the site knew when the cycle began (Demers, Table 1): two who
    // bring the same news at once were both useful.
    const wasNew = isFirst || hot.get(id)?.isFresh === true;
    effects.push({ type: 'answer', to: from, id, wasNew });
    return effects;
  }

  function learnFrom(id: string, wasNew: boolean): void {
    const rumour = hot.get(id);
    if (rumour === undefined || rumour.awaitingCount === 0) return;
    rumour.awaitingCount -= 1;
    if (wasNew) rumour.wasUseful = true;
    else rumour.wasUseless = true;
  }

  function tell(to: NodeId): RumourEffect<Item>[] {
    if (hot.size === 0) return [];
    const effects: RumourEffect<Item>[] = [];
    for (const rumour of hot.values()) {
      if (rumour.isFresh || rumour.sendCount >= sendsMax) continue;
      rumour.sendCount += 1;
      rumour.awaitingCount += 1;
      rumour.wasTold = true;
      effects.push({ type: 'push', to, id: rumour.id, item: rumour.item });
    }
    return effects;
  }

  /** Whether the tellings since the last cycle end this site's interest. One cycle counts once (Table 3, note). */
  function hasCooled(rumour: Rumour<Item>): boolean {
    const hasCost = isBlind ? rumour.wasTold : rumour.wasUseless && !rumour.wasUseful;
    if (rumour.wasUseful && !isBlind) rumour.uselessCount = 0;
    rumour.wasTold = false;
    rumour.wasUseful = false;
    rumour.wasUseless = false;
    if (rumour.sendCount >= sendsMax) return true;
    if (!hasCost) return false;
    rumour.uselessCount += 1;
    return isCoin ? random.unit() * k < 1 : rumour.uselessCount >= k;
  }

  /** What was heard since the last cycle may now be told; what was told in vain may end. */
  function coolDown(): void {
    for (const rumour of hot.values()) {
      if (rumour.isFresh) rumour.isFresh = false;
      else if (hasCooled(rumour)) hot.delete(rumour.id);
    }
  }

  function cycle(now: Millis): RumourEffect<Item>[] {
    if (hot.size > 0) coolDown();
    askedCount = 0;
    nextAt = Infinity;
    const to = peers[random.below(peers.length)];
    if (to === undefined) return [];
    if (isPull || hot.size > 0) nextAt = now + periodMs;
    return isPull ? [{ type: 'ask', to }] : tell(to);
  }

  function take(input: RumourInput<Item>): RumourEffect<Item>[] {
    switch (input.type) {
      case 'tick':
        return [];
      case 'peers':
        peers = input.ids.slice(0, rumourPeersMax);
        return [];
      case 'learned':
        kindle(input.id, input.item);
        return [];
      case 'received':
        return hear(input.from, input.id, input.item);
      case 'answered':
        learnFrom(input.id, input.wasNew);
        return [];
      case 'asked':
        askedCount += 1;
        return isPull && askedCount <= rumourAsksPerPeriodMax ? tell(input.from) : [];
      default:
        return unreachable(input);
    }
  }

  return {
    step(now, input) {
      const effects = take(input);
      if (now >= nextAt) return effects.length === 0 ? cycle(now) : [...effects, ...cycle(now)];
      // A sleeping site wakes a whole period after its first reason to: time for others to bring the same news.
      if (nextAt === Infinity && peers.length > 0 && (isPull || hot.size > 0)) {
        nextAt = now + periodMs;
      }
      return effects;
    },
    deadline: () => nextAt,
    view: () => ({
      hot: [...hot.values()].map(({ id, sendCount }) => ({ id, sendCount })),
      knownCount: known.size,
      peerCount: peers.length,
      evictedCount: hot.evictedCount,
    }),
  };
}
