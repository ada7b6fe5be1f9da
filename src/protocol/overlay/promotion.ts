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
  /** A peer that was asked said no. */
  refused(): void;
  /** The active view has one neighbour more. */
  grew(): void;
  /** Whether neighbours are wanted and nobody is known to ask. */
  isAtALoss(): boolean;
  /** Dials what is due. */
  run(now: Millis): void;
  deadline(): Millis;
}

/** A lonely node asks one peer at a time to make room for it, and the next one beside it when that takes so long. */
const hedgeMs: Millis = 1_000;

/** Builds it. */
export function createPromotion(world: PromotionWorld): Promotion {
  const { knobs, random, contacts, passive, talks, dials } = world;
  let hasJoined = false;
  let wasRefused = false;
  let haveAllRefused = false;
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

  const isLonely = (): boolean => talks.neighbours().length === 0;

  /** When a lonely node may ask the next peer. */
  function nextPlea(): Millis {
    let last = -Infinity;
    for (const { purpose, since } of dials.all()) {
      if (purpose !== 'refill') last = Math.max(last, since);
    }
    for (const { phase, purpose, since } of talks.all()) {
      if (phase === 'asking' && purpose !== 'refill') last = Math.max(last, since);
    }
    return last + hedgeMs;
  }

  /**
   * The paper asks urgently only when it is linked with nobody. Where all other views are full, as in a small mesh, a node
   * would then stay below its minimum for ever; once everybody it knows has refused it asks urgently there too, and
   * whoever makes room for it is not in need thereby.
   */
  function purposeNow(): Purpose {
    if (isLonely()) return hasJoined ? 'urgent' : 'join';
    const isStuck = isInNeed() && haveAllRefused && wasRefused;
    return isStuck && knobs.activeMin < knobs.activeMax ? 'urgent' : 'refill';
  }

  function triesNow(): number {
    return isInNeed() && !isLonely() ? wanted() : 1;
  }

  function leisureMs(): Millis {
    return Math.max(1, Math.floor(knobs.promotionMs * (0.8 + 0.4 * random.unit())));
  }

  return {
    wanted,
    lost(now) {
      dueAt = now;
      // Whoever was full before may have lost the same neighbour.
      if (isInNeed()) contacts.forgiveRefusals();
    },
    stirred(now) {
      if (isInNeed()) dueAt = now;
      else if (dueAt === Infinity) dueAt = now + leisureMs();
    },
    joined() {
      hasJoined = true;
    },
    refused() {
      wasRefused = true;
    },
    grew() {
      wasRefused = false;
      haveAllRefused = false;
    },
    isAtALoss: () => dueAt === Infinity && wanted() > 0,
    run(now) {
      if (dueAt === Infinity && passive.size() > 0) this.stirred(now);
      if (now < dueAt) return;
      dueAt = Infinity;
      if (wanted() <= 0) return;
      if (isLonely() && nextPlea() > now) {
        dueAt = nextPlea();
        return;
      }
      if (isLonely() && passive.size() === 0) hasJoined = false;
      for (let tries = triesNow(); tries > 0; tries -= 1) {
        const node = candidate(now);
        if (node === undefined) {
          // A dial to a dead peer may hang for seconds, and then be made again: it is not waited for.
          haveAllRefused = talks.askingCount() + dials.hopeful() === 0;
          const earliest = isInNeed() ? now + 1 : now + leisureMs();
          dueAt = Math.max(earliest, nextReady());
          return;
        }
        if (!dials.dial(now, node, purposeNow())) break;
      }
      dueAt = isLonely() ? now + hedgeMs : now + leisureMs();
    },
    deadline: () => (wanted() > 0 ? dueAt : Infinity),
  };
}
