/** Lifeguard's suspicion: the more members accuse, the sooner the accused is condemned (arXiv 1707.00788, IV-B). */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { VerdictUpdate } from './messages.ts';
import type { SwimProfile } from './profiles.ts';

/** Bounds of one suspicion, fixed when it is opened. */
export interface SuspicionTerms {
  readonly minMs: Millis;
  readonly maxMs: Millis;
  /** K: confirmations from distinct members that bring the wait down to `minMs`. */
  readonly confirmationsWanted: number;
}

/**
 * The terms in a mesh of `memberCount` live members, this one included.
 * When fewer than K others could confirm, nobody can shorten the wait, so it starts at its minimum (memberlist).
 */
export function suspicionTerms(
  profile: SwimProfile,
  memberCount: number,
  isAdaptive: boolean,
): SuspicionTerms {
  const minMs = Math.floor(
    profile.suspicionMult * scaleOf(profile, memberCount) * profile.probeIntervalMs,
  );
  const wanted = Math.floor(profile.suspicionMult - 2);
  const confirmationsWanted = !isAdaptive || wanted < 1 || memberCount - 2 < wanted ? 0 : wanted;
  return { minMs, maxMs: Math.floor(profile.suspicionMaxMult * minMs), confirmationsWanted };
}

/** How the shortest suspicion grows with the mesh: news must have the time to reach the accused and come back. */
function scaleOf({ suspicionScale }: SwimProfile, memberCount: number): number {
  // SWIM, section 4.2, as its Figure 3c has it: whole steps of the natural logarithm.
  if (suspicionScale === 'swim') return Math.ceil(Math.log(memberCount + 1));
  return Math.max(1, Math.log10(Math.max(1, memberCount)));
}

/** How long a suspicion lasts in all after `confirmations` of it. Whole ms: `Math.log` differs between engines. */
export function suspicionMs(terms: SuspicionTerms, confirmations: number): Millis {
  const { minMs, maxMs, confirmationsWanted } = terms;
  if (confirmationsWanted < 1) return minMs;
  const fraction = Math.log(confirmations + 1) / Math.log(confirmationsWanted + 1);
  return Math.max(minMs, Math.floor(maxMs - fraction * (maxMs - minMs)));
}

/** An open suspicion against one member. Holds at most K + 1 accusers. */
export class Suspicion {
  readonly terms: SuspicionTerms;
  #since: Millis;
  /** By accuser. The first is whoever opened it: never a confirmer of its own accusation. */
  readonly #accusations: Map<NodeId, VerdictUpdate>;

  constructor(terms: SuspicionTerms, since: Millis, accusation: VerdictUpdate) {
    this.terms = terms;
    this.#since = since;
    this.#accusations = new Map([[accusation.from, accusation]]);
  }

  /** What was said, one of each accuser, in the order of arrival. */
  get accusations(): readonly VerdictUpdate[] {
    return [...this.#accusations.values()];
  }

  /** When it ends in a verdict unless refuted. */
  get endsAt(): Millis {
    return this.#since + suspicionMs(this.terms, this.#accusations.size - 1);
  }

  /** The earliest instant at which it could end, however many accuse. */
  get endsAtEarliest(): Millis {
    return this.#since + this.terms.minMs;
  }

  /** Whether somebody other than `accuser` accuses too. */
  isSharedWith(accuser: NodeId): boolean {
    return this.#accusations.size > 1 || !this.#accusations.has(accuser);
  }

  /** Adds a voice. True when it was new and still counted: only then is it worth passing on. */
  confirm(accusation: VerdictUpdate): boolean {
    const { confirmationsWanted } = this.terms;
    if (this.#accusations.has(accusation.from)) return false;
    // One distinct second voice is kept even when it shortens nothing: it decides about a gossiped `dead`.
    if (this.#accusations.size > Math.max(1, confirmationsWanted)) return false;
    this.#accusations.set(accusation.from, accusation);
    return this.#accusations.size - 1 <= confirmationsWanted;
  }

  /** Moves the end: time in which this process could not have heard a refutation does not count. */
  extend(ms: Millis): void {
    this.#since += ms;
  }

  /** Starts the wait anew: after a suspend nothing that was believed before counts. */
  restart(now: Millis): void {
    this.#since = now;
  }
}
