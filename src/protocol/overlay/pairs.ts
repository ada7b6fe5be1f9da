/**
 * Links kept in pairs: one with every peer that a policy wants, taken from whoever dials. Full mesh, client-server and
 * pub-sub differ in the policy alone.
 *
 * Where both ends want the link the lower node id dials; when it has not managed for a while (it may be behind a
 * firewall) the other side dials too. Two connections of one pair collapse into the one dialled by the lower id, the
 * other is read a moment longer.
 */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { backoffMs } from './backoff.ts';
import { isBetter, knowsAddress, mergeAddresses } from './candidate.ts';
import type { Candidate, OpenSession } from './candidate.ts';
import type { PairLinks, PairPolicy, PairsConfig } from './pair-policy.ts';
import type { Overlay, OverlayEffect, OverlayInput, OverlayView, SessionId } from './overlay.ts';
import { createSeedBook } from './seed-book.ts';

/** Connections that wait to be hung up; beyond it the oldest is hung up at once. */
const lingeringMax = 256;

/** How long a peer that refused politely is left alone, ±50 %, in ms. */
const refusedMs: Millis = 300_000;

/** Evicted members remembered, so that old sightings do not bring them back; more are only refused by the link layer. */
const evictedMax = 1024;

/** Builds it. */
export function createPairs(config: PairsConfig, policy: PairPolicy, random: Random): Overlay {
  const { self } = config;
  const yieldMs = config.yieldMs ?? 3_000;
  const backoff = { msMin: config.backoffMsMin ?? 500, msMax: config.backoffMsMax ?? 30_000 };
  const dialsMax = Math.max(1, config.dialsMax ?? 8);
  const dialMsMax = Math.max(1, config.dialMsMax ?? 30_000);
  const stableMs = config.stableMs ?? 5_000;
  const lingerMs = Math.max(1, config.lingerMs ?? 250);
  const candidatesMax = Math.max(1, config.candidatesMax ?? 1024);
  const candidates = new Map<NodeId, Candidate>();
  const lingering = new Map<SessionId, Millis>();
  const seeds = createSeedBook({ seedsMax: config.seedsMax ?? 64, dialMsMax, backoff }, random);
  const evicted = new Set<NodeId>();
  let effects: OverlayEffect[] = [];

  const isLower = (node: NodeId): boolean => self < node;
  const links: PairLinks = {
    get count() {
      return linkCount();
    },
    isLinked: (node) => candidates.get(node)?.current !== undefined,
  };
  /** Whether this node dials first: the lower of two that both want the link, else the one that wants it. */
  const isFirst = (node: NodeId): boolean => isLower(node) || !policy.isMutual(node);
  const dialCount = (): number => {
    let count = seeds.dialCount();
    for (const peer of candidates.values()) if (peer.dialledAt !== undefined) count += 1;
    return count;
  };
  const linkCount = (): number => {
    let count = 0;
    for (const peer of candidates.values()) if (peer.current !== undefined) count += 1;
    return count;
  };

  function makeRoom(): boolean {
    if (candidates.size < candidatesMax) return true;
    for (const [node, peer] of candidates) {
      if (peer.isMember || peer.current !== undefined || peer.dialledAt !== undefined) continue;
      candidates.delete(node);
      return true;
    }
    return false;
  }

  function candidateOf(node: NodeId): Candidate | undefined {
    const known = candidates.get(node);
    if (known !== undefined || node === self || evicted.has(node)) return known;
    if (!makeRoom()) {
      effects.push({ type: 'note', code: 'overlay.candidatesFull', node });
      return undefined;
    }
    const peer: Candidate = {
      node,
      addresses: [],
      isMember: false,
      current: undefined,
      linkedAt: -Infinity,
      dialledAt: undefined,
      dialAt: Infinity,
      notBefore: -Infinity,
      failures: 0,
    };
    candidates.set(node, peer);
    return peer;
  }

  /** New addresses make an idle peer worth a dial: at once for the lower id, after the polite wait for the other. */
  function sighted(
    now: Millis,
    node: NodeId,
    addresses: readonly Address[],
    isMember: boolean,
  ): void {
    const peer = candidateOf(node);
    if (peer === undefined) return;
    peer.isMember ||= isMember;
    const isMoved = addresses.some((address) => !knowsAddress(peer.addresses, address));
    peer.addresses = mergeAddresses(peer.addresses, addresses);
    if (!isMoved && peer.dialAt !== Infinity) return;
    // Sightings can be made up by anybody on the LAN: they shorten a back-off, they do not end it.
    const eagerMs = peer.failures === 0 ? 0 : backoff.msMin;
    schedule(now, peer, isFirst(node) ? eagerMs : yieldMs);
  }

  function schedule(now: Millis, peer: Candidate, delayMs: Millis): void {
    if (peer.current !== undefined || peer.dialledAt !== undefined) return;
    const isIdle = peer.addresses.length === 0 || !policy.wants(peer.node, links);
    if (isIdle) peer.dialAt = Infinity;
    else peer.dialAt = Math.min(peer.dialAt, Math.max(now + delayMs, peer.notBefore));
  }

  function opened(now: Millis, peer: Candidate, next: OpenSession): void {
    if (next.isDialler) peer.dialledAt = undefined;
    peer.dialAt = Infinity;
    const old = peer.current;
    if (old === undefined) {
      peer.current = next;
      peer.linkedAt = now;
      const { node } = peer;
      effects.push({ type: 'announce', what: 'neighbourUp', node, session: next.session });
    } else if (old.session !== next.session) collapse(now, peer, old, next);
  }

  function collapse(now: Millis, peer: Candidate, old: OpenSession, next: OpenSession): void {
    const { node } = peer;
    effects.push({ type: 'note', code: 'overlay.doubleDial', node });
    if (!isBetter(next, old, isLower(node))) return linger(now, next.session);
    peer.current = next;
    effects.push({ type: 'announce', what: 'neighbourMoved', node, session: next.session });
    linger(now, old.session);
  }

  function linger(now: Millis, session: SessionId): void {
    lingering.set(session, now + lingerMs);
    if (lingering.size <= lingeringMax) return;
    for (const oldest of lingering.keys()) return hangUp(oldest, 'double');
  }

  function hangUp(session: SessionId, reason: string): void {
    lingering.delete(session);
    effects.push({ type: 'hangUp', session, reason });
  }

  function closed(now: Millis, node: NodeId, session: SessionId, reason: string): void {
    lingering.delete(session);
    const peer = candidates.get(node);
    if (peer?.current?.session !== session) return;
    peer.current = undefined;
    effects.push({ type: 'announce', what: 'neighbourDown', node, reason });
    policy.lost(now, node);
    reschedule(now, peer);
  }

  function gone(now: Millis, node: NodeId, reason: 'dead' | 'left' | 'evicted'): void {
    const peer = candidates.get(node);
    if (reason === 'evicted' && evicted.size < evictedMax) evicted.add(node);
    if (peer === undefined) return;
    const { current } = peer;
    if (current !== undefined) {
      peer.current = undefined;
      effects.push({ type: 'announce', what: 'neighbourDown', node, reason });
      hangUp(current.session, reason);
    }
    if (reason === 'dead') schedule(now, peer, backoffMs(backoff, peer.failures, random));
    else candidates.delete(node);
  }

  /** After a loss: at once (it is mostly a restart or a cable), but a link that never lasts counts as a failed dial. */
  function reschedule(now: Millis, peer: Candidate): void {
    if (now - peer.linkedAt >= stableMs) {
      peer.failures = 0;
      schedule(now, peer, isFirst(peer.node) ? 0 : yieldMs);
    } else delayed(now, peer);
  }

  function delayed(now: Millis, peer: Candidate): void {
    const delay = backoffMs(backoff, peer.failures, random);
    peer.failures += 1;
    schedule(now, peer, delay);
  }

  function failed(now: Millis, peer: Candidate): void {
    if (peer.dialledAt === undefined) return;
    peer.dialledAt = undefined;
    if (peer.current !== undefined) return;
    policy.lost(now, peer.node);
    delayed(now, peer);
  }

  /** What the policy wants has changed: some peers are worth a dial now, some links are in the way. */
  function rewant(now: Millis): void {
    for (const peer of candidates.values()) {
      const { node, current } = peer;
      if (!policy.wants(node, links)) {
        peer.dialAt = Infinity;
        if (current !== undefined && policy.maySpare(node, current.isDialler, links)) {
          spare(peer, current);
        }
      } else if (peer.dialAt === Infinity) {
        const eagerMs = peer.failures === 0 ? 0 : backoff.msMin;
        schedule(now, peer, isFirst(node) ? eagerMs : yieldMs);
      }
    }
  }

  /** Gives up a link that only this node held up. The peer dials if it wants it. */
  function spare(peer: Candidate, current: OpenSession): void {
    const { node } = peer;
    peer.current = undefined;
    effects.push({ type: 'announce', what: 'neighbourDown', node, reason: 'not wanted any more' });
    hangUp(current.session, 'not wanted any more');
  }

  function dialDue(now: Millis): void {
    let free = dialsMax - dialCount();
    const due = [...candidates.values()].filter((peer) => peer.dialAt <= now);
    due.sort((left, right) => left.dialAt - right.dialAt);
    for (const peer of due.slice(0, Math.max(0, free))) {
      peer.dialledAt = now;
      peer.dialAt = Infinity;
      free -= 1;
      const target = { kind: 'node', node: peer.node } as const;
      const { addresses } = peer;
      effects.push({ type: 'dial', target, addresses, attempt: peer.failures + 1 });
    }
    for (const seed of seeds.due(now, linkCount() > 0).slice(0, Math.max(0, free))) {
      const target = { kind: 'seed', seed: seed.key } as const;
      const attempt = seeds.dialled(now, seed);
      effects.push({ type: 'dial', target, addresses: seed.addresses, attempt });
    }
  }

  /** The network of this computer changed: what failed before says nothing about it. */
  function retryAll(now: Millis): void {
    for (const peer of candidates.values()) {
      peer.failures = 0;
      const spreadMs = Math.floor(random.unit() * backoff.msMin);
      schedule(now, peer, isFirst(peer.node) ? spreadMs : yieldMs);
    }
    seeds.retryAll(now);
  }

  function timeOut(now: Millis): void {
    for (const peer of candidates.values()) {
      if (peer.dialledAt === undefined || now - peer.dialledAt < dialMsMax) continue;
      effects.push({ type: 'note', code: 'overlay.dialLost', node: peer.node });
      failed(now, peer);
    }
    seeds.timeOut(now);
    for (const [session, at] of lingering) if (at <= now) hangUp(session, 'double');
  }

  function take(now: Millis, input: OverlayInput): void {
    switch (input.type) {
      case 'sighted':
        if (input.node === undefined) seeds.add(now, input.addresses);
        else sighted(now, input.node, input.addresses, false);
        return;
      case 'memberUp':
        return sighted(now, input.node, input.addresses, true);
      case 'memberGone':
        return gone(now, input.node, input.reason);
      case 'linkOpened': {
        if (input.seed !== undefined) seeds.answered(now, input.seed);
        const peer = candidateOf(input.node);
        if (peer === undefined) return hangUp(input.session, 'refused');
        const { session, isDialler, boot } = input;
        return opened(now, peer, { session, isDialler, boot });
      }
      case 'linkClosed':
        return closed(now, input.node, input.session, input.reason);
      case 'dialFailed':
        return dialFailed(now, input);
      case 'neighboursHeard':
        // Every member is a neighbour anyway: what a neighbour knows comes as sightings.
        return;
      case 'selfMoved':
        return retryAll(now);
      case 'received':
        return input.message.kind === 'refuse' ? refused(now, input.node) : undefined;
      case 'memberSlept':
      case 'linkQuiet':
      case 'torn':
      case 'wanted':
        // What is wanted is tried again and again as it is; whether more is wanted is the policy's to say.
        return;
      case 'tick':
        return;
    }
  }

  /** A peer with a smaller view has no room. It asks by itself when it wants this link. */
  function refused(now: Millis, node: NodeId): void {
    const peer = candidates.get(node);
    if (peer !== undefined) peer.notBefore = now + refusedMs * (0.5 + random.unit());
  }

  function dialFailed(now: Millis, input: OverlayInput & { type: 'dialFailed' }): void {
    if (input.target.kind === 'seed') {
      if (input.answeredBySelf) seeds.forget(input.target.seed);
      else seeds.failed(now, input.target.seed);
      return;
    }
    const peer = candidates.get(input.target.node);
    if (peer !== undefined) failed(now, peer);
  }

  return {
    step(now, input) {
      const mayDiffer = policy.look(now, input);
      const countBefore = linkCount();
      take(now, input);
      timeOut(now);
      if (mayDiffer || input.type === 'dialFailed' || countBefore !== linkCount()) rewant(now);
      dialDue(now);
      const done = effects;
      effects = [];
      return done;
    },
    deadline() {
      const hasSlot = dialCount() < dialsMax;
      let soonest = Math.min(seeds.deadline(hasSlot, linkCount() > 0), policy.deadline());
      for (const at of lingering.values()) soonest = Math.min(soonest, at);
      for (const peer of candidates.values()) {
        if (hasSlot) soonest = Math.min(soonest, peer.dialAt);
        if (peer.dialledAt !== undefined) soonest = Math.min(soonest, peer.dialledAt + dialMsMax);
      }
      return soonest;
    },
    view: () => viewOf(candidates, seeds.view()),
  };
}

function viewOf(
  candidates: ReadonlyMap<NodeId, Candidate>,
  seeds: OverlayView['seeds'],
): OverlayView {
  const neighbours: { node: NodeId; session: SessionId }[] = [];
  for (const { node, current } of candidates.values()) {
    if (current !== undefined) neighbours.push({ node, session: current.session });
  }
  const peers = [...candidates.values()].map((peer) => {
    const idle = peer.dialledAt === undefined ? 'waiting' : 'dialling';
    const phase: 'waiting' | 'dialling' | 'linked' = peer.current === undefined ? idle : 'linked';
    return { node: peer.node, phase, attempts: peer.failures, isMember: peer.isMember };
  });
  return { neighbours, candidates: peers, passive: [], seeds };
}
