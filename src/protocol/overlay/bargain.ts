/**
 * How two HyParView nodes become neighbours, and part: one asks over a fresh session, the other accepts or refuses, and
 * both hold the link or neither does. What gives a link up names the session it comes over, so it never hits a later one.
 */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isBetter } from './candidate.ts';
import type { OpenSession } from './candidate.ts';
import type { Contacts } from './contacts.ts';
import type { Dials } from './dials.ts';
import type { Hyparview } from './hyparview-config.ts';
import { hintAddressesMax, hintsMax } from './messages.ts';
import type { OverlayMessage, PeerHint } from './messages.ts';
import type { OverlayEffect, OverlayInput, SessionId } from './overlay.ts';
import type { PassiveView } from './passive-view.ts';
import type { Purpose, Talk, Talks } from './talks.ts';

/** Peers talked with at once; more are hung up on at once. */
const talksMax = 128;

/** What bargaining needs of the overlay. */
export interface BargainWorld {
  readonly knobs: Hyparview;
  readonly contacts: Contacts;
  readonly passive: PassiveView;
  readonly talks: Talks;
  readonly dials: Dials;
  emit(effect: OverlayEffect): void;
  /** This node's own addresses. */
  addresses(): readonly Address[];
  /** The peer asked to be taken into the mesh and is a neighbour now. */
  tookIn(newcomer: PeerHint): void;
  /** A join of this node was accepted. */
  joined(): void;
  /** A neighbour is gone. */
  lost(now: Millis): void;
  /** A peer that this node asked said no. */
  refused(): void;
  /** There is a neighbour more. */
  grew(): void;
  /** An attempt came to an end, good or bad. */
  stirred(now: Millis): void;
}

type Opened = Extract<OverlayInput, { readonly type: 'linkOpened' }>;
type Received = Extract<OverlayInput, { readonly type: 'received' }>;

/** The bargaining of one node. */
export interface Bargain {
  opened(now: Millis, input: Opened): void;
  closed(now: Millis, node: NodeId, session: SessionId, reason: string): void;
  /** A message about the link itself. */
  received(now: Millis, talk: Talk, input: Received): void;
  /** The peer is no member any more, or owes an answer for too long. */
  giveUp(now: Millis, talk: Talk, reason: string): void;
}

/** Builds it. */
export function createBargain(world: BargainWorld): Bargain {
  const { knobs, contacts, passive, talks, dials, emit } = world;
  const isLower = (node: NodeId): boolean => knobs.self < node;
  const isFull = (): boolean => talks.neighbours().length >= knobs.activeMax;
  const ownAddresses = (): readonly Address[] => world.addresses().slice(0, hintAddressesMax);

  function ask(now: Millis, talk: Talk): void {
    const { purpose } = talk;
    const addresses = ownAddresses();
    if (talk.overlay === 'full-mesh') accepted(now, talk);
    else if (purpose === 'join') talks.say(talk, { kind: 'join', addresses });
    else talks.say(talk, { kind: 'neighbour', isUrgent: purpose === 'urgent', addresses });
  }

  /** Both sides want it: from here on it is a link. */
  function agree(now: Millis, talk: Talk): void {
    contacts.take(talk.node);
    contacts.worked(talk.node);
    talks.agree(now, talk);
    passive.remove(talk.node);
    world.grew();
    world.stirred(now);
  }

  function part(talk: Talk, message: OverlayMessage, reason: string): void {
    talks.say(talk, message);
    talks.end(talk, reason);
    talks.hangUp(talk.current.session, reason);
  }

  /** Gives up a neighbour that is well: it is told, and remembered. */
  function drop(now: Millis, talk: Talk): void {
    const { node, isQuiet } = talk;
    emit({ type: 'note', code: 'overlay.dropped', node });
    const isBargained = talk.overlay !== 'full-mesh';
    part(talk, isBargained ? { kind: 'disconnect' } : { kind: 'refuse', peers: [] }, 'dropped');
    contacts.rest(now, node, knobs.promotionMs);
    if (isQuiet) contacts.release(node);
    else passive.add(node);
  }

  /** What does not fit is refused, with names to ask instead: those who could not be spared have room themselves. */
  function refuse(talk: Talk, isForced: boolean): void {
    emit({ type: 'note', code: 'overlay.refused', node: talk.node });
    const names = isForced ? talks.neighbours().slice(0, hintsMax) : [];
    const peers = names.map(({ node }) => contacts.hintOf(node));
    part(talk, { kind: 'refuse', peers }, 'refused');
    contacts.release(talk.node);
  }

  /** Answers a request. Dead wood is cut before it is weighed: a full view of silent neighbours is not full. */
  function answer(now: Millis, talk: Talk, isForced: boolean): boolean {
    const victim = isFull() ? talks.replaceable(talk) : undefined;
    if (isFull()) {
      if (victim === undefined || !(isForced || victim.isQuiet)) {
        refuse(talk, isForced);
        return false;
      }
      drop(now, victim);
    }
    if (talk.overlay !== 'full-mesh') talks.say(talk, { kind: 'accept' });
    agree(now, talk);
    return true;
  }

  function accepted(now: Millis, talk: Talk): void {
    const { purpose } = talk;
    if (isFull()) {
      const victim = purpose === 'refill' ? undefined : talks.replaceable(talk);
      if (victim === undefined) {
        part(talk, { kind: 'disconnect' }, 'no room');
        contacts.rest(now, talk.node, knobs.promotionMs);
        return passive.add(talk.node);
      }
      drop(now, victim);
    }
    agree(now, talk);
    if (purpose === 'join') world.joined();
  }

  /** The peer says no, or gives the link up: it is well and remembered, but left alone for a while. */
  function declined(now: Millis, talk: Talk, peers: readonly PeerHint[]): void {
    const wasNeighbour = talk.phase === 'neighbour';
    const { node } = talk;
    talks.end(talk, 'disconnected');
    // The peer hangs up; if it does not, this node will.
    talks.linger(now, talk.current.session);
    if (wasNeighbour) contacts.rest(now, node, knobs.promotionMs);
    else {
      contacts.refused(now, node);
      world.refused();
    }
    passive.add(node);
    for (const hint of peers.slice(0, hintsMax)) {
      if (hint.node === knobs.self || contacts.hinted(hint) === undefined) continue;
      passive.add(hint.node);
      contacts.release(hint.node);
    }
    contacts.release(node);
    if (wasNeighbour) world.lost(now);
    else world.stirred(now);
  }

  /** The peer fails: what is known of it is kept only while it is a member. */
  function failed(now: Millis, talk: Talk, reason: string): void {
    const wasNeighbour = talk.phase === 'neighbour';
    const wasStable = wasNeighbour && now - talk.since >= knobs.stableMs;
    const { node, phase } = talk;
    talks.end(talk, reason);
    if (wasStable) contacts.worked(node);
    if (phase !== 'asked') contacts.failed(now, node);
    passive.remove(node);
    contacts.release(node);
    if (wasNeighbour) world.lost(now);
    else world.stirred(now);
  }

  function collapse(now: Millis, talk: Talk, next: OpenSession, purpose?: Purpose): void {
    const { node } = talk;
    const { session } = talk.current;
    emit({ type: 'note', code: 'overlay.doubleDial', node });
    if (!isBetter(next, talk.current, isLower(node))) talks.linger(now, next.session);
    else {
      talk.current = next;
      if (talk.phase === 'neighbour') {
        emit({ type: 'announce', what: 'neighbourMoved', node, session: next.session });
      }
      talks.linger(now, session);
    }
    if (purpose === undefined || talk.phase !== 'asked') return;
    Object.assign(talk, { phase: 'asking', purpose, since: now });
    ask(now, talk);
  }

  /** A bare seed answered: a stranger is asked to take this node in, a member only by a lonely one. */
  function purposeOf(input: Opened): Purpose | undefined {
    const purpose = dials.ended(input.node);
    if (purpose !== undefined || input.seed === undefined) return purpose;
    const isMember = contacts.get(input.node)?.isMember === true;
    return isMember && talks.neighbours().length > 0 ? undefined : 'join';
  }

  function begin(now: Millis, input: Opened, current: OpenSession, purpose?: Purpose): void {
    const { node, overlay, neighbours } = input;
    if (talks.count() >= talksMax) return talks.hangUp(current.session, 'busy');
    if (current.isDialler && purpose === undefined) {
      return talks.hangUp(current.session, 'not wanted any more');
    }
    const talk: Talk = {
      node,
      overlay,
      current,
      phase: purpose === undefined ? 'asked' : 'asking',
      since: now,
      purpose: purpose ?? 'refill',
      neighbours,
      isQuiet: false,
    };
    talks.add(talk);
    if (purpose !== undefined) ask(now, talk);
    // A full mesh asks nothing: the session is the request, urgent when it is linked with nobody.
    else if (overlay === 'full-mesh') answer(now, talk, neighbours.length === 0);
  }

  return {
    opened(now, input) {
      const { node, session, isDialler, boot } = input;
      const purpose = isDialler ? purposeOf(input) : undefined;
      if (node === knobs.self || contacts.isEvicted(node)) return talks.hangUp(session, 'refused');
      const next = { session, isDialler, boot };
      const old = talks.get(node);
      if (old === undefined) return begin(now, input, next, purpose);
      if (old.current.session === session) return;
      if (boot < old.current.boot) return talks.linger(now, session);
      if (boot === old.current.boot && isDialler !== old.current.isDialler) {
        return collapse(now, old, next, purpose);
      }
      // A later life of the peer, or it dialled again: it knows nothing of the old session any more.
      const wasNeighbour = old.phase === 'neighbour';
      talks.end(old, 'superseded');
      talks.hangUp(old.current.session, 'superseded');
      begin(now, input, next, purpose);
      if (wasNeighbour) world.lost(now);
    },
    closed(now, node, session, reason) {
      talks.closed(session);
      const talk = talks.get(node);
      if (talk?.current.session === session) failed(now, talk, reason);
    },
    received(now, talk, { session, message }) {
      const { phase } = talk;
      switch (message.kind) {
        case 'join':
        case 'neighbour': {
          const { node } = talk;
          const { addresses } = message;
          contacts.hinted({ node, addresses });
          if (phase === 'neighbour') talks.say(talk, { kind: 'accept' });
          else if (!answer(now, talk, message.kind === 'join' || message.isUrgent)) return;
          if (message.kind === 'join') world.tookIn(contacts.hintOf(node));
          return;
        }
        case 'accept':
          return phase === 'asking' ? accepted(now, talk) : undefined;
        case 'refuse':
          if (phase === 'neighbour' && session !== talk.current.session) return;
          emit({ type: 'note', code: 'overlay.wasRefused', node: talk.node });
          return declined(now, talk, message.peers);
        case 'disconnect':
          return session === talk.current.session ? declined(now, talk, []) : undefined;
        default:
          return;
      }
    },
    giveUp(now, talk, reason) {
      const { session } = talk.current;
      failed(now, talk, reason);
      talks.hangUp(session, reason);
    },
  };
}
