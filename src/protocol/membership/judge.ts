/** Which news overrides which knowledge: SWIM's table (DSN 2002, 4.2) with memberlist's rule for the dead. */

import { compareIncarnation } from './incarnation.ts';
import type { Incarnation } from './incarnation.ts';
import type { Update } from './messages.ts';

/** What a mesh agrees about a member. */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left' | 'dormant';

/** `apply`: it changes the state. `confirm`: one more voice for an open suspicion. */
export type Judgement = 'apply' | 'confirm' | 'ignore';

/** What is known about the subject so far. */
export interface Known {
  readonly state: MemberState;
  /** The newest incarnation the subject itself has signed. */
  readonly incarnation: Incarnation;
}

/** Judges one update about another member. Pure; the consequences are the caller's. */
export function judge(update: Update, known: Known | undefined): Judgement {
  // Nobody is introduced by gossip about their failure: without their own signed word there is no address.
  if (known === undefined) return isOwnWord(update) ? 'apply' : 'ignore';
  const order = compareIncarnation(update.incarnation, known.incarnation);
  const isGone = known.state === 'dead' || known.state === 'left';
  switch (update.kind) {
    case 'alive':
    case 'dormant':
      return order > 0 ? 'apply' : 'ignore';
    case 'left':
      return order > 0 || (order === 0 && !isGone) ? 'apply' : 'ignore';
    case 'suspect':
    case 'dead':
      if (order < 0 || isGone || known.state === 'dormant') return 'ignore';
      return known.state === 'suspect' ? 'confirm' : 'apply';
    default:
      return 'ignore';
  }
}

function isOwnWord(update: Update): boolean {
  return update.kind === 'alive' || update.kind === 'dormant';
}
