/** SWIM's failure detector: ping, helpers, link, responder; and our part as a helper of others (DSN 2002, 3.1). */

import { isSameAddress } from '../../kernel/address.ts';
import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { MemberRecord } from './member-table.ts';
import type {
  AckMessage,
  PingMessage,
  PingReqMessage,
  StalledMessage,
  Update,
} from './messages.ts';
import type { News } from './news.ts';
import type { SelfMember } from './self.ts';
import type { SwimState } from './swim-state.ts';

/** Rounds under way at once: the scheduled one and those that closed links ask for. More are not begun. */
const roundsMax = 64;

/** Probes relayed for others at once. One more is answered with a nack. */
const relaysMax = 256;

/** Default of `SwimConfig.stallMsMax`. */
const stallMsMaxDefault = 30_000;

/** A helper gives up after this share of the timeout, so that its nack arrives within the round (Lifeguard, IV-A). */
const nackShare = 0.8;

/** Weight of a new round-trip time (RFC 6298's alpha). */
const rttWeight = 1 / 8;

interface Round {
  readonly node: NodeId;
  readonly startedAt: Millis;
  isDirect: boolean;
  nacksExpected: number;
  nacksReceived: number;
  /** What the responder said, when it answered for a stuck process. */
  stalledMs: number | undefined;
}

interface Relay {
  readonly target: NodeId;
  readonly origin: NodeId;
  readonly originAddress: Address;
  readonly originSeq: number;
  hasNacked: boolean;
}

/** Probe rounds and relays of one core. */
export class Prober {
  readonly #state: SwimState;
  readonly #self: SelfMember;
  readonly #news: News;
  readonly #rounds = new Map<number, Round>();
  readonly #relays = new Map<number, Relay>();
  #seq: number;

  constructor(state: SwimState, self: SelfMember, news: News) {
    this.#state = state;
    this.#self = self;
    this.#news = news;
    this.#seq = state.random.below(2 ** 31);
  }

  /** Begins the scheduled round and sets the time of the next. */
  probeNext(): void {
    const { table, probeList, chores, now } = this.#state;
    const node = probeList.next((candidate) => this.#isTurnOf(table.get(candidate)));
    const record = node === undefined ? undefined : table.get(node);
    if (record !== undefined) {
      record.hasPinged = false;
      record.isSpared = false;
      this.begin(record);
    }
    chores.set('probe', now + this.#state.probeIntervalMs);
  }

  /** Probes this member now, out of schedule or in. */
  begin(record: MemberRecord): void {
    if (this.#rounds.size >= roundsMax) return;
    const { now, chores, verdicts, config } = this.#state;
    const seq = this.#nextSeq();
    this.#rounds.set(seq, {
      node: record.node,
      startedAt: now,
      isDirect: true,
      nacksExpected: 0,
      nacksReceived: 0,
      stalledMs: undefined,
    });
    this.#ping(record, record.address, seq);
    chores.set(`escalate:${seq}`, now + config.profile.probeTimeoutMs);
    verdicts.set(`round:${seq}`, now + this.#state.probeIntervalMs);
  }

  /** A link to this member closed: find out at once whether the member went with it. */
  beginUrgently(record: MemberRecord): void {
    if (record.state !== 'alive' && record.state !== 'suspect') return;
    for (const round of this.#rounds.values()) if (round.node === record.node) return;
    this.begin(record);
  }

  /** A second opinion about somebody else's suspicion. */
  probeSuspect(node: NodeId): void {
    const record = this.#state.table.get(node);
    if (record?.state === 'suspect') this.beginUrgently(record);
  }

  /** The wait is nearly over: the suspect is told once more, and its answer carries its objection. */
  askLastWord(node: NodeId): void {
    const record = this.#state.table.get(node);
    if (record?.state !== 'suspect' || record.verdict === undefined) return;
    const updates = this.#state.probeUpdates([record.verdict]);
    const message = { ...this.#bare(node, this.#nextSeq()), updates };
    this.#state.send(record.address, message, node);
  }

  /** The direct ping took too long: ask every other way in parallel. */
  escalate(seq: number): void {
    const round = this.#rounds.get(seq);
    const record = round === undefined ? undefined : this.#state.table.get(round.node);
    if (round === undefined || record === undefined) return;
    round.isDirect = false;
    const { config } = this.#state;
    const isOther = (helper: MemberRecord): boolean =>
      helper.node !== round.node && helper.state === 'alive' && !helper.isStalled;
    const helpers = this.#state.pick(config.profile.helperCount, isOther);
    round.nacksExpected = helpers.length;
    for (const helper of helpers) {
      const updates = this.#state.probeUpdates(this.#state.accusationFor(helper));
      const message = { kind: 'ping-req', from: config.self, seq, target: round.node } as const;
      this.#state.send(helper.address, { ...message, updates }, helper.node);
    }
    if (this.#state.links.has(record.node))
      this.#state.emit({ type: 'pingViaLink', node: record.node, seq });
    this.#pingElsewhere(record, seq);
  }

  /** The round is over. No answer of any kind: accuse. */
  end(seq: number): void {
    const round = this.#rounds.get(seq);
    this.#rounds.delete(seq);
    this.#state.chores.stop(`escalate:${seq}`);
    const record = round === undefined ? undefined : this.#state.table.get(round.node);
    if (round === undefined || record === undefined) return;
    const stallMsMax = this.#state.config.stallMsMax ?? stallMsMaxDefault;
    if (round.stalledMs !== undefined && round.stalledMs <= stallMsMax) {
      this.#state.note('probe-stalled', record.node);
      this.#setStalled(record, true);
      return;
    }
    const missed = round.nacksExpected - round.nacksReceived;
    this.#state.awareness.apply(round.nacksExpected > 0 ? missed : 1);
    this.#state.note('probe-failed', record.node);
    this.#setStalled(record, false);
    this.#news.accuse(record);
  }

  /** Gives up every round without a verdict: this node itself was away. */
  discardRounds(): void {
    for (const [seq, round] of this.#rounds) {
      this.#state.chores.stop(`escalate:${seq}`);
      this.#state.verdicts.stop(`round:${seq}`);
      this.#state.note('probe-discarded', round.node);
    }
    this.#rounds.clear();
  }

  /** Ends what concerns a member that is no more to be thought of. */
  forget(node: NodeId): void {
    for (const [seq, round] of this.#rounds) {
      if (round.node !== node) continue;
      this.#rounds.delete(seq);
      this.#state.chores.stop(`escalate:${seq}`);
      this.#state.verdicts.stop(`round:${seq}`);
    }
  }

  hearPing(from: Address, message: PingMessage): void {
    // Addresses change hands: an ack for somebody else would keep a dead member alive.
    if (message.target !== this.#state.config.self) return;
    const record = this.#state.table.get(message.from);
    const isMisjudged = this.#self.isMisjudgedIn(message.updates);
    const first = isMisjudged ? [this.#self.word] : this.#state.accusationFor(record);
    this.#sendAck(from, message.from, message.seq, this.#state.config.self, first);
  }

  hearAck(from: Address, message: AckMessage): void {
    const relay = this.#relays.get(message.seq);
    if (relay?.target === message.subject) {
      this.#endRelay(message.seq);
      const first = this.#state.accusationFor(this.#state.table.get(relay.origin));
      this.#sendAck(relay.originAddress, relay.origin, relay.originSeq, message.subject, first);
      return;
    }
    const round = this.#rounds.get(message.seq);
    if (round?.node !== message.subject) return;
    const record = this.#state.table.get(round.node);
    if (record !== undefined && message.from === round.node) {
      if (round.isDirect) this.#measure(record, this.#state.now - round.startedAt);
      if (record.word.addresses.some((known) => isSameAddress(known, from))) record.address = from;
    }
    this.#succeed(message.seq, record);
  }

  hearLinkPong(node: NodeId, seq: number): void {
    const round = this.#rounds.get(seq);
    if (round?.node === node) this.#succeed(seq, this.#state.table.get(node));
  }

  hearPingReq(from: Address, message: PingReqMessage): void {
    const { config, table, chores, now } = this.#state;
    const record = table.get(message.target);
    if (record !== undefined) this.#news.tellAccusations(record, message.from, from);
    if (record === undefined || this.#relays.size >= relaysMax) {
      this.#state.send(from, { kind: 'nack', from: config.self, seq: message.seq }, message.from);
      return;
    }
    const seq = this.#nextSeq();
    this.#relays.set(seq, {
      target: message.target,
      origin: message.from,
      originAddress: from,
      originSeq: message.seq,
      hasNacked: false,
    });
    this.#ping(record, record.address, seq);
    chores.set(`relay:${seq}`, now + Math.floor(nackShare * config.profile.probeTimeoutMs));
  }

  /** A relayed probe got no answer in time. A late ack is still passed on until a period has gone by. */
  relayTimedOut(seq: number): void {
    const relay = this.#relays.get(seq);
    if (relay === undefined) return;
    if (relay.hasNacked) {
      this.#relays.delete(seq);
      return;
    }
    relay.hasNacked = true;
    const { config, chores, now } = this.#state;
    const message = { kind: 'nack', from: config.self, seq: relay.originSeq } as const;
    this.#state.send(relay.originAddress, message, relay.origin);
    chores.set(`relay:${seq}`, now + config.profile.probeIntervalMs);
  }

  hearNack(seq: number): void {
    const round = this.#rounds.get(seq);
    if (round !== undefined && round.nacksReceived < round.nacksExpected) round.nacksReceived += 1;
  }

  hearStalled(message: StalledMessage): void {
    const round = this.#rounds.get(message.seq);
    if (round?.node === message.from) round.stalledMs = message.stalledMs;
  }

  #isTurnOf(record: MemberRecord | undefined): boolean {
    if (record?.state === 'suspect') return true;
    if (record?.state !== 'alive') return false;
    const isSparing = this.#state.config.sparesPingers !== false;
    if (!isSparing || !record.hasPinged || record.isSpared) return true;
    record.isSpared = true;
    return false;
  }

  #succeed(seq: number, record: MemberRecord | undefined): void {
    this.#rounds.delete(seq);
    this.#state.chores.stop(`escalate:${seq}`);
    this.#state.verdicts.stop(`round:${seq}`);
    this.#state.awareness.apply(-1);
    if (record !== undefined) this.#setStalled(record, false);
  }

  #setStalled(record: MemberRecord, isStalled: boolean): void {
    if (record.isStalled === isStalled) return;
    record.isStalled = isStalled;
    this.#state.announce(record);
  }

  #measure(record: MemberRecord, rttMs: Millis): void {
    const smoothed = record.rttMs ?? rttMs;
    record.rttMs = smoothed + rttWeight * (rttMs - smoothed);
  }

  #ping(record: MemberRecord, to: Address | undefined, seq: number): void {
    const updates = this.#state.probeUpdates(this.#state.accusationFor(record));
    this.#state.send(to, { ...this.#bare(record.node, seq), updates }, record.node);
  }

  /** The member's other addresses, and the responder that answers for a stuck process. */
  #pingElsewhere(record: MemberRecord, seq: number): void {
    const { address, word } = record;
    for (const other of word.addresses) {
      if (address !== undefined && isSameAddress(other, address)) continue;
      this.#state.send(other, { ...this.#bare(record.node, seq), updates: [] }, record.node);
    }
    const { responderPort } = word.meta;
    if (responderPort === undefined || address === undefined) return;
    const to = { host: address.host, port: responderPort };
    this.#state.send(to, { ...this.#bare(record.node, seq), updates: [] }, record.node);
  }

  #bare(target: NodeId, seq: number): Omit<PingMessage, 'updates'> {
    const from = this.#state.config.self;
    return { kind: 'ping', from, seq, target, life: this.#self.life, rider: this.#state.rider };
  }

  #sendAck(
    to: Address,
    node: NodeId,
    seq: number,
    subject: NodeId,
    first: readonly Update[],
  ): void {
    const updates = this.#state.probeUpdates(first);
    const common = { kind: 'ack', from: this.#state.config.self, seq, subject } as const;
    const message = { ...common, life: this.#self.life, rider: this.#state.rider, updates };
    this.#state.send(to, message, node);
  }

  #endRelay(seq: number): void {
    this.#relays.delete(seq);
    this.#state.chores.stop(`relay:${seq}`);
  }

  #nextSeq(): number {
    this.#seq = (this.#seq + 1 + this.#state.random.below(1_000)) % 2 ** 32;
    return this.#seq;
  }
}
