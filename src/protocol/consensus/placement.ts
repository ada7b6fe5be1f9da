/**
 * Who should be in the group: three voters for three to nine members, five where ten and seven on mains power are, one
 * for fewer, never two; and the next single step from here to there (protocols reference, 4.5).
 */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { MembershipChange, RaftView } from './raft-types.ts';
import type { Configuration, Seat } from './messages.ts';

/** How patient the keeper is. */
export interface PlacementConfig {
  /** A voter is replaced when its node has been dead, or away, for so long, in ms. @default 120_000 */
  readonly deadMs: Millis;
  /** A learner is promoted when it has been caught up for so long, in ms. @default 10_000 */
  readonly caughtUpMs: Millis;
}

/** What is known of one member of the mesh. */
export interface MemberFacts {
  readonly node: NodeId;
  /** `gone`: it left for good, or was thrown out. */
  readonly state: 'alive' | 'dead' | 'gone';
  /** How long it has been in that state, in ms. */
  readonly forMs: Millis;
  /** The higher, the better a voter; below 0: never one (a battery, a guest). */
  readonly score: number;
  readonly isOnMains: boolean;
}

/** What the keeper looks at. */
export interface PlacementFacts {
  readonly view: RaftView;
  readonly members: readonly MemberFacts[];
  /** Seats whose node says that it does not hold them: their disks are lost. */
  readonly emptySeats: ReadonlySet<Seat>;
  /** For how long each learner has been caught up, in ms. */
  readonly caughtUpMs: ReadonlyMap<Seat, Millis>;
}

/** The next step. `seat`: lay a replica down on this node and let it learn. */
export type PlacementStep =
  | { readonly type: 'seat'; readonly node: NodeId }
  | { readonly type: 'change'; readonly change: MembershipChange };

/** Entries a learner may be behind and still be called caught up. */
export const caughtUpEntries = 64;

/** How many voters a mesh should have. */
export function votersWanted(members: readonly MemberFacts[]): 1 | 3 | 5 {
  const present = members.filter(({ state }) => state !== 'gone');
  if (present.length <= 2) return 1;
  const mains = present.filter(({ isOnMains, score }) => isOnMains && score >= 0);
  return present.length >= 10 && mains.length >= 7 ? 5 : 3;
}

/** The next step, or undefined when all is well or nothing can be done now. */
export function nextPlacement(
  facts: PlacementFacts,
  config: PlacementConfig,
): PlacementStep | undefined {
  const { view, members, emptySeats, caughtUpMs } = facts;
  const { config: group } = view;
  if (!view.isSettled || view.isTransferring) return undefined;
  // One change at a time.
  if (!view.isConfigCommitted || group.outgoing.length > 0) return undefined;
  const byNode = new Map(members.map((member) => [member.node, member]));
  const nodeOf = new Map(group.members.map(({ seat, node }) => [seat, node]));
  const factsOf = (seat: Seat): MemberFacts | undefined => byNode.get(nodeOf.get(seat) as NodeId);
  // Whoever stops says goodbye, also when it only starts anew: it is given the same time as the dead.
  const isGone = (seat: Seat): boolean => {
    const member = factsOf(seat);
    return member?.state === 'gone' && member.forMs >= config.deadMs;
  };
  const isLost = (seat: Seat): boolean => {
    const member = factsOf(seat);
    if (seat === view.self) return false;
    if (emptySeats.has(seat)) return true;
    return member !== undefined && member.state !== 'alive' && member.forMs >= config.deadMs;
  };
  const voters = group.voters.filter((seat) => !isLost(seat));
  const lostVoters = group.voters.filter(isLost);
  const learners = group.learners.filter((seat) => !isLost(seat));
  // Whoever has only just said goodbye may be back in a moment.
  const wanted = votersWanted(
    members.map((one) => (one.forMs < config.deadMs ? { ...one, state: 'alive' } : one)),
  );
  const ready = learners.filter((seat) => {
    return factsOf(seat)?.state === 'alive' && (caughtUpMs.get(seat) ?? -1) >= config.caughtUpMs;
  });
  const change = (nextVoters: readonly Seat[], nextLearners: readonly Seat[]): PlacementStep => {
    return { type: 'change', change: changeTo(group, nextVoters, nextLearners) };
  };

  // Lost learners hold up nothing, but nobody should count on them.
  if (learners.length < group.learners.length) return change(group.voters, learners);
  const missing = Math.max(
    0,
    Math.max(wanted, sizeKept(group.voters.length, wanted)) - voters.length,
  );
  if (missing > 0 && ready.length > 0) {
    const promoted = ready.slice(0, missing);
    const next = [...voters, ...promoted];
    // Whoever is lost stays until there is somebody in its place: fewer voters bear fewer failures, and two bear none.
    const kept = lostVoters.slice(0, Math.max(0, group.voters.length - next.length));
    const all = [...next, ...kept];
    if (all.length % 2 === 1 && all.length >= group.voters.length) {
      return change(
        all,
        learners.filter((seat) => !promoted.includes(seat)),
      );
    }
  }
  // Fewer voters only where members went away on purpose, and the rest can agree to it.
  const isShrinkable = wanted < group.voters.length && lostVoters.every(isGone);
  if (isShrinkable && (lostVoters.length > 0 || wanted === 1)) {
    const next = [view.self, ...voters.filter((seat) => seat !== view.self)].slice(0, wanted);
    if (next.length === wanted && group.voters.includes(view.self)) return change(next, learners);
  }
  return seatStep(facts, learners.length, missing);
}

/** A group keeps its size while members are only dead: the mesh has not become smaller by that. */
function sizeKept(size: number, wanted: number): number {
  return size > wanted ? wanted : size;
}

/** Learners are what voters are made of: as many as are missing, and up to two as standbys. */
function seatStep(
  facts: PlacementFacts,
  learners: number,
  missing: number,
): PlacementStep | undefined {
  const { view, members, emptySeats } = facts;
  if (learners >= Math.max(missing, 2)) return undefined;
  const seated = new Set(
    view.config.members.filter(({ seat }) => !emptySeats.has(seat)).map(({ node }) => node),
  );
  const candidates = members
    .filter(({ node, state, score }) => state === 'alive' && score >= 0 && !seated.has(node))
    .sort((left, right) => right.score - left.score || (left.node < right.node ? -1 : 1));
  const [best] = candidates;
  return best === undefined ? undefined : { type: 'seat', node: best.node };
}

function changeTo(
  group: Configuration,
  voters: readonly Seat[],
  learners: readonly Seat[],
): MembershipChange {
  const kept = new Set([...voters, ...learners]);
  return { voters, learners, members: group.members.filter(({ seat }) => kept.has(seat)) };
}
