/** Ballots among nodes: whoever has a voter for a subject is asked, and the node that asks counts. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { breakTie, choicesMax, createBallot } from '../../protocol/agreement/ballot.ts';
import type { BallotEffect, BallotInput, BallotRule } from '../../protocol/agreement/ballot.ts';
import { drive } from '../drive.ts';
import type { PartWorld } from '../parts.ts';
import type { Services } from '../services/services.ts';
import { answering, serviceOf } from './offered.ts';

const namespace = '$vote';

/** How long votes are taken when nobody says, in ms. */
const lastsMsDefault = 5_000;

/** A ballot as a voter sees it. */
export interface BallotPaper {
  readonly question: unknown;
  readonly choices: readonly string[];
  readonly from: NodeId;
}

/** Gives this node's vote: one choice, several (all that are approved, or in order), or undefined to abstain. */
export type Voter = (
  paper: BallotPaper,
) => string | readonly string[] | undefined | Promise<string | readonly string[] | undefined>;

/** What is to be voted on. */
export interface BallotRequest {
  /** Nodes with a voter for it are asked. */
  readonly subject: string;
  /** Up to 64 different ones. */
  readonly choices: readonly string[];
  /** Anything that voters need to know, as JSON. */
  readonly question?: unknown;
  /** @default majority */
  readonly rule?: BallotRule;
  /** What the votes of single nodes weigh. @default 1 */
  readonly weights?: Readonly<Record<NodeId, number>>;
  /** Fewest votes for a result. @default 1 */
  readonly turnoutMin?: number;
  /** @default 5000 */
  readonly lastsMs?: number;
  /** Whether a tie is broken, the same way on every node, instead of being told. @default false */
  readonly breaksTies?: boolean;
}

/** What came of a ballot. */
export interface BallotOutcome {
  readonly winner: string | undefined;
  readonly reason: 'decided' | 'tie' | 'no-majority' | 'no-quorum' | 'turnout';
  readonly scores: Readonly<Record<string, number>>;
  readonly votes: Readonly<Record<NodeId, readonly string[]>>;
  /** Who was asked and gave no vote that counts, and why. */
  readonly silent: Readonly<Record<NodeId, string>>;
}

const paper = z.object({
  question: z.unknown(),
  choices: z.array(z.string()).check(z.maxLength(choicesMax)),
});
const ballotPaper = z.array(z.string()).check(z.maxLength(choicesMax));

/** Ballots of one node. */
export interface Ballots {
  voter(subject: string, vote: Voter): () => void;
  vote(request: BallotRequest): Promise<BallotOutcome>;
}

function check({ choices, rule, lastsMs, turnoutMin }: BallotRequest): void {
  const bad = (reason: string): MycelError => new MycelError('MYCEL_BAD_OPTION', { reason });
  if (choices.length < 1 || choices.length > choicesMax || new Set(choices).size < choices.length) {
    throw bad(`A ballot has 1 to ${choicesMax} different choices.`);
  }
  if (rule?.kind === 'quorum' && !(rule.needed > 0)) throw bad('A quorum needs a weight above 0.');
  if (lastsMs !== undefined && !(lastsMs >= 1 && lastsMs <= 86_400_000)) {
    throw bad('A ballot lasts 1 ms to a day.');
  }
  if (turnoutMin !== undefined && !(turnoutMin >= 1)) throw bad('A turnout is 1 or more.');
}

/** Builds them. */
export function createBallots({ clock, log }: PartWorld, services: Services): Ballots {
  return {
    voter(subject, vote) {
      const cast = answering(paper, ballotPaper, async ({ question, choices }, { from }) => {
        const given = await vote({ question, choices, from });
        return given === undefined ? [] : typeof given === 'string' ? [given] : [...given];
      });
      return services.provide(serviceOf(namespace, subject, { cast }));
    },
    async vote(request) {
      check(request);
      const { subject, choices, question = null } = request;
      const rule = request.rule ?? { kind: 'majority' };
      const action = `${subject}.cast`;
      const voters = services.find(action, { namespace }).map(({ node }) => node);
      const lastsMs = request.lastsMs ?? lastsMsDefault;
      const weights = new Map<NodeId, number>(
        voters.map((node) => [node, request.weights?.[node] ?? 1]),
      );
      const votes: Record<NodeId, readonly string[]> = {};
      const silent: Record<NodeId, string> = {};
      const core = createBallot({
        id: subject,
        choices,
        rule,
        weights,
        lastsMs,
        turnoutMin: request.turnoutMin ?? 1,
      });
      return new Promise((resolve) => {
        const driver = drive<BallotInput, BallotEffect>(core, {
          clock,
          tick: { type: 'tick' },
          run(effect) {
            if (effect.type === 'call') for (const node of voters) void ask(node);
            else if (effect.type === 'close') close(effect);
            else if (effect.reason === 'bad-vote') abstain(effect.voter as NodeId, 'bad vote');
          },
          failed: (_, error) => log.warn({ error, subject }, 'a ballot could not go on'),
          overflowed: () => undefined,
        });
        const abstain = (voter: NodeId, why: string): void => {
          silent[voter] = why;
          driver.feed({ type: 'abstained', voter });
        };
        async function ask(node: NodeId): Promise<void> {
          try {
            const how = { namespace, node, timeoutMs: lastsMs };
            const cast = await services.call(action, { question, choices }, how);
            if ((cast as string[]).length === 0) return abstain(node, 'abstained');
            votes[node] = cast as string[];
            driver.feed({ type: 'cast', voter: node, choices: cast as string[] });
          } catch (error) {
            abstain(node, MycelError.is(error) ? error.code : 'failed');
          }
        }
        function close({ outcome }: Extract<BallotEffect, { type: 'close' }>): void {
          driver.stop();
          const { scores, reason } = outcome;
          const winner = request.breaksTies === true ? breakTie(subject, outcome) : outcome.winner;
          for (const node of voters) if (votes[node] === undefined) silent[node] ??= 'no answer';
          for (const node of Object.keys(silent) as NodeId[]) delete votes[node];
          resolve({ winner, reason, scores: Object.fromEntries(scores), votes, silent });
        }
        driver.feed({ type: 'opened' });
      });
    },
  };
}
