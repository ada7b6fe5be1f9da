/** Majorities: who must agree before something is decided, also while two configurations rule together. */

import type { Configuration, Seat } from './messages.ts';

/** Replicas of a group, voters and learners, at most. */
export const membersMax = 16;

/** The configuration of nobody: a replica that has not heard from its group yet. */
export const emptyConfiguration: Configuration = {
  voters: [],
  outgoing: [],
  learners: [],
  members: [],
  lastSeat: 0,
};

/** Everybody whose vote counts, without repetition. */
export function votersOf(config: Configuration): Seat[] {
  return [...new Set([...config.voters, ...config.outgoing])];
}

/** Whether the seat's vote counts. */
export function isVoter(config: Configuration, seat: Seat): boolean {
  return config.voters.includes(seat) || config.outgoing.includes(seat);
}

/** Everybody who receives the log. */
export function receiversOf(config: Configuration): Seat[] {
  return [...new Set([...config.voters, ...config.outgoing, ...config.learners])];
}

/** Whether enough voters fulfil something: a majority of each half of the configuration. Nobody is never enough. */
export function hasQuorum(config: Configuration, holds: (seat: Seat) => boolean): boolean {
  if (config.voters.length === 0) return false;
  return (
    isMajority(config.voters, holds) &&
    (config.outgoing.length === 0 || isMajority(config.outgoing, holds))
  );
}

/** How an election stands. */
export function tally(
  config: Configuration,
  votes: ReadonlyMap<Seat, boolean>,
): 'won' | 'lost' | 'open' {
  if (hasQuorum(config, (seat) => votes.get(seat) === true)) return 'won';
  return hasQuorum(config, (seat) => votes.get(seat) !== false) ? 'open' : 'lost';
}

/** The highest index that a majority of each half holds. */
export function quorumIndex(config: Configuration, match: (seat: Seat) => number): number {
  const half = (seats: readonly Seat[]): number => {
    if (seats.length === 0) return Infinity;
    const sorted = seats.map(match).sort((left, right) => right - left);
    return sorted[Math.floor(seats.length / 2)] ?? 0;
  };
  const index = Math.min(half(config.voters), half(config.outgoing));
  return index === Infinity ? 0 : index;
}

/** Whether a received configuration is one that a group could have: a bad one is not taken over. */
export function isSoundConfiguration(config: Configuration): boolean {
  const seats = receiversOf(config);
  const known = new Set(config.members.map(({ seat }) => seat));
  const counting = new Set(votersOf(config));
  return (
    seats.length <= membersMax &&
    config.members.length === seats.length &&
    seats.every((seat) => known.has(seat) && seat > 0 && seat <= config.lastSeat) &&
    config.learners.every((seat) => !counting.has(seat))
  );
}

function isMajority(seats: readonly Seat[], holds: (seat: Seat) => boolean): boolean {
  return seats.filter(holds).length > seats.length / 2;
}
