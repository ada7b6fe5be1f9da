/**
 * The HyParView overlay: each node keeps a few links (its active view) and knows some more peers by address (its passive
 * view), and the mesh stays in one piece when most of it fails.
 *
 * Leitão, Pereira, Rodrigues: HyParView, DSN 2007. docs/protocols/overlay.md; departures in docs/divergences.md.
 */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { createBargain } from './bargain.ts';
import { createContacts } from './contacts.ts';
import type { Contacts } from './contacts.ts';
import { createDials } from './dials.ts';
import { knobsOf } from './hyparview-config.ts';
import type { HyparviewConfig } from './hyparview-config.ts';
import type { Overlay, OverlayEffect, OverlayInput, OverlayView } from './overlay.ts';
import { createPassiveView } from './passive-view.ts';
import { createPromotion } from './promotion.ts';
import { createReunion } from './reunion.ts';
import { createSeedBook } from './seed-book.ts';
import { createTalks } from './talks.ts';
import { createWalks } from './walks.ts';

/** Shuffles that follow a reunion at once, to mix the views of the two sides. */
const reunionShuffles = 3;

/** Builds a HyParView node. */
export function createHyparview(config: HyparviewConfig, random: Random): Overlay {
  const knobs = knobsOf(config);
  const { self } = knobs;
  let effects: OverlayEffect[] = [];
  let ownAddresses: readonly Address[] = [];
  let shuffleAt: Millis | undefined;
  let shufflesInHaste = 0;
  /** Cached, because most inputs are walks that pass through and change nothing that is timed. */
  let dueAt: Millis = -Infinity;

  const emit = (effect: OverlayEffect): void => {
    if (effect.type !== 'send') dueAt = -Infinity;
    effects.push(effect);
  };
  const talks = createTalks(knobs, random, emit);
  const dials = createDials(knobs, (): Contacts => contacts, emit);
  const contacts: Contacts = createContacts(
    knobs,
    random,
    (node) => passive.has(node) || talks.get(node) !== undefined || dials.has(node),
  );
  const passive = createPassiveView(
    knobs.passiveMax,
    random,
    contacts,
    (node) => talks.get(node)?.phase === 'neighbour',
  );
  const promotion = createPromotion({ knobs, random, contacts, passive, talks, dials });
  const reunion = createReunion(2 * knobs.promotionMs, random);
  const backoff = { msMin: knobs.backoffMsMin, msMax: knobs.backoffMsMax };
  const seeds = createSeedBook({ ...knobs, backoff }, random);

  const walks = createWalks({
    knobs,
    random,
    contacts,
    passive,
    talks,
    addresses: () => ownAddresses,
    hasRoom: () => promotion.wanted() > 0,
    dial: (now, node, purpose) => void dials.dial(now, node, purpose),
  });
  const bargain = createBargain({
    knobs,
    contacts,
    passive,
    talks,
    dials,
    emit,
    addresses: () => ownAddresses,
    tookIn: (newcomer) => walks.spread(newcomer),
    joined: () => promotion.joined(),
    lost: (now) => promotion.lost(now),
    refused: () => promotion.refused(),
    grew: () => promotion.grew(),
    stirred: (now) => promotion.stirred(now),
  });

  const hasNeighbours = (): boolean => talks.neighbours().length > 0;

  function sighted(now: Millis, node: NodeId, addresses: readonly Address[]): void {
    const contact = contacts.sighted(node, addresses);
    if (contact === undefined) return emit({ type: 'note', code: 'overlay.candidatesFull', node });
    if (!passive.isFull()) passive.add(node);
    if (hasNeighbours() && !contact.isMember && talks.get(node) === undefined) {
      reunion.stranger(now, node, contacts.members.size);
    }
    promotion.stirred(now);
  }

  /** Members keep the passive view a uniform sample of the mesh, whatever the shuffles bring. */
  function memberUp(now: Millis, node: NodeId, addresses: readonly Address[]): void {
    const isNew = !contacts.members.has(node);
    if (contacts.memberUp(node, addresses) && hasNeighbours()) reunion.returned(now, node);
    if (!contacts.members.has(node)) {
      return emit({ type: 'note', code: 'overlay.candidatesFull', node });
    }
    reunion.known(node);
    const isChosen = random.below(contacts.members.size) < knobs.passiveMax;
    if (isNew && (!passive.isFull() || isChosen)) passive.add(node);
    promotion.stirred(now);
  }

  function memberGone(now: Millis, input: OverlayInput & { type: 'memberGone' }): void {
    const { node, reason } = input;
    contacts.memberGone(node, reason);
    passive.remove(node);
    reunion.settled(node);
    const talk = talks.get(node);
    if (talk !== undefined) bargain.giveUp(now, talk, reason);
  }

  /** The network of this computer changed: what failed before says nothing about it. */
  function moved(now: Millis, addresses: readonly Address[]): void {
    ownAddresses = addresses;
    contacts.forgiveAll();
    seeds.retryAll(now);
    promotion.stirred(now);
  }

  function rejoin(now: Millis, node: NodeId): void {
    if (talks.get(node) !== undefined || !dials.dial(now, node, 'join')) return;
    emit({ type: 'note', code: 'overlay.rejoin', node });
    shufflesInHaste = reunionShuffles;
    if (shuffleAt !== undefined) shuffleAt = Math.min(shuffleAt, now + knobs.promotionMs);
  }

  function dialFailed(now: Millis, input: OverlayInput & { type: 'dialFailed' }): void {
    const { target, answeredBySelf } = input;
    if (target.kind === 'seed') {
      if (answeredBySelf) seeds.forget(target.seed);
      else seeds.failed(now, target.seed);
    } else if (dials.ended(target.node) !== undefined) unreachable(now, target.node);
  }

  function unreachable(now: Millis, node: NodeId): void {
    contacts.failed(now, node);
    passive.remove(node);
    contacts.release(node);
    promotion.stirred(now);
  }

  function take(now: Millis, input: OverlayInput): void {
    switch (input.type) {
      case 'sighted':
        if (input.node === undefined) return seeds.add(now, input.addresses);
        return input.node === self ? undefined : sighted(now, input.node, input.addresses);
      case 'memberUp':
        return input.node === self ? undefined : memberUp(now, input.node, input.addresses);
      case 'memberGone':
        return memberGone(now, input);
      case 'memberSlept':
        contacts.memberGone(input.node, 'dead');
        return passive.remove(input.node);
      case 'linkOpened':
        if (input.seed !== undefined) seeds.answered(now, input.seed);
        reunion.settled(input.node);
        return bargain.opened(now, input);
      case 'linkClosed':
        return bargain.closed(now, input.node, input.session, input.reason);
      case 'dialFailed':
        return dialFailed(now, input);
      case 'selfMoved':
        return moved(now, input.addresses);
      case 'wanted':
        return talks.get(input.node) === undefined ? reunion.want(now, input.node) : undefined;
      case 'torn':
        emit({ type: 'note', code: 'overlay.torn', node: input.towards });
        return rejoin(now, input.towards);
      case 'neighboursHeard':
      case 'linkQuiet':
      case 'received':
        return heard(now, input);
      case 'tick':
        return;
    }
  }

  function heard(
    now: Millis,
    input: OverlayInput & { type: 'neighboursHeard' | 'linkQuiet' | 'received' },
  ): void {
    const talk = talks.get(input.node);
    if (talk === undefined) return;
    if (input.type === 'neighboursHeard') talk.neighbours = input.neighbours;
    else if (input.type === 'linkQuiet') {
      if (input.session === talk.current.session) talk.isQuiet = input.isQuiet;
    } else if (talk.overlay !== 'full-mesh') {
      const { message } = input;
      const { kind } = message;
      if (kind !== 'forward-join' && kind !== 'shuffle' && kind !== 'shuffle-reply') {
        bargain.received(now, talk, input);
      } else if (talk.phase === 'neighbour') walks.received(now, talk, message);
    }
  }

  function shuffle(now: Millis): void {
    if (shuffleAt !== undefined && now < shuffleAt) return;
    if (shuffleAt !== undefined) walks.begin();
    const isInHaste = shufflesInHaste > 0;
    if (isInHaste) shufflesInHaste -= 1;
    const pause = isInHaste ? knobs.promotionMs : knobs.shuffleMs;
    // The first one comes at any moment of the period, so that a mesh that starts at once does not shuffle in step.
    const share = shuffleAt === undefined ? random.unit() : 0.8 + 0.4 * random.unit();
    shuffleAt = now + Math.max(1, Math.floor(pause * share));
  }

  function dialSeeds(now: Millis): void {
    const free = knobs.dialsMax - dials.size() - seeds.dialCount();
    for (const seed of seeds.due(now, hasNeighbours()).slice(0, Math.max(0, free))) {
      const target = { kind: 'seed', seed: seed.key } as const;
      emit({
        type: 'dial',
        target,
        addresses: seed.addresses,
        attempt: seeds.dialled(now, seed),
      });
    }
  }

  function settle(now: Millis): void {
    for (const talk of talks.timeOut(now, knobs.answerMsMax)) {
      bargain.giveUp(now, talk, 'no answer');
    }
    for (const node of dials.timeOut(now)) unreachable(now, node);
    seeds.timeOut(now);
    for (const node of reunion.due(now)) rejoin(now, node);
    shuffle(now);
    promotion.run(now);
    dialSeeds(now);
  }

  function nextDue(): Millis {
    return Math.min(
      shuffleAt ?? Infinity,
      promotion.deadline(),
      reunion.deadline(),
      dials.deadline(),
      talks.deadline(knobs.answerMsMax),
      seeds.deadline(dials.size() + seeds.dialCount() < knobs.dialsMax, hasNeighbours()),
    );
  }

  return {
    step(now, input) {
      take(now, input);
      if (!isPassing(input) || promotion.isAtALoss()) dueAt = -Infinity;
      if (dueAt <= now) {
        settle(now);
        dueAt = nextDue();
      }
      const done = effects;
      effects = [];
      return done;
    },
    deadline: () => dueAt,
    view: () => ({
      neighbours: talks
        .neighbours()
        .map(({ node, current }) => ({ node, session: current.session })),
      candidates: [...candidateNodes()].map((node) => candidateOf(node)),
      passive: [...passive.nodes()],
      seeds: seeds.view(),
    }),
  };

  function candidateNodes(): ReadonlySet<NodeId> {
    const talking = [...talks.all()].map(({ node }) => node);
    return new Set([...talking, ...passive.nodes(), ...contacts.members.items()]);
  }

  function candidateOf(node: NodeId): OverlayView['candidates'][number] {
    const contact = contacts.get(node);
    const isLinked = talks.get(node)?.phase === 'neighbour';
    const isTried = dials.has(node) || talks.get(node) !== undefined;
    return {
      node,
      phase: isLinked ? 'linked' : isTried ? 'dialling' : 'waiting',
      attempts: contact?.failures ?? 0,
      isMember: contact?.isMember === true,
    };
  }
}

/** Whether the input says nothing about this node's own links. */
function isPassing(input: OverlayInput): boolean {
  if (input.type !== 'received') return input.type === 'neighboursHeard';
  const { kind } = input.message;
  return kind === 'shuffle' || kind === 'shuffle-reply' || kind === 'forward-join';
}
