/** What a node of the bundle algorithm makes of another's word about one task (Choi, Brunet, How 2009, Table I). */

/** Who is believed to win a task, and with how much. */
export interface Belief {
  readonly winner: string;
  readonly amount: number;
}

/** All that one node tells another. */
export interface Word {
  readonly beliefs: readonly (Belief & { readonly task: string })[];
  /** The latest round of each node the teller has heard of. */
  readonly heard: readonly { readonly node: string; readonly at: number }[];
}

/** One task, as the receiver and the teller see it. */
export interface Comparison {
  readonly self: string;
  readonly from: string;
  readonly mine: Belief | undefined;
  readonly theirs: Belief | undefined;
  /** Whether the teller has heard later than the receiver from this node. */
  isNewer(node: string): boolean;
  isOlder(node: string): boolean;
}

/** `update`: believe the teller. `reset`: believe nobody. `leave`: keep. */
export type Judgement = 'update' | 'reset' | 'leave';

/** The table, row by row of what the teller believes. */
export function judgeWord(comparison: Comparison): Judgement {
  const { self, from, theirs } = comparison;
  if (theirs === undefined) return nobodyWins(comparison);
  if (theirs.winner === from) return tellerWins(comparison, theirs);
  if (theirs.winner === self) return receiverWins(comparison);
  return otherWins(comparison, theirs);
}

/** A larger bid beats; of equal ones that of the smaller name. */
function beats(one: Belief, other: Belief): boolean {
  return one.amount > other.amount || (one.amount === other.amount && one.winner < other.winner);
}

function tellerWins({ self, from, mine, isNewer }: Comparison, theirs: Belief): Judgement {
  if (mine === undefined || mine.winner === from) return 'update';
  if (mine.winner === self) return beats(theirs, mine) ? 'update' : 'leave';
  return isNewer(mine.winner) || beats(theirs, mine) ? 'update' : 'leave';
}

function receiverWins({ self, from, mine, isNewer }: Comparison): Judgement {
  if (mine === undefined || mine.winner === self) return 'leave';
  if (mine.winner === from) return 'reset';
  return isNewer(mine.winner) ? 'reset' : 'leave';
}

function otherWins({ self, from, mine, isNewer, isOlder }: Comparison, theirs: Belief): Judgement {
  const other = theirs.winner;
  if (mine === undefined || mine.winner === other) return isNewer(other) ? 'update' : 'leave';
  if (mine.winner === self) return isNewer(other) && beats(theirs, mine) ? 'update' : 'leave';
  if (mine.winner === from) return isNewer(other) ? 'update' : 'reset';
  const third = mine.winner;
  if (isNewer(other) && (isNewer(third) || beats(theirs, mine))) return 'update';
  return isNewer(third) && isOlder(other) ? 'reset' : 'leave';
}

function nobodyWins({ self, from, mine, isNewer }: Comparison): Judgement {
  if (mine === undefined || mine.winner === self) return 'leave';
  if (mine.winner === from) return 'update';
  return isNewer(mine.winner) ? 'update' : 'leave';
}
