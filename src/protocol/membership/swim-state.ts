/** What the parts of the SWIM core share: configuration, tables, timers and the list of orders being written. */

import type { Address } from '../../kernel/address.ts';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { sample } from '../../kernel/random.ts';
import type { Random } from '../../kernel/random.ts';
import { TimerTable } from '../../kernel/timer-table.ts';
import { Awareness } from './awareness.ts';
import { BroadcastQueue, transmitLimit } from './dissemination.ts';
import { MemberTable, aged, memberOf } from './member-table.ts';
import type { MemberRecord } from './member-table.ts';
import type { SwimMessage, Update } from './messages.ts';
import { ProbeList } from './probe-list.ts';
import type { Lifeguard, SwimConfig, SwimEffect, SwimNoteCode } from './swim-types.ts';

/** Default of `SwimConfig.packetBytesMax`: 1400 on the wire less the seal (35) and a margin for its growth. */
const packetBytesMaxDefault = 1_360;

/** Default of `SwimConfig.membersMax`. */
const membersMaxDefault = 4_096;

/** Steps of the local health multiplier. */
const awarenessMax = 8;

/** Bytes of a ping or ack besides its updates and its rider. */
const probeBytes = 88;

/** Bytes of a gossip or state message besides its updates and wanted ids. */
const gossipBytes = 40;

/** Timers that begin something; a late one harms nobody. */
export type Chore =
  | 'probe'
  | 'gossip'
  | 'push-pull'
  | 'graveyard'
  | 'introduction'
  | 'sweep'
  | `escalate:${number}`
  | `relay:${number}`
  | `second:${NodeId}`
  | `ask:${NodeId}`
  | `last:${NodeId}`
  | `contact:${NodeId}`
  | `wake:${NodeId}`;

/** Timers that end in a verdict about somebody. */
export type VerdictTimer = `round:${number}` | `suspicion:${NodeId}`;

/** Shared state of one core. */
export class SwimState {
  readonly config: SwimConfig;
  readonly random: Random;
  readonly table: MemberTable;
  readonly queue: BroadcastQueue;
  readonly awareness: Awareness;
  readonly probeList: ProbeList;
  readonly lifeguard: Lifeguard;
  readonly packetBytesMax: number;
  readonly chores: TimerTable<Chore> = new TimerTable();
  /** Members with an open link. */
  readonly links: BoundedMap<NodeId, true>;
  readonly verdicts: TimerTable<VerdictTimer> = new TimerTable();
  now: Millis = 0;
  rider: Uint8Array = new Uint8Array(0);
  #lastGossipAt: Millis = -Infinity;
  #effects: SwimEffect[] = [];

  constructor(config: SwimConfig, random: Random) {
    this.config = config;
    this.random = random;
    this.lifeguard = config.lifeguard ?? { lhaProbe: true, lhaSuspicion: true, buddy: true };
    this.packetBytesMax = config.packetBytesMax ?? packetBytesMaxDefault;
    this.table = new MemberTable(config.membersMax ?? membersMaxDefault);
    this.links = new BoundedMap(this.table.limit);
    // One for each member and tombstone, and one for this node.
    this.queue = new BroadcastQueue(2 * this.table.limit + 1, (update) => config.sizeOf(update));
    this.awareness = new Awareness(awarenessMax, this.lifeguard.lhaProbe);
    this.probeList = new ProbeList(random.split());
  }

  /** Live members, this node included: the `n` of every formula. */
  get meshSize(): number {
    return this.table.liveCount + 1;
  }

  get probeIntervalMs(): Millis {
    return this.config.profile.probeIntervalMs * this.awareness.factor;
  }

  emit(effect: SwimEffect): void {
    this.#effects.push(effect);
  }

  takeEffects(): readonly SwimEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  note(code: SwimNoteCode, node: NodeId): void {
    this.emit({ type: 'note', code, node });
  }

  announce(record: MemberRecord): void {
    this.emit({ type: 'announce', member: memberOf(record) });
  }

  send(to: Address | undefined, message: SwimMessage, node?: NodeId): void {
    if (to === undefined) return;
    this.emit({ type: 'send', to, ...(node === undefined ? {} : { node }), message });
  }

  /** Queues news and wakes the gossip: at once when it has been quiet for an interval, else on its next beat. */
  broadcast(update: Update): void {
    this.queue.push(update);
    this.armGossip();
  }

  armGossip(): void {
    if (this.queue.length === 0) return;
    const at = Math.max(this.now, this.#lastGossipAt + this.config.profile.gossipIntervalMs);
    this.chores.set('gossip', at);
  }

  gossiped(): void {
    this.#lastGossipAt = this.now;
    this.armGossip();
  }

  /** Up to `count` random live members that are awake and pass the test. */
  pick(count: number, isWanted?: (record: MemberRecord) => boolean): MemberRecord[] {
    return sample(this.random, this.#awake(isWanted), count);
  }

  /** Who gets gossip: the awake, and the recently dead, so that one wrongly buried can object. */
  pickListeners(): MemberRecord[] {
    const { gossipFanout, gossipToDeadMs } = this.config.profile;
    const candidates = this.#awake();
    for (const record of this.table.tombstones()) {
      const isRecent = this.now - record.changedAt <= gossipToDeadMs;
      if (record.state === 'dead' && isRecent) candidates.push(record);
    }
    return sample(this.random, candidates, gossipFanout);
  }

  /** Updates for a probe or its answer: what its receiver must hear first, then queued news. */
  probeUpdates(first: readonly Update[]): Update[] {
    return this.#withQueued(first, this.packetBytesMax - probeBytes - this.rider.length);
  }

  /** Updates for a gossip message. */
  gossipUpdates(first: readonly Update[] = []): Update[] {
    return this.#withQueued(first, this.packetBytesMax - gossipBytes);
  }

  /** Whether much more news waits than one packet of this many updates carried. */
  hasBacklog(updateCount: number): boolean {
    return this.queue.length > 2 * updateCount;
  }

  /** Splits updates into lists that fit a state message each. */
  packets(updates: readonly Update[]): Update[][] {
    const packets: Update[][] = [];
    let free = 0;
    for (const update of updates) {
      const bytes = this.config.sizeOf(update);
      if (packets.length === 0 || bytes > free) {
        packets.push([]);
        free = this.packetBytesMax - gossipBytes;
      }
      packets.at(-1)?.push(update);
      free -= bytes;
    }
    return packets;
  }

  /** What a member is accused of, so that it can object (the buddy system; for the dead always). */
  accusationFor(receiver: MemberRecord | undefined): Update[] {
    if (receiver?.verdict === undefined) return [];
    if (receiver.state === 'suspect' ? !this.lifeguard.buddy : receiver.state !== 'dead') return [];
    return [receiver.verdict];
  }

  #awake(isWanted?: (record: MemberRecord) => boolean): MemberRecord[] {
    const awake: MemberRecord[] = [];
    for (const record of this.table.live()) {
      if (record.state === 'dormant') continue;
      if (isWanted === undefined || isWanted(record)) awake.push(record);
    }
    return awake;
  }

  #withQueued(first: readonly Update[], bytesMax: number): Update[] {
    let free = bytesMax;
    for (const update of first) free -= this.config.sizeOf(update);
    const limit = transmitLimit(this.config.profile.retransmitMult, this.meshSize);
    const queued = this.queue.take(free, limit).filter((update) => !first.includes(update));
    return [...first, ...queued.map((update) => this.#fresh(update))];
  }

  #fresh(update: Update): Update {
    if (update.kind !== 'dormant' || update.node === this.config.self) return update;
    return aged(update, this.table.get(update.node)?.dormantUntil ?? this.now, this.now);
  }
}
