/** How HyParView fills its active view: from the passive one, at once when in need, at leisure otherwise. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { Contacts } from './contacts.ts';
import type { Dials } from './dials.ts';
import type { Hyparview } from './hyparview-config.ts';
import type { PassiveView } from './passive-view.ts';
import type { Purpose, Talks } from './talks.ts';

/** What promotion needs of the overlay. */
export interface PromotionWorld {
  readonly knobs: Hyparview;
  readonly random: Random;
  readonly contacts: Contacts;
  readonly passive: PassiveView;
  readonly talks: Talks;
  readonly dials: Dials;
}

/** The filling of one active view. */
export interface Promotion {
  /** Neighbours wanted beyond those that are asked already. */
  wanted(): number;
  /** A neighbour was lost: look for another one at once. */
  lost(now: Millis): void;
  /** An attempt ended or a candidate appeared: a view in need tries on. */
  stirred(now: Millis): void;
  /** A join was accepted: from here on a lonely node asks, and joins anew only when it knows nobody. */
  joined(): void;
  /** Dials what is due. */
  run(now: Millis): void;
  deadline(): Millis;
}

/** A lonely node asks one peer to make room for it; a second one is tried beside it in case the first is gone. */
const lonelyDialsMax = 2;

/** Builds it. */
export function createPromotion(world: PromotionWorld): Promotion {
  const { knobs, random, contacts, passive, talks, dials } = world;
  let hasJoined = false;
  let dueAt: Millis = Infinity;

  const underWay = (): number => dials.size() + talks.askingCount();
  const wanted = (): number => knobs.activeMax - talks.neighbours().length - underWay();
  const isInNeed = (): boolean => talks.neighbours().length < knobs.activeMin;
  const isFree = (node: NodeId): boolean => talks.get(node) === undefined && !dials.has(node);

  function candidate(now: Millis): NodeId | undefined {
    const fits = (node: NodeId): boolean => isFree(node) && contacts.isReady(now, node);
    return passive.find(fits) ?? contacts.members.find(random, fits);
  }

  /** When the next candidate has rested. */
  function nextReady(): Millis {
    let soonest = Infinity;
    for (const nodes of [passive.nodes(), contacts.members.items()]) {
      for (const node of nodes) {
        const contact = contacts.get(node);
        if (contact === undefined || contact.addresses.length === 0 || !isFree(node)) continue;
        soonest = Math.min(soonest, contact.retryAt);
      }
    }
    return soonest;
  }

  function isForcing(): boolean {
    for (const purpose of dials.purposes()) if (purpose !== 'refill') return true;
    for (const { phase, purpose } of talks.all()) {
      if (phase === 'asking' && purpose !== 'refill') return true;
    }
    return false;
  }

  function purposeNow(): Purpose {
    if (talks.neighbours().length > 0 || isForcing()) return 'refill';
    return hasJoined ? 'urgent' : 'join';
  }

  function triesNow(): number {
    if (!isInNeed()) return 1;
    return talks.neighbours().length > 0 ? wanted() : lonelyDialsMax - underWay();
  }

  function leisureMs(): Millis {
    return Math.max(1, Math.floor(knobs.promotionMs * (0.8 + 0.4 * random.unit())));
  }

  return {
    wanted,
    lost(now) {
      dueAt = now;
      if (talks.neighbours().length === 0 && passive.size() === 0) hasJoined = false;
    },
    stirred(now) {
      if (isInNeed()) dueAt = now;
      else if (dueAt === Infinity) dueAt = now + leisureMs();
    },
    joined() {
      hasJoined = true;
    },
    run(now) {
      if (dueAt === Infinity && passive.size() > 0) this.stirred(now);
      if (now < dueAt) return;
      dueAt = Infinity;
      if (wanted() <= 0) return;
      for (let tries = triesNow(); tries > 0; tries -= 1) {
        const node = candidate(now);
        if (node === undefined) {
          const earliest = isInNeed() ? now + 1 : now + leisureMs();
          dueAt = Math.max(earliest, nextReady());
          return;
        }
        if (!dials.dial(now, node, purposeNow())) break;
      }
      dueAt = now + leisureMs();
    },
    deadline: () => (wanted() > 0 ? dueAt : Infinity),
  };
}
