/**
 * Whose turn it is: candidates stand in a ring in the order of their ids, and the turn goes on from the last one chosen.
 *
 * Who is there all the time has a turn in every round, whoever else comes and goes.
 */

/** How fit a candidate is; Infinity: not at all. */
export type Rank<Candidate> = (candidate: Candidate) => number;

/**
 * The next candidate after `last` among those of the lowest rank; undefined when none is fit.
 * @param last who was chosen before, also when it is no candidate any more; undefined: nobody.
 */
export function nextInTurn<Candidate extends string | number>(
  candidates: Iterable<Candidate>,
  last: Candidate | undefined,
  rank: Rank<Candidate>,
): Candidate | undefined {
  let best: Candidate | undefined;
  let bestRank = Infinity;
  for (const one of candidates) {
    const its = rank(one);
    if (its > bestRank || its === Infinity) continue;
    if (its < bestRank || best === undefined || isSooner(one, best, last)) {
      best = one;
      bestRank = its;
    }
  }
  return best;
}

function isSooner<Candidate extends string | number>(
  one: Candidate,
  other: Candidate,
  last: Candidate | undefined,
): boolean {
  const isAfter = last === undefined || one > last;
  const isOtherAfter = last === undefined || other > last;
  return isAfter === isOtherAfter ? one < other : isAfter;
}
