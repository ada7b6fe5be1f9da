/**
 * Who is served next at a place that serves so many at once: three classes, the urgent ones first, and within a class
 * one turn for each principal in a ring, as deficit round robin does for packets of one size (Shreedhar and Varghese,
 * 1995). Waiting lifts a class, so that nobody waits for ever; what can no longer be served in time is turned away.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';

/** 0 interactive, 1 normal, 2 batch. */
export type QueueClass = 0 | 1 | 2;

/** Size and patience. */
export interface FairQueueConfig {
  /** Served at once. */
  readonly servedMax: number;
  /** Waiting at once; one more is turned away. */
  readonly waitingMax: number;
  /** Waiting this long lifts an entry by one class, in ms. @default 30_000 */
  readonly agingMs?: Millis;
}

/** Facts for a queue. Ids are chosen by the caller, one for each request. */
export type FairQueueInput =
  | { readonly type: 'tick' }
  | {
      readonly type: 'came';
      readonly id: number;
      readonly principal: string;
      readonly class: QueueClass;
      /** When waiting becomes pointless, on the clock of `now`. */
      readonly expiresAt: Millis;
    }
  /** A waiting one gave up, or a served one has ended. */
  | { readonly type: 'left'; readonly id: number };

/** Orders of a queue. */
export type FairQueueEffect =
  | { readonly type: 'serve'; readonly id: number; readonly waitedMs: Millis }
  | { readonly type: 'refuse'; readonly id: number; readonly reason: 'full' | 'expired' };

/** A picture of a queue. */
export interface FairQueueView {
  readonly served: number;
  /** Waiting, by class as they came. */
  readonly waiting: readonly [number, number, number];
}

interface Waiting {
  readonly id: number;
  readonly principal: string;
  readonly class: QueueClass;
  readonly since: Millis;
  readonly expiresAt: Millis;
}

/** The queue of one place. */
export type FairQueue = Core<FairQueueInput, FairQueueEffect, FairQueueView>;

/** Starts empty. Decides by order alone: it needs no chance. */
export function createFairQueue(config: FairQueueConfig): FairQueue {
  const servedMax = Math.max(1, Math.floor(config.servedMax));
  const waitingMax = Math.max(0, Math.floor(config.waitingMax));
  const agingMs = Math.max(1, config.agingMs ?? 30_000);
  const served = new Set<number>();
  const waiting = new Map<number, Waiting>();
  /** When each principal was last served: the one longest ago has the next turn. */
  const turns = new Map<string, number>();
  let turn = 0;

  function classOf(entry: Waiting, now: Millis): number {
    return Math.max(0, entry.class - Math.floor(Math.max(0, now - entry.since) / agingMs));
  }

  function next(now: Millis): Waiting | undefined {
    let best: Waiting | undefined;
    let bestClass = Infinity;
    let bestTurn = Infinity;
    // Entries are in the order of arrival: of equals the first one wins.
    for (const entry of waiting.values()) {
      const entryClass = classOf(entry, now);
      if (entryClass > bestClass) continue;
      const entryTurn = turns.get(entry.principal) ?? 0;
      if (entryClass === bestClass && entryTurn >= bestTurn) continue;
      best = entry;
      bestClass = entryClass;
      bestTurn = entryTurn;
    }
    return best;
  }

  function serve(now: Millis, id: number, principal: string, since: Millis): FairQueueEffect {
    served.add(id);
    turn += 1;
    turns.delete(principal);
    turns.set(principal, turn);
    // Only those who compete need a place in the ring.
    const [oldest] = turns.keys();
    if (turns.size > waitingMax + servedMax && oldest !== undefined) turns.delete(oldest);
    return { type: 'serve', id, waitedMs: now - since };
  }

  function come(now: Millis, input: Extract<FairQueueInput, { type: 'came' }>): FairQueueEffect[] {
    const { id, principal, expiresAt } = input;
    if (served.has(id) || waiting.has(id)) return [];
    if (!(expiresAt > now)) return [{ type: 'refuse', id, reason: 'expired' }];
    if (served.size < servedMax && waiting.size === 0) return [serve(now, id, principal, now)];
    if (waiting.size >= waitingMax) return [{ type: 'refuse', id, reason: 'full' }];
    waiting.set(id, { id, principal, class: input.class, since: now, expiresAt });
    return [];
  }

  function settle(now: Millis): FairQueueEffect[] {
    const effects: FairQueueEffect[] = [];
    for (const entry of waiting.values()) {
      if (entry.expiresAt > now) continue;
      waiting.delete(entry.id);
      effects.push({ type: 'refuse', id: entry.id, reason: 'expired' });
    }
    while (served.size < servedMax) {
      const entry = next(now);
      if (entry === undefined) break;
      waiting.delete(entry.id);
      effects.push(serve(now, entry.id, entry.principal, entry.since));
    }
    return effects;
  }

  return {
    step(now, input) {
      switch (input.type) {
        case 'tick':
          return settle(now);
        case 'came': {
          const effects = come(now, input);
          return waiting.size === 0 ? effects : [...effects, ...settle(now)];
        }
        case 'left':
          if (!served.delete(input.id)) waiting.delete(input.id);
          return settle(now);
        default:
          return unreachable(input);
      }
    },
    deadline() {
      let soonest = Infinity;
      for (const { expiresAt } of waiting.values()) soonest = Math.min(soonest, expiresAt);
      return soonest;
    },
    view() {
      const counts: [number, number, number] = [0, 0, 0];
      for (const entry of waiting.values()) counts[entry.class] += 1;
      return { served: served.size, waiting: counts };
    },
  };
}
