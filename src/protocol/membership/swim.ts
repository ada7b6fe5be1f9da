/**
 * SWIM with Lifeguard: who is in the mesh, and who is no longer.
 *
 * Sources: Das, Gupta, Motivala, "SWIM", DSN 2002; Dadgar, Phillips, Currey, "Lifeguard", arXiv 1707.00788; the rules of
 * hashicorp/memberlist where the papers are silent. Departures: docs/divergences.md. Messages: docs/protocols/membership.md.
 */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { isSameBytes } from './digest.ts';
import { memberOf } from './member-table.ts';
import type { MemberRecord } from './member-table.ts';
import { riderBytesMax } from './messages.ts';
import type { SwimMessage } from './messages.ts';
import { News, postponeSuspicions, stopTimersOf } from './news.ts';
import { Prober } from './prober.ts';
import { PushPull } from './push-pull.ts';
import { SelfMember } from './self.ts';
import { SwimState } from './swim-state.ts';
import type { Chore, VerdictTimer } from './swim-state.ts';
import type { Swim, SwimConfig, SwimInput, SwimView } from './swim-types.ts';

/** The first push-pull comes within this many probe periods after the start. */
const firstPushPullPeriods = 5;

/** Pause between sweeps of old tombstones, in ms. */
const sweepIntervalMs = 60_000;

/** Packets per listener and gossip beat while there is a backlog. */
const gossipPacketsMax = 4;

/** A loop stuck for this many probe intervals is an absence, not a hiccup. */
const absenceIntervals = 4;

/** Builds the membership core of one start of one node. */
export function createSwim(config: SwimConfig, random: Random): Swim {
  return new SwimCore(config, random);
}

class SwimCore implements Swim {
  readonly #state: SwimState;
  readonly #self: SelfMember;
  readonly #news: News;
  readonly #prober: Prober;
  readonly #pushPull: PushPull;
  #isStarted = false;
  #hasSpread = false;

  constructor(config: SwimConfig, random: Random) {
    this.#state = new SwimState(config, random);
    this.#self = new SelfMember(this.#state);
    this.#news = new News(this.#state, this.#self);
    this.#prober = new Prober(this.#state, this.#self, this.#news);
    this.#pushPull = new PushPull(this.#state, this.#self, this.#news);
  }

  step(now: Millis, input: SwimInput): ReturnType<Swim['step']> {
    this.#state.now = Math.max(now, this.#state.now);
    if (!this.#isStarted) this.#begin();
    if (!this.#hasSpread) this.#take(input);
    return this.#state.takeEffects();
  }

  deadline(): Millis {
    if (!this.#isStarted) return 0;
    if (this.#hasSpread) return Infinity;
    const soonest = Math.min(this.#state.chores.next(), this.#state.verdicts.next());
    // Inputs pass no verdicts: what fell due meanwhile waits for the tick.
    return Math.max(soonest, this.#state.now + 1);
  }

  isVerdictDue(now: Millis): boolean {
    return this.#state.verdicts.next() <= now;
  }

  member(node: NodeId): ReturnType<Swim['member']> {
    const record = this.#state.table.get(node);
    return record === undefined ? undefined : memberOf(record);
  }

  view(): SwimView {
    const { table, awareness, queue } = this.#state;
    return {
      self: this.#self.member(),
      members: [...table.live(), ...table.tombstones()].map((record) => memberOf(record)),
      lhm: awareness.score,
      queueLength: queue.length,
      liveCount: table.liveCount,
      tombstoneCount: table.tombstoneCount,
      suspicionCount: table.suspicionCount,
    };
  }

  /** Random phases, so that nodes started together do not probe together. */
  #begin(): void {
    this.#isStarted = true;
    const { chores, config, random, now } = this.#state;
    const { probeIntervalMs, graveyardIntervalMs } = config.profile;
    chores.set('probe', now + random.below(probeIntervalMs));
    // The first comparison comes soon: news that spread while many joined at once misses some.
    chores.set(
      'push-pull',
      now + probeIntervalMs + random.below(firstPushPullPeriods * probeIntervalMs),
    );
    chores.set('graveyard', now + random.below(graveyardIntervalMs));
    chores.set('sweep', now + sweepIntervalMs);
    this.#state.broadcast(this.#self.word);
  }

  #take(input: SwimInput): void {
    switch (input.type) {
      case 'tick':
        this.#tick();
        break;
      case 'received':
        this.#receive(input.from, input.sender, input.message);
        break;
      case 'introduced':
        this.#pushPull.introduce(input.addresses);
        break;
      case 'linkPong':
        this.#prober.hearLinkPong(input.node, input.seq);
        break;
      case 'linkOpened':
      case 'linkClosed':
        this.#takeLink(input);
        break;
      case 'metaChanged':
        this.#self.changeMeta(input.meta);
        break;
      case 'addressesChanged':
        this.#self.changeAddresses(input.addresses);
        break;
      case 'riderChanged':
        if (input.rider.length <= riderBytesMax) this.#state.rider = input.rider;
        break;
      case 'leave':
      case 'sleep':
        this.#depart(input);
        break;
      case 'woke':
        this.#wake();
        break;
      case 'loopLagged':
        this.#lag(input.ms);
        break;
      case 'evicted':
        this.#evict(input.node);
        break;
      default:
        unreachable(input);
    }
  }

  #tick(): void {
    const { verdicts, chores, now } = this.#state;
    for (const name of verdicts.due(now)) this.#judge(name);
    for (const name of chores.due(now)) this.#do(name);
  }

  #judge(name: VerdictTimer): void {
    const subject = name.slice(name.indexOf(':') + 1);
    if (name.startsWith('round:')) this.#prober.end(Number(subject));
    else this.#news.suspicionEnded(subject as NodeId);
  }

  #do(name: Chore): void {
    switch (name) {
      case 'probe':
        this.#prober.probeNext();
        return;
      case 'gossip':
        this.#gossip();
        return;
      case 'push-pull':
        this.#pushPull.exchangeWithSome();
        return;
      case 'introduction':
        this.#pushPull.tryIntroduction();
        return;
      case 'graveyard':
        this.#pushPull.callGraveyard();
        return;
      case 'sweep':
        this.#state.table.sweep(this.#state.now, this.#state.config.profile.tombstoneMs);
        this.#state.chores.set('sweep', this.#state.now + sweepIntervalMs);
        return;
      default:
        this.#doFor(name);
    }
  }

  #doFor(name: Chore): void {
    const subject = name.slice(name.indexOf(':') + 1);
    if (name.startsWith('escalate:')) this.#prober.escalate(Number(subject));
    else if (name.startsWith('relay:')) this.#prober.relayTimedOut(Number(subject));
    else if (name.startsWith('second:') || name.startsWith('ask:'))
      this.#prober.probeSuspect(subject as NodeId);
    else if (name.startsWith('last:')) this.#prober.askLastWord(subject as NodeId);
    else if (name.startsWith('contact:')) this.#pushPull.tryContact(subject as NodeId);
    else this.#news.sleepEnded(subject as NodeId);
  }

  #gossip(): void {
    const { config } = this.#state;
    const targets = this.#state.pickListeners();
    for (const record of targets) {
      const accusation = this.#state.accusationFor(record);
      for (let packet = 0; packet < gossipPacketsMax; packet += 1) {
        const updates = this.#state.gossipUpdates(packet === 0 ? accusation : []);
        if (updates.length === 0) break;
        const message = { kind: 'gossip', from: config.self, updates } as const;
        this.#state.send(record.address, message, record.node);
        // One packet is the rule; a backlog (many joined at once) is worked off faster.
        if (!this.#state.hasBacklog(updates.length)) break;
      }
    }
    this.#state.gossiped();
    if (targets.length === 0) this.#state.chores.stop('gossip');
    const isDone = targets.length === 0 || !this.#state.queue.has(config.self);
    if (this.#self.phase !== 'alive' && isDone) this.#finishDeparture();
  }

  #receive(from: Address, sender: NodeId | undefined, message: SwimMessage): void {
    const { table, config } = this.#state;
    if (message.from === config.self) return;
    if (sender !== undefined && sender !== message.from) {
      this.#state.note('forged-sender', sender);
      return;
    }
    if (table.isEvicted(message.from)) {
      this.#state.note('evicted-spoke', message.from);
      return;
    }
    if (this.#self.phase === 'left') return;
    const isGossip = message.kind === 'gossip' || message.kind === 'ping-req';
    if (isGossip || message.kind === 'ping' || message.kind === 'ack') {
      this.#news.hearAll(message.updates, 'gossip');
    }
    const record = table.get(message.from);
    if (record !== undefined) this.#noticeSender(record, from, message);
    if (isGossip && this.#self.isMisjudgedIn(message.updates)) this.#object(from, message.from);
    this.#answer(from, message);
  }

  /** Whoever passes on an accusation gets our word straight back: gossip may take too long to reach just them. */
  #object(to: Address, node: NodeId): void {
    const updates = this.#state.gossipUpdates([this.#self.word]);
    this.#state.send(to, { kind: 'gossip', from: this.#state.config.self, updates }, node);
  }

  #noticeSender(record: MemberRecord, from: Address, message: SwimMessage): void {
    if (message.kind === 'stalled') return;
    if (message.kind === 'ping') record.hasPinged = true;
    const isProbe = message.kind === 'ping' || message.kind === 'ack';
    this.#news.heardFrom(record, from, isProbe ? message.life : undefined);
    this.#news.tell(record, from);
    if (!isProbe || message.rider.length === 0) return;
    if (record.rider !== undefined && isSameBytes(record.rider, message.rider)) return;
    record.rider = message.rider;
    this.#state.emit({ type: 'riderSeen', node: record.node, rider: message.rider });
  }

  #answer(from: Address, message: SwimMessage): void {
    switch (message.kind) {
      case 'ping':
        this.#prober.hearPing(from, message);
        break;
      case 'ack':
        this.#prober.hearAck(from, message);
        break;
      case 'ping-req':
        this.#prober.hearPingReq(from, message);
        break;
      case 'nack':
        this.#prober.hearNack(message.seq);
        break;
      case 'stalled':
        this.#prober.hearStalled(message);
        break;
      case 'gossip':
        break;
      case 'digest':
        this.#pushPull.hearDigest(from, message);
        break;
      case 'buckets':
        this.#pushPull.hearBuckets(from, message);
        break;
      case 'listing':
        this.#pushPull.hearListing(from, message);
        break;
      case 'state':
        this.#pushPull.hearState(from, message);
        break;
      default:
        unreachable(message);
    }
  }

  #takeLink(input: Extract<SwimInput, { type: 'linkOpened' | 'linkClosed' }>): void {
    const { table, config, links } = this.#state;
    if (input.node === config.self || table.isEvicted(input.node)) return;
    if (input.type === 'linkOpened') {
      links.set(input.node, true);
      this.#pushPull.contact(input.node, input.address);
      return;
    }
    links.delete(input.node);
    this.#pushPull.forget(input.node);
    const record = table.get(input.node);
    if (record !== undefined) this.#prober.beginUrgently(record);
  }

  #depart(input: Extract<SwimInput, { type: 'leave' | 'sleep' }>): void {
    if (this.#self.phase === 'left') return;
    this.#prober.discardRounds();
    for (const chore of ['probe', 'push-pull', 'introduction', 'graveyard', 'sweep'] as const) {
      this.#state.chores.stop(chore);
    }
    if (input.type === 'leave') this.#self.leave();
    else this.#self.sleep(input.ms);
    this.#gossip();
  }

  #finishDeparture(): void {
    this.#state.chores.stop('gossip');
    this.#state.emit({ type: 'leftSpread' });
    this.#hasSpread = this.#self.phase === 'left';
  }

  #wake(): void {
    const { awareness, chores, now } = this.#state;
    if (this.#self.phase === 'left') return;
    this.#prober.discardRounds();
    postponeSuspicions(this.#state, 'restart');
    awareness.saturate();
    this.#self.wake();
    this.#pushPull.exchangeAfterSleep();
    chores.set('probe', now + this.#state.probeIntervalMs);
    const { pushPullIntervalMs, graveyardIntervalMs } = this.#state.config.profile;
    chores.set('push-pull', now + pushPullIntervalMs);
    chores.set('graveyard', now + graveyardIntervalMs);
    chores.set('sweep', now + sweepIntervalMs);
  }

  #lag(ms: Millis): void {
    const { probeTimeoutMs, probeIntervalMs } = this.#state.config.profile;
    if (!(ms > probeTimeoutMs / 2)) return;
    if (ms >= absenceIntervals * probeIntervalMs) {
      this.#wake();
      return;
    }
    this.#prober.discardRounds();
    postponeSuspicions(this.#state, ms);
    this.#state.awareness.apply(1);
  }

  #evict(node: NodeId): void {
    const { table, queue, links, probeList, config } = this.#state;
    if (node === config.self) return;
    const record = table.get(node);
    table.evict(node);
    links.delete(node);
    queue.drop(node);
    probeList.remove(node);
    stopTimersOf(this.#state, node);
    this.#prober.forget(node);
    this.#pushPull.forget(node);
    if (record === undefined) return;
    record.state = 'dead';
    this.#state.announce(record);
  }
}
