/**
 * Two parties share one unit by alternating offers (Rubinstein 1982). Who is impatient gets less: the first mover's
 * share in equilibrium is (1 - d2) / (1 - d1 d2), agreed on in the first round. Strategies are pluggable; rounds are bounded.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';

/** What a party does. Shares are its own, from 0 to 1; rounds count from 0. */
export interface Bargainer {
  /** The share it asks for itself in this round. */
  demand(round: number): number;
  /** Whether it takes this share in this round rather than wait. */
  takes(share: number, round: number): boolean;
}

/** How one side negotiates. */
export interface OffersConfig {
  readonly bargainer: Bargainer;
  /** Whether this side makes the first offer. */
  readonly isFirst: boolean;
  /** Offers in all before it ends without a deal. @default 64 */
  readonly roundsMax?: number;
  /** Silence of the other side after which it ends without a deal, in ms. @default 5000 */
  readonly patienceMs?: Millis;
}

/** Facts for one side. */
export type OffersInput =
  | { readonly type: 'tick' }
  | { readonly type: 'begun' }
  /** The other side offers this share to us. A repeat of a round is answered again and changes nothing. */
  | { readonly type: 'offered'; readonly round: number; readonly share: number }
  | { readonly type: 'accepted'; readonly round: number }
  | { readonly type: 'ended' };

/** Orders of one side. */
export type OffersEffect =
  /** Offers the other side this share of its own. */
  | { readonly type: 'offer'; readonly round: number; readonly share: number }
  | { readonly type: 'accept'; readonly round: number }
  | { readonly type: 'end'; readonly reason: 'rounds' | 'silence' }
  /** It is over: this side's share, or undefined without a deal. */
  | { readonly type: 'settle'; readonly share: number | undefined; readonly round: number };

/** Where one side stands. */
export interface OffersView {
  readonly phase: 'new' | 'waiting' | 'agreed' | 'failed';
  readonly round: number;
  readonly share: number | undefined;
}

/** Builds one side. */
export function createAlternatingOffers(
  config: OffersConfig,
): Core<OffersInput, OffersEffect, OffersView> {
  const roundsMax = Math.max(1, config.roundsMax ?? 64);
  const patienceMs = Math.max(1, config.patienceMs ?? 5_000);
  let phase: OffersView['phase'] = 'new';
  let round = 0;
  let share: number | undefined;
  let lastSaid: OffersEffect | undefined;
  let silentAt: Millis = Infinity;

  function settle(next: 'agreed' | 'failed', own: number | undefined): OffersEffect {
    phase = next;
    share = own;
    silentAt = Infinity;
    return { type: 'settle', share: own, round };
  }

  function propose(now: Millis, at: number): OffersEffect[] {
    if (at >= roundsMax) return [{ type: 'end', reason: 'rounds' }, settle('failed', undefined)];
    round = at;
    phase = 'waiting';
    silentAt = now + patienceMs;
    const demand = Math.min(1, Math.max(0, config.bargainer.demand(at)));
    share = demand;
    lastSaid = { type: 'offer', round: at, share: 1 - demand };
    return [lastSaid];
  }

  function hear(now: Millis, at: number, offered: number): OffersEffect[] {
    const isOtherTurn = (at % 2 === 0) !== config.isFirst;
    if (!isOtherTurn || !Number.isSafeInteger(at) || at < 0 || !(offered >= 0 && offered <= 1)) {
      return [];
    }
    if (phase === 'agreed' || (phase === 'waiting' && at < round)) {
      return at === round - 1 || at === round ? (lastSaid === undefined ? [] : [lastSaid]) : [];
    }
    // The next offer that can come: the first one, or the answer to ours.
    const expected = phase === 'new' ? 0 : round + 1;
    if (phase === 'failed' || at !== expected || at >= roundsMax) return [];
    round = at;
    if (!config.bargainer.takes(offered, at)) return propose(now, at + 1);
    lastSaid = { type: 'accept', round: at };
    return [lastSaid, settle('agreed', offered)];
  }

  return {
    step(now, input) {
      // What comes when patience is over comes too late.
      if (now >= silentAt) return [{ type: 'end', reason: 'silence' }, settle('failed', undefined)];
      switch (input.type) {
        case 'tick':
          return [];
        case 'begun':
          if (phase !== 'new') return [];
          if (config.isFirst) return propose(now, 0);
          silentAt = now + patienceMs;
          return [];
        case 'offered':
          return hear(now, input.round, input.share);
        case 'accepted':
          if (phase !== 'waiting' || input.round !== round) return [];
          return [settle('agreed', share)];
        case 'ended':
          if (phase === 'agreed' || phase === 'failed') return [];
          return [settle('failed', undefined)];
        default:
          return unreachable(input);
      }
    },
    deadline: () => silentAt,
    view: () => ({ phase, round, share }),
  };
}

/** The equilibrium share of whoever makes the offer, given both discounts per round. */
export function rubinsteinShare(own: number, other: number): number {
  return (1 - other) / (1 - own * other);
}

/** Plays the equilibrium: asks for its share, takes what is worth as much as waiting one round. */
export function equilibriumBargainer(own: number, other: number): Bargainer {
  const proposer = rubinsteinShare(own, other);
  return {
    demand: () => proposer,
    takes: (share) => share >= own * proposer - 1e-12,
  };
}

/** Concedes from `from` to `to` over the rounds: early for `pace` below 1, late above (Faratin et al. 1998). */
export function concedingBargainer(
  from: number,
  to: number,
  rounds: number,
  pace: number = 1,
): Bargainer {
  const at = (round: number): number =>
    from + (to - from) * Math.min(1, round / Math.max(1, rounds)) ** Math.max(0.01, pace);
  return { demand: at, takes: (share, round) => share >= at(round + 1) - 1e-12 };
}
