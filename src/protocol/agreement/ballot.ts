/**
 * Votes for preferences: majority, approval, Borda, and weighted quorum. Borda and plurality can be manipulated; what
 * must be decided once and for all belongs to consensus, not here.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { hashText } from '../../kernel/hash.ts';
import { unreachable } from '../../kernel/invariant.ts';

/** Voters of one ballot; more are not heard. */
export const votersMax = 1024;

/** Choices of one ballot. */
export const choicesMax = 64;

/** How votes are counted. */
export type BallotRule =
  /** One choice each; more than half of the votes cast. */
  | { readonly kind: 'majority' }
  /** Any number of choices each; the most approved one. */
  | { readonly kind: 'approval' }
  /** Choices in order, best first; n-1 points for the first of n, n-2 for the second; none for what is not named. */
  | { readonly kind: 'borda' }
  /** One choice each; the weight of all voters, present or not, must reach `needed` for a choice. */
  | { readonly kind: 'quorum'; readonly needed: number };

/** What a ballot is about. */
export interface BallotConfig {
  readonly id: string;
  readonly choices: readonly string[];
  readonly rule: BallotRule;
  /** Who may vote, with its weight. */
  readonly weights: ReadonlyMap<string, number>;
  /** Fewest voters for a result. @default 1 */
  readonly turnoutMin?: number;
  /** @default 1000 */
  readonly lastsMs?: Millis;
}

/** Facts for the teller. */
export type BallotInput =
  | { readonly type: 'tick' }
  | { readonly type: 'opened' }
  /** A later vote of the same voter replaces the earlier one while the ballot is open. */
  | { readonly type: 'cast'; readonly voter: string; readonly choices: readonly string[] }
  /** This voter will not vote, or cannot be asked: it is not waited for. */
  | { readonly type: 'abstained'; readonly voter: string };

/** Orders of the teller. */
export type BallotEffect =
  | { readonly type: 'call'; readonly choices: readonly string[] }
  | {
      readonly type: 'refuse';
      readonly voter: string;
      readonly reason: 'closed' | 'no-voter' | 'bad-vote';
    }
  | { readonly type: 'close'; readonly outcome: Outcome };

/** What came of it. */
export interface Outcome {
  readonly winner: string | undefined;
  readonly reason: 'decided' | 'tie' | 'no-majority' | 'no-quorum' | 'turnout';
  readonly scores: ReadonlyMap<string, number>;
  readonly turnout: number;
}

/** The state of a ballot. */
export interface BallotView {
  readonly phase: 'new' | 'open' | 'closed';
  readonly castCount: number;
  readonly outcome: Outcome | undefined;
}

/** Counts votes. Weights below or equal to 0 count as nothing. */
export function tally(
  choices: readonly string[],
  rule: BallotRule,
  votes: ReadonlyMap<string, readonly string[]>,
  weights: ReadonlyMap<string, number>,
): Outcome {
  const scores = new Map<string, number>(choices.map((choice) => [choice, 0]));
  let cast = 0;
  for (const [voter, vote] of votes) {
    const weight = Math.max(0, weights.get(voter) ?? 0);
    cast += weight;
    const named = rule.kind === 'majority' || rule.kind === 'quorum' ? vote.slice(0, 1) : vote;
    for (const [place, choice] of named.entries()) {
      const points = rule.kind === 'borda' ? choices.length - 1 - place : 1;
      scores.set(choice, (scores.get(choice) ?? 0) + weight * points);
    }
  }
  const ranking = [...scores].sort((left, right) => right[1] - left[1]);
  const [best, second] = ranking;
  const turnout = votes.size;
  const none = (reason: Outcome['reason']): Outcome => ({
    winner: undefined,
    reason,
    scores,
    turnout,
  });
  if (best === undefined || best[1] <= 0) return none('no-majority');
  if (rule.kind === 'majority' && best[1] * 2 <= cast) return none('no-majority');
  if (rule.kind === 'quorum' && best[1] < rule.needed) return none('no-quorum');
  if (second !== undefined && second[1] === best[1]) return none('tie');
  return { winner: best[0], reason: 'decided', scores, turnout };
}

/** Breaks a tie the same way on every node. */
export function breakTie(id: string, outcome: Outcome): string | undefined {
  if (outcome.reason !== 'tie') return outcome.winner;
  const top = Math.max(...outcome.scores.values());
  const tied = [...outcome.scores].filter(([, score]) => score === top).map(([choice]) => choice);
  return tied.sort(
    (left, right) => hashText(`${id}\u0000${left}`) - hashText(`${id}\u0000${right}`),
  )[0];
}

/** Builds a ballot that is not open yet. It closes early when everybody has voted or abstained. */
export function createBallot(config: BallotConfig): Core<BallotInput, BallotEffect, BallotView> {
  const choices = [...new Set(config.choices)].slice(0, choicesMax);
  const weights = new Map([...config.weights].slice(0, votersMax));
  const lastsMs = Math.max(1, config.lastsMs ?? 1_000);
  const votes = new Map<string, readonly string[]>();
  const abstained = new Set<string>();
  let phase: BallotView['phase'] = 'new';
  let outcome: Outcome | undefined;
  let closesAt: Millis = Infinity;

  function close(): BallotEffect[] {
    phase = 'closed';
    closesAt = Infinity;
    const counted = tally(choices, config.rule, votes, weights);
    const isThin = votes.size < (config.turnoutMin ?? 1);
    outcome = isThin ? { ...counted, winner: undefined, reason: 'turnout' } : counted;
    return [{ type: 'close', outcome }];
  }

  function hear(voter: string, vote: readonly string[]): BallotEffect[] {
    if (phase !== 'open') return [{ type: 'refuse', voter, reason: 'closed' }];
    if (!weights.has(voter)) return [{ type: 'refuse', voter, reason: 'no-voter' }];
    const isSound =
      vote.length > 0 &&
      vote.length <= choices.length &&
      new Set(vote).size === vote.length &&
      vote.every((choice) => choices.includes(choice));
    if (!isSound) return [{ type: 'refuse', voter, reason: 'bad-vote' }];
    votes.set(voter, [...vote]);
    abstained.delete(voter);
    return closeEarly();
  }

  function closeEarly(): BallotEffect[] {
    return votes.size + abstained.size === weights.size ? close() : [];
  }

  return {
    step(now, input) {
      const due = phase === 'open' && now >= closesAt ? close() : [];
      switch (input.type) {
        case 'tick':
          return due;
        case 'opened':
          if (phase !== 'new') return due;
          phase = 'open';
          closesAt = now + lastsMs;
          return [{ type: 'call', choices }];
        case 'cast':
          return [...due, ...hear(input.voter, input.choices)];
        case 'abstained':
          if (phase !== 'open' || !weights.has(input.voter) || votes.has(input.voter)) return due;
          abstained.add(input.voter);
          return [...due, ...closeEarly()];
        default:
          return unreachable(input);
      }
    },
    deadline: () => closesAt,
    view: () => ({ phase, castCount: votes.size, outcome }),
  };
}
