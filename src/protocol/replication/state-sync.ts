/**
 * Keeps the replicas of a mesh equal: fresh writes are pushed to peers and acknowledged; comparisons by fingerprint find
 * whatever was lost on the way, on any topology, after any partition (Almeida et al., "Delta state replicated data
 * types", 2018; protocols 3.3, 3.4).
 */

import type { Core, Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { Intervals, ReplicaId } from './causal-context.ts';
import type { CellAddress } from './cell.ts';
import {
  answerBranches,
  answerLeaves,
  answerRoot,
  answerWishes,
  contextOf,
  isEqualPrint,
  rootOf,
} from './comparison.ts';
import { messageBytesMax } from './messages.ts';
import type { StateMessage } from './messages.ts';
import { PeerOutbox } from './peer-outbox.ts';
import type { CellFact, ReplicaState } from './replica-state.ts';

/** Peers kept in mind; more are reached through those. */
export const syncPeersMax = 1024;

/** Up to so many peers each write is pushed to all of them; in larger meshes neighbours pass it on. */
export const pushDirectlyMax = 24;

/** Rounds of a comparison that bring nothing new before it is left to the next one. */
const barrenRoundsMax = 3;

/** Knobs, in ms; the columns of protocols 10. */
export interface StateSyncConfig {
  readonly state: ReplicaState;
  /** Between two comparisons, plus or minus a quarter. */
  readonly compareMs: number;
  /** Writes are gathered for so long before they are pushed. */
  readonly gatherMs: number;
  /** A push or a comparison that is not answered for so long is lost. */
  readonly answerMs: number;
  /** Times farther ahead of the wall clock are refused. */
  readonly driftMsMax: number;
}

/** What happened. */
export type StateSyncInput =
  | { readonly type: 'tick' }
  /** Local writes, already in the state and on disk. */
  | { readonly type: 'wrote'; readonly facts: readonly CellFact[] }
  | { readonly type: 'peerUp' | 'peerDown' | 'linked' | 'unlinked'; readonly node: NodeId }
  /** All other members that may come back, whether they are there now or not. */
  | { readonly type: 'members'; readonly nodes: readonly NodeId[] }
  | {
      readonly type: 'received';
      readonly from: NodeId;
      readonly message: StateMessage;
      readonly wallMs: number;
    };

/** What is to be done. */
export type StateSyncEffect =
  | { readonly type: 'send'; readonly to: NodeId; readonly message: StateMessage }
  /** Facts of others are in the state now: keep them, tell who watches. */
  | {
      readonly type: 'learned';
      readonly from: NodeId;
      readonly facts: readonly CellFact[];
      readonly isRepair: boolean;
    }
  | {
      readonly type: 'learnedContext';
      readonly known: readonly (readonly [ReplicaId, Intervals])[];
    }
  /** These replicas are retired now: remember since when. */
  | {
      readonly type: 'retired';
      readonly replicas: readonly ReplicaId[];
      readonly since: number;
    }
  /** Both replicas are equal, contexts included. */
  | { readonly type: 'agreed'; readonly with: NodeId }
  /** A peer wants rights of a bounded counter. */
  | {
      readonly type: 'asked';
      readonly from: NodeId;
      readonly address: CellAddress;
      readonly amount: number;
      readonly replica: ReplicaId;
    }
  /** Facts whose time lies too far ahead were not taken. */
  | {
      readonly type: 'poison';
      readonly from: NodeId;
      readonly aheadMs: number;
      readonly count: number;
    }
  /** A peer refuses writes of this node: the clock here is ahead. */
  | { readonly type: 'refused'; readonly by: NodeId; readonly aheadMs: number };

/** A picture. */
export interface StateSyncView {
  readonly peers: number;
  readonly waiting: number;
  readonly isComparing: boolean;
}

interface Peer {
  readonly outbox: PeerOutbox;
  isLinked: boolean;
}

/** Builds the core around a state that it shares with its owner. */
export function createStateSync(
  config: StateSyncConfig,
  random: Random,
): Core<StateSyncInput, StateSyncEffect, StateSyncView> {
  const { state, compareMs, gatherMs, answerMs, driftMsMax } = config;
  const peers = new Map<NodeId, Peer>();
  /** Peers to be compared with before the next regular comparison. */
  const due = new Set<NodeId>();
  /** Members that held exactly this state, since anybody last came, went or was restarted. */
  const agreeing = new Set<NodeId>();
  let members: readonly NodeId[] = [];
  let session: { readonly with: NodeId; until: Millis; barrenRounds: number } | undefined;
  let compareAt: Millis = Infinity;
  let flushAt: Millis = Infinity;
  let effects: StateSyncEffect[] = [];

  const send = (to: NodeId, message: StateMessage): void =>
    void effects.push({ type: 'send', to, message });

  function tell(facts: readonly CellFact[], now: Millis, except?: NodeId): void {
    const isFlood = peers.size > pushDirectlyMax;
    if (except !== undefined && !isFlood) return;
    for (const [node, { outbox, isLinked }] of peers) {
      if (node === except || (isFlood && !isLinked)) continue;
      for (const fact of facts) outbox.add(fact);
      flushAt = Math.min(flushAt, now + gatherMs);
    }
  }

  function flush(now: Millis): void {
    flushAt = Infinity;
    for (const [node, { outbox }] of peers) {
      if (outbox.hasGap) {
        outbox.hasGap = false;
        due.add(node);
        compareAt = Math.min(compareAt, now + gatherMs);
      }
      const next = outbox.next(state, now, answerMs, messageBytesMax);
      if (next !== undefined) send(node, { kind: 'push', ...next });
    }
  }

  function compare(now: Millis): void {
    const [first] = due;
    const all = [...peers.keys()];
    const partner = first ?? all[random.below(all.length)];
    if (partner === undefined) {
      compareAt = Infinity;
      return;
    }
    due.delete(partner);
    compareAt = now + compareMs * (0.75 + random.unit() / 2);
    begin(partner, now);
  }

  function begin(partner: NodeId, now: Millis, hasNews = true): void {
    const barren = session?.with === partner && !hasNews ? session.barrenRounds + 1 : 0;
    if (barren >= barrenRoundsMax) return end(partner, now);
    session = { with: partner, until: now + answerMs, barrenRounds: barren };
    send(partner, rootOf(state));
  }

  /** The comparison with this peer is over: the next one that is due begins soon. */
  function end(partner: NodeId, now: Millis): void {
    if (session?.with === partner) session = undefined;
    if (due.size > 0 && session === undefined) compareAt = Math.min(compareAt, now + gatherMs);
  }

  /** Takes what it may of the facts and gives the deaths that their sender should hear of. */
  function learn(
    from: NodeId,
    facts: readonly CellFact[],
    at: { readonly now: Millis; readonly wallMs: number; readonly isRepair: boolean },
  ): { readonly hasNews: boolean; readonly outdated: readonly CellFact[] } {
    const fresh: CellFact[] = [];
    const outdated: CellFact[] = [];
    let aheadMs = 0;
    let refused = 0;
    for (const fact of facts) {
      const latest = Math.max(0, ...fact.live.map((entry) => entry.at.wallMs));
      if (!(latest <= at.wallMs + driftMsMax)) {
        aheadMs = Math.max(aheadMs, latest - at.wallMs);
        refused += 1;
        continue;
      }
      const joined = state.join(fact);
      if (joined.fresh !== undefined) fresh.push(joined.fresh);
      if (joined.outdated.length > 0) {
        // A death is told together with what took the place: whoever refuses the one must not take the other.
        const { address } = fact;
        outdated.push({ address, live: state.entries(address), dead: joined.outdated });
      }
    }
    if (refused > 0) {
      effects.push({ type: 'poison', from, aheadMs, count: refused });
      send(from, { kind: 'refused', aheadMs });
    }
    if (fresh.length > 0) {
      effects.push({ type: 'learned', from, facts: fresh, isRepair: at.isRepair });
      tell(fresh, at.now, from);
    }
    return { hasNews: fresh.length > 0, outdated };
  }

  function received(now: Millis, from: NodeId, message: StateMessage, wallMs: number): void {
    if (session?.with === from) session.until = now + answerMs;
    switch (message.kind) {
      case 'push': {
        const { outdated } = learn(from, message.facts, { now, wallMs, isRepair: false });
        for (const fact of outdated) peers.get(from)?.outbox.add(fact);
        if (outdated.length > 0) flushAt = Math.min(flushAt, now + gatherMs);
        return send(from, { kind: 'ack', seq: message.seq });
      }
      case 'ack':
        peers.get(from)?.outbox.acknowledged(message.seq);
        flushAt = Math.min(flushAt, now + gatherMs);
        return;
      case 'root': {
        const answer = answerRoot(state, message, random);
        if (answer.kind === 'same') agreed(from, now, wallMs);
        return send(from, answer);
      }
      case 'same':
        return agreed(from, now, wallMs);
      case 'branches': {
        const answer = answerBranches(state, message, random);
        return answer === undefined ? end(from, now) : send(from, answer);
      }
      case 'leaves':
        return send(from, answerLeaves(state, message, random));
      case 'repair': {
        const { hasNews, outdated } = learn(from, message.facts, { now, wallMs, isRepair: true });
        const rest = answerWishes(state, message.wants, outdated);
        if (rest.facts.length > 0) send(from, rest);
        // Once more until nothing differs; what brings no news again and again is left to the next comparison.
        if (!hasNews && rest.facts.length === 0) end(from, now);
        else if (session?.with === from || (session === undefined && hasNews))
          begin(from, now, hasNews);
        else if (hasNews) due.add(from);
        return;
      }
      case 'rest':
        return void learn(from, message.facts, { now, wallMs, isRepair: true });
      case 'context':
        return takeContext(from, message, now);
      case 'refused':
        return void effects.push({ type: 'refused', by: from, aheadMs: message.aheadMs });
      case 'ask': {
        const { address, amount, replica } = message;
        return void effects.push({ type: 'asked', from, address, amount, replica });
      }
      default:
        return unreachable(message);
    }
  }

  function takeContext(
    from: NodeId,
    { root, known, isReply }: StateMessage & { readonly kind: 'context' },
    now: Millis,
  ): void {
    // The claim is true of that one state only: here, it must be this very state.
    if (!isEqualPrint(root, state.digest.root())) return end(from, now);
    if (!state.context.covers(known)) {
      state.joinContext(known);
      effects.push({ type: 'learnedContext', known });
      return send(from, rootOf(state));
    }
    if (isReply) end(from, now);
    else send(from, contextOf(state, random, true));
  }

  function agreed(node: NodeId, now: Millis, wallMs: number): void {
    effects.push({ type: 'agreed', with: node });
    if (agreeing.size <= syncPeersMax) agreeing.add(node);
    const isEverybody = members.length > 0 && members.every((one) => agreeing.has(one));
    const known = isEverybody ? state.closeGaps() : [];
    if (known.length > 0) effects.push({ type: 'learnedContext', known });
    const replicas = isEverybody ? state.retire(wallMs) : [];
    if (replicas.length > 0) effects.push({ type: 'retired', replicas, since: wallMs });
    end(node, now);
  }

  function peerChanged(now: Millis, type: 'peerUp' | 'linked' | 'unlinked', node: NodeId): void {
    const peer = peers.get(node) ?? { outbox: new PeerOutbox(), isLinked: false };
    if (!peers.has(node)) {
      if (peers.size >= syncPeersMax) return;
      peers.set(node, peer);
    }
    if (type !== 'peerUp') peer.isLinked = type === 'linked';
    if (type === 'unlinked') return;
    due.add(node);
    const soon = now + gatherMs + random.unit() * Math.min(200, compareAt - now);
    compareAt = Math.min(compareAt, soon);
  }

  function tick(now: Millis): void {
    for (const { outbox } of peers.values()) {
      if (outbox.until > now) continue;
      outbox.lost();
      flushAt = now;
    }
    if (flushAt <= now) flush(now);
    if (session !== undefined && session.until <= now) {
      const late = session.with;
      session = undefined;
      end(late, now);
    }
    if (compareAt <= now) {
      if (session === undefined) compare(now);
      else compareAt = session.until;
    }
  }

  return {
    step(now, input) {
      effects = [];
      switch (input.type) {
        case 'tick':
          break;
        case 'wrote':
          tell(input.facts, now);
          break;
        case 'peerDown':
          agreeing.clear();
          peers.delete(input.node);
          due.delete(input.node);
          if (session?.with === input.node) session = undefined;
          break;
        case 'peerUp':
        case 'linked':
        case 'unlinked':
          agreeing.clear();
          peerChanged(now, input.type, input.node);
          break;
        case 'members':
          members = input.nodes.slice(0, syncPeersMax);
          state.setOwners(input.nodes);
          break;
        case 'received':
          received(now, input.from, input.message, input.wallMs);
          break;
        default:
          return unreachable(input);
      }
      tick(now);
      return effects;
    },
    deadline() {
      let at = Math.min(flushAt, compareAt, session?.until ?? Infinity);
      for (const { outbox } of peers.values()) at = Math.min(at, outbox.until);
      return at;
    },
    view() {
      let waiting = 0;
      for (const { outbox } of peers.values()) waiting += outbox.waitingCount;
      return { peers: peers.size, waiting, isComparing: session !== undefined };
    },
  };
}
