/** The active view of HyParView and what leads to it: sessions that are bargained over, agreed on, and given up. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { OpenSession } from './candidate.ts';
import type { Hyparview } from './hyparview-config.ts';
import type { OverlayMessage } from './messages.ts';
import type { OverlayEffect, OverlayName, SessionId } from './overlay.ts';

/** Connections that wait to be hung up; beyond it the oldest is hung up at once. */
const lingeringMax = 256;

/** Why a peer is dialled. `welcome`: it is the newcomer of a forwarded join. */
export type Purpose = 'join' | 'urgent' | 'refill' | 'welcome';

/** One peer with an open session. */
export interface Talk {
  readonly node: NodeId;
  readonly overlay: OverlayName;
  current: OpenSession;
  /** `asking`: this node has asked; `asked`: the peer dialled and will say why. */
  phase: 'asking' | 'asked' | 'neighbour';
  /** When the phase began. */
  since: Millis;
  purpose: Purpose;
  /** Whom the peer is linked with, as it said last. */
  neighbours: readonly NodeId[];
  isQuiet: boolean;
}

/** The table of talks. */
export interface Talks {
  get(node: NodeId): Talk | undefined;
  all(): IterableIterator<Talk>;
  count(): number;
  /** The active view. */
  neighbours(): readonly Talk[];
  askingCount(): number;
  add(talk: Talk): void;
  say(talk: Talk, message: OverlayMessage): void;
  /** The peer is a neighbour from now on. */
  agree(now: Millis, talk: Talk): void;
  /** The talk is over; a neighbour is announced down. The session stays for the caller to hang up. */
  end(talk: Talk, reason: string): void;
  /** Reads the session a moment longer, then hangs up. */
  linger(now: Millis, session: SessionId): void;
  hangUp(session: SessionId, reason: string): void;
  /** The session is closed: it lingers no more. */
  closed(session: SessionId): void;
  /** The neighbour that another one may replace, if any; `keep` is not chosen. */
  replaceable(keep: Talk): Talk | undefined;
  /** Hangs up what has lingered; gives the talks in which the peer owes an answer for too long. */
  timeOut(now: Millis, answerMsMax: Millis): readonly Talk[];
  deadline(answerMsMax: Millis): Millis;
}

/** Builds an empty table. */
export function createTalks(
  { self, lingerMs }: Pick<Hyparview, 'self' | 'lingerMs'>,
  random: Random,
  emit: (effect: OverlayEffect) => void,
): Talks {
  const talks = new Map<NodeId, Talk>();
  const neighbours: Talk[] = [];
  const lingering = new Map<SessionId, Millis>();

  function hangUp(session: SessionId, reason: string): void {
    lingering.delete(session);
    emit({ type: 'hangUp', session, reason });
  }

  function isLinkedElsewhere(talk: Talk, keep: Talk): boolean {
    if (keep.neighbours.includes(talk.node)) return true;
    return neighbours.some(
      (other) =>
        other !== talk &&
        !other.isQuiet &&
        (other.neighbours.includes(talk.node) || talk.neighbours.includes(other.node)),
    );
  }

  /**
   * How well a neighbour can be spared: one that answers nothing first, then one that a common neighbour keeps in reach,
   * then by its links. Below 0: this is its last link, as far as this node knows.
   */
  function spare(talk: Talk, keep: Talk): number {
    if (talk.isQuiet) return Infinity;
    const others = talk.neighbours.length - (talk.neighbours.includes(self) ? 1 : 0);
    if (others < 1) return -1;
    return Math.min(others, 1e6) + (isLinkedElsewhere(talk, keep) ? 1e6 : 0);
  }

  return {
    get: (node) => talks.get(node),
    all: () => talks.values(),
    count: () => talks.size,
    neighbours: () => neighbours,
    askingCount() {
      let count = 0;
      if (talks.size === neighbours.length) return count;
      for (const { phase } of talks.values()) if (phase === 'asking') count += 1;
      return count;
    },
    add: (talk) => void talks.set(talk.node, talk),
    say: (talk, message) => emit({ type: 'send', session: talk.current.session, message }),
    agree(now, talk) {
      talk.phase = 'neighbour';
      talk.since = now;
      neighbours.push(talk);
      const { node, current } = talk;
      emit({ type: 'announce', what: 'neighbourUp', node, session: current.session });
    },
    end(talk, reason) {
      talks.delete(talk.node);
      const at = neighbours.indexOf(talk);
      if (at < 0) return;
      neighbours.splice(at, 1);
      emit({ type: 'announce', what: 'neighbourDown', node: talk.node, reason });
    },
    linger(now, session) {
      lingering.set(session, now + lingerMs);
      if (lingering.size <= lingeringMax) return;
      for (const oldest of lingering.keys()) return hangUp(oldest, 'double');
    },
    hangUp,
    closed: (session) => void lingering.delete(session),
    replaceable(keep) {
      let best: Talk | undefined;
      let bestSpare = 0;
      let ties = 0;
      for (const talk of neighbours) {
        if (talk === keep) continue;
        const worth = spare(talk, keep);
        if (worth < 0 || (best !== undefined && worth < bestSpare)) continue;
        ties = best !== undefined && worth === bestSpare ? ties + 1 : 1;
        if (ties > 1 && random.below(ties) > 0) continue;
        best = talk;
        bestSpare = worth;
      }
      return best;
    },
    timeOut(now, answerMsMax) {
      for (const [session, at] of lingering) if (at <= now) hangUp(session, 'double');
      if (talks.size === neighbours.length) return [];
      return [...talks.values()].filter(
        ({ phase, since }) => phase !== 'neighbour' && since + answerMsMax <= now,
      );
    },
    deadline(answerMsMax) {
      let soonest = Infinity;
      for (const at of lingering.values()) soonest = Math.min(soonest, at);
      if (talks.size === neighbours.length) return soonest;
      for (const { phase, since } of talks.values()) {
        if (phase !== 'neighbour') soonest = Math.min(soonest, since + answerMsMax);
      }
      return soonest;
    },
  };
}
