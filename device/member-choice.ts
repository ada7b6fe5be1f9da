/** Which member a person means: by id, by the beginning of one, or by name. */

import type { MemberInfo } from 'mycel';

import { Failure } from './failure.ts';

/**
 * Finds the member a person means by its whole id, a unique prefix of the id, or its name.
 * @throws {Failure} MYCEL_UNKNOWN_MEMBER, or MYCEL_AMBIGUOUS when more than one fits.
 */
export function resolveMember<Candidate extends Pick<MemberInfo, 'id' | 'name'>>(
  node: { members(): readonly Candidate[] },
  who: string,
): Candidate {
  return pick(node.members(), who, 'member', 'See "mycel members" for the ids and names.');
}

/** Fewest characters of an id that name a member: a slip of the finger must not revoke a board. */
const prefixLengthMin = 4;

/** Picks the one that fits. @throws {Failure} MYCEL_UNKNOWN_MEMBER, MYCEL_AMBIGUOUS */
export function pick<Candidate extends { readonly id: string; readonly name: string }>(
  candidates: readonly Candidate[],
  who: string,
  noun: string,
  fix: string,
): Candidate {
  const wanted = who.trim().toLowerCase();
  const whole = candidates.find(({ id }) => id === wanted);
  if (whole !== undefined) return whole;
  const named = candidates.filter(({ name }) => name === who.trim());
  const isPrefix = wanted.length >= prefixLengthMin;
  const found =
    named.length > 0 ? named : candidates.filter(({ id }) => isPrefix && id.startsWith(wanted));
  if (found.length > 1) {
    const ids = found.slice(0, 4).map(({ id }) => id.slice(0, 12));
    throw new Failure(
      'MYCEL_AMBIGUOUS',
      `'${who}' fits ${found.length} of them: ${ids.join(', ')}${found.length > 4 ? ', …' : ''}.`,
      'Give more characters of the id.',
    );
  }
  const [only] = found;
  if (only === undefined) {
    throw new Failure('MYCEL_UNKNOWN_MEMBER', `There is no ${noun} '${who}'.`, fix);
  }
  return only;
}
