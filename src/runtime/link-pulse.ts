/**
 * Whether links still work: which of them is asked when, and when one that does not answer is given up. A node asks one idle
 * link at a time, the one that is silent for longest, so that many links cost what two do; a link on which something was said
 * is asked for its own sake (decision 0051). That the peer lives is membership's to prove, which costs the same in any mesh.
 */

import type { Millis } from '../kernel/core.ts';
import type { Clock } from '../ports/clock.ts';

/** How often a node asks an idle link, and when a silent one counts as dead. */
export interface PulsePace {
  /** Pause between two questions of one node to idle links, and between two to a link that owes an answer. */
  readonly heartbeatMs: Millis;
  /** Least silence after which a link is given up that left `asksMin` questions unanswered. */
  readonly silentMsMax: Millis;
}

/** What is known of one link. Times are on the node's clock. */
export interface Beat {
  heardAt: Millis;
  /** When something was said to which nothing came back yet; undefined: nothing is open. */
  saidAt: Millis | undefined;
  askedAt: Millis;
  /** Questions since the peer was last heard. */
  asks: number;
  isQuiet: boolean;
  /** Cancels the alarm of this link, when one is set. */
  cancel: (() => void) | undefined;
}

/** What the links are, and what is to be done about them. */
export interface PulseWorld<Link> {
  readonly clock: Clock;
  readonly pace: PulsePace;
  links(): Iterable<Link>;
  ask(link: Link): void;
  /** The peer has left a question unanswered for a heartbeat, or speaks again. */
  quiet(link: Link, isQuiet: boolean): void;
  giveUp(link: Link, silentMs: Millis): void;
}

/** The pulse of a node's links. */
export interface LinkPulse<Link> {
  /** A link opened: it is asked at once. */
  opened(link: Link): void;
  /** The link is nobody's business any more. */
  closed(link: Link): void;
  heard(link: Link): void;
  /** Something was said that may be an answer to what was heard a moment ago. */
  said(link: Link): void;
  /** Something was said that is no answer, or must not be lost. */
  told(link: Link): void;
  stop(): void;
}

/** One that stalls itself finds its alarms overdue and the answers unread: it asks once more before it gives up. */
const asksMin = 2;

/** Share of a heartbeat within which what is said counts as the answer to what was heard. */
const answerShare = 1 / 5;

/**
 * How long an idle link is silent at least when it is asked, in heartbeats for each link of the node and at least for two:
 * both ends need not ask, and what others say on it saves the question, as often in a large mesh as in a small one.
 */
const silentShare = 0.45;
const linksMin = 2;

/** A link that was just heard. */
export function newBeat(now: Millis): Beat {
  return {
    heardAt: now,
    saidAt: undefined,
    askedAt: now,
    asks: 0,
    isQuiet: false,
    cancel: undefined,
  };
}

/** Builds it. */
export function createLinkPulse<Link extends { readonly beat: Beat }>(
  world: PulseWorld<Link>,
): LinkPulse<Link> {
  const { clock, pace } = world;
  const { heartbeatMs, silentMsMax } = pace;
  let cancelTurn: (() => void) | undefined;

  function arm(link: Link, at: Millis): void {
    link.beat.cancel ??= clock.alarm(at, () => {
      link.beat.cancel = undefined;
      look(link);
    });
  }

  function ask(link: Link): void {
    const { beat } = link;
    beat.askedAt = clock.now();
    beat.asks += 1;
    arm(link, beat.askedAt + heartbeatMs);
    world.ask(link);
  }

  function tellQuiet(link: Link, isQuiet: boolean): void {
    if (link.beat.isQuiet === isQuiet) return;
    link.beat.isQuiet = isQuiet;
    world.quiet(link, isQuiet);
  }

  /** The alarm of a link; what it was set for may be settled, and something later be open. */
  function look(link: Link): void {
    const { beat } = link;
    const since = beat.asks > 0 ? beat.askedAt : beat.saidAt;
    if (since === undefined) return;
    const now = clock.now();
    if (now < since + heartbeatMs) return arm(link, since + heartbeatMs);
    const silentMs = now - beat.heardAt;
    if (beat.asks >= asksMin && silentMs >= silentMsMax) return world.giveUp(link, silentMs);
    if (beat.asks > 0) tellQuiet(link, true);
    ask(link);
  }

  function turn(): void {
    const now = clock.now();
    let silent: Link | undefined;
    let count = 0;
    for (const link of world.links()) {
      count += 1;
      const { heardAt, saidAt, asks } = link.beat;
      if (saidAt !== undefined || asks > 0) continue;
      if (silent === undefined || heardAt < silent.beat.heardAt) silent = link;
    }
    cancelTurn = count === 0 ? undefined : clock.alarm(now + heartbeatMs, turn);
    const silentMs = silentShare * Math.max(linksMin, count) * heartbeatMs;
    if (silent !== undefined && now - silent.beat.heardAt >= silentMs) ask(silent);
  }

  function owes(link: Link, now: Millis): void {
    link.beat.saidAt = now;
    arm(link, now + heartbeatMs);
  }

  return {
    opened(link) {
      cancelTurn ??= clock.alarm(clock.now() + heartbeatMs, turn);
      ask(link);
    },
    closed: ({ beat }) => beat.cancel?.(),
    heard(link) {
      const { beat } = link;
      beat.heardAt = clock.now();
      beat.saidAt = undefined;
      beat.asks = 0;
      if (beat.isQuiet) tellQuiet(link, false);
    },
    said(link) {
      if (link.beat.saidAt !== undefined) return;
      const now = clock.now();
      if (now - link.beat.heardAt >= answerShare * heartbeatMs) owes(link, now);
    },
    told(link) {
      if (link.beat.saidAt === undefined) owes(link, clock.now());
    },
    stop() {
      cancelTurn?.();
      cancelTurn = undefined;
    },
  };
}
