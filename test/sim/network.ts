/** The simulated network: datagrams that get lost, late and doubled, and links that are ordered but stall and break. */

import type { Millis } from '../../src/kernel/core.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { Counters } from './counters.ts';
import type { Conditions, Fault, HostId } from './faults.ts';

/** How a message travels. */
export type Via = 'datagram' | 'link';

/** What the network needs from the world. */
export interface NetworkWorld<Message> {
  readonly random: Random;
  readonly counters: Counters;
  now(): Millis;
  schedule(at: Millis, call: () => void): void;
  kindOf(message: Message): string;
  sizeOf(message: Message): number;
  /** Hands a message to a host; `refused` means that no process is there to answer. */
  deliver(
    to: HostId,
    from: HostId,
    message: Message,
    via: Via,
  ): 'taken' | 'dropped' | 'silent' | 'refused';
  /** Tells a host that its link to a peer broke. */
  linkReset(host: HostId, peer: HostId): void;
}

/** A segment that is not acknowledged is sent again after this, then twice that, and so on. */
const retransmitMsMin = 200;
const retransmitMsMax = 3_000;

interface Partition {
  readonly name: string;
  readonly from: ReadonlySet<HostId>;
  readonly to: ReadonlySet<HostId>;
  readonly isOneWay: boolean;
}

interface Channel<Message> {
  readonly from: HostId;
  readonly to: HostId;
  /** Segments handed to the network stay in order: none arrives before this. */
  lastArrivalAt: Millis;
  /** What waits for the path to open again, oldest first. */
  readonly waiting: Message[];
  stalledSince: Millis;
  stalledUntil: Millis;
  epoch: number;
}

/** The network between the hosts of one world. */
export class Network<Message> {
  #world: NetworkWorld<Message>;
  #everywhere: Conditions;
  #linkTimeoutMs: Millis;
  #paths = new Map<string, Conditions>();
  #inFlight = new Map<string, number>();
  #partitions: Partition[] = [];
  #channels = new Map<string, Channel<Message>>();

  constructor(world: NetworkWorld<Message>, start: Conditions, linkTimeoutMs: Millis) {
    this.#world = world;
    this.#everywhere = start;
    this.#linkTimeoutMs = linkTimeoutMs;
  }

  /** The conditions on a directed path. */
  conditionsOf(from: HostId, to: HostId): Conditions {
    if (this.#paths.size === 0) return this.#everywhere;
    return this.#paths.get(pathKey(from, to)) ?? this.#everywhere;
  }

  change(fault: Extract<Fault, { type: 'conditions' }>): void {
    if (fault.from !== undefined && fault.to !== undefined) {
      const before = this.conditionsOf(fault.from, fault.to);
      this.#paths.set(pathKey(fault.from, fault.to), { ...before, ...fault.change });
      return;
    }
    this.#everywhere = { ...this.#everywhere, ...fault.change };
    for (const [key, before] of this.#paths) this.#paths.set(key, { ...before, ...fault.change });
  }

  partition(fault: Extract<Fault, { type: 'partition' }>): void {
    this.heal(fault.name);
    this.#partitions.push({
      name: fault.name,
      from: new Set(fault.from),
      to: new Set(fault.to),
      isOneWay: fault.isOneWay ?? false,
    });
  }

  heal(name: string | undefined): void {
    this.#partitions = this.#partitions.filter((cut) => name !== undefined && cut.name !== name);
  }

  /** Whether the directed path is cut. */
  isCut(from: HostId, to: HostId): boolean {
    for (const cut of this.#partitions) {
      if (cut.from.has(from) && cut.to.has(to)) return true;
      if (!cut.isOneWay && cut.from.has(to) && cut.to.has(from)) return true;
    }
    return false;
  }

  datagram(from: HostId, to: HostId, message: Message): void {
    const { random, counters } = this.#world;
    const kind = this.#world.kindOf(message);
    const here = this.conditionsOf(from, to);
    counters.sent(kind, this.#world.sizeOf(message));
    // The draws are made whatever happens next, so that a partition does not shift the luck of other messages.
    const isLost = random.unit() < here.lossRate;
    const isDoubled = random.unit() < here.duplicateRate;
    if (this.isCut(from, to)) return counters.dropped(kind, 'partition');
    if (isLost) return counters.dropped(kind, 'loss');
    this.#fly(from, to, message, here);
    if (isDoubled) this.#fly(from, to, message, here);
  }

  #fly(from: HostId, to: HostId, message: Message, here: Conditions): void {
    const { counters } = this.#world;
    const kind = this.#world.kindOf(message);
    const isCounted = here.pathCapacity < Infinity;
    const key = isCounted ? pathKey(from, to) : '';
    if (isCounted) {
      const flying = this.#inFlight.get(key) ?? 0;
      if (flying >= here.pathCapacity) return counters.dropped(kind, 'capacity');
      this.#inFlight.set(key, flying + 1);
    }
    this.#world.schedule(this.#world.now() + this.#delay(here), () => {
      if (isCounted) this.#inFlight.set(key, (this.#inFlight.get(key) ?? 1) - 1);
      if (this.isCut(from, to)) return counters.dropped(kind, 'partition');
      if (this.#world.deliver(to, from, message, 'datagram') === 'taken') counters.delivered(kind);
    });
  }

  #delay(here: Conditions): Millis {
    const { random } = this.#world;
    let delay = here.delayMsMin;
    if (here.delayMsMean > 0) delay += exponential(random, here.delayMsMean);
    if (here.tailRate > 0 && random.unit() < here.tailRate) {
      delay += exponential(random, here.tailMsMean);
    }
    if (here.reorderRate > 0 && random.unit() < here.reorderRate) {
      delay += random.unit() * here.reorderMsMax;
    }
    return delay;
  }

  /** Sends on the link from one host to another, which opens by itself. */
  segment(from: HostId, to: HostId, message: Message): void {
    const { random, counters } = this.#world;
    counters.sent(this.#world.kindOf(message), this.#world.sizeOf(message));
    const channel = this.#channel(from, to);
    const here = this.conditionsOf(from, to);
    let delay = this.#delay(here);
    // A lost segment is not lost but late: it is sent again until it arrives.
    for (let wait = retransmitMsMin; random.unit() < Math.min(here.lossRate, 0.9); wait *= 2) {
      delay += Math.min(wait, retransmitMsMax);
    }
    const { epoch } = channel;
    channel.lastArrivalAt = Math.max(channel.lastArrivalAt, this.#world.now() + delay) + 1e-6;
    this.#world.schedule(channel.lastArrivalAt, () => {
      if (channel.epoch !== epoch) return counters.dropped(this.#world.kindOf(message), 'reset');
      channel.waiting.push(message);
      if (channel.waiting.length === 1) this.#flush(channel, retransmitMsMin);
    });
  }

  /** Delivers what waits, or tries again later, or gives the link up. */
  #flush(channel: Channel<Message>, retryMs: Millis): void {
    const { counters } = this.#world;
    const now = this.#world.now();
    const isCut = this.isCut(channel.from, channel.to) || this.isCut(channel.to, channel.from);
    if (!isCut && now >= channel.stalledUntil) {
      while (channel.waiting.length > 0) {
        const message = channel.waiting[0] as Message;
        const fate = this.#world.deliver(channel.to, channel.from, message, 'link');
        if (fate === 'refused') return this.reset(channel.from, channel.to);
        if (fate === 'silent') break;
        counters.delivered(this.#world.kindOf(message));
        channel.waiting.shift();
        channel.stalledSince = Infinity;
      }
      if (channel.waiting.length === 0) return;
    }
    if (channel.stalledSince === Infinity) channel.stalledSince = now;
    if (now - channel.stalledSince >= this.#linkTimeoutMs) {
      return this.reset(channel.from, channel.to);
    }
    const { epoch } = channel;
    this.#world.schedule(now + retryMs, () => {
      if (channel.epoch === epoch && channel.waiting.length > 0) {
        this.#flush(channel, Math.min(retryMs * 2, retransmitMsMax));
      }
    });
  }

  /** Breaks the link between two hosts, with everything on its way, and tells both. */
  reset(left: HostId, right: HostId): void {
    let existed = false;
    for (const key of [pathKey(left, right), pathKey(right, left)]) {
      const channel = this.#channels.get(key);
      if (channel === undefined) continue;
      existed = true;
      for (const message of channel.waiting) {
        this.#world.counters.dropped(this.#world.kindOf(message), 'reset');
      }
      channel.epoch += 1;
      channel.waiting.length = 0;
      this.#channels.delete(key);
    }
    if (!existed) return;
    this.#world.linkReset(left, right);
    this.#world.linkReset(right, left);
  }

  /** Breaks every link of a host. */
  resetAll(host: HostId): void {
    const peers = new Set<HostId>();
    for (const channel of this.#channels.values()) {
      if (channel.from === host) peers.add(channel.to);
      if (channel.to === host) peers.add(channel.from);
    }
    for (const peer of peers) this.reset(host, peer);
  }

  stall(left: HostId, right: HostId, until: Millis): void {
    this.#channel(left, right).stalledUntil = until;
    this.#channel(right, left).stalledUntil = until;
  }

  #channel(from: HostId, to: HostId): Channel<Message> {
    const key = pathKey(from, to);
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      const calm = { lastArrivalAt: 0, stalledSince: Infinity, stalledUntil: 0, epoch: 0 };
      channel = { from, to, waiting: [], ...calm };
      this.#channels.set(key, channel);
    }
    return channel;
  }
}

/** An exponential variate of the given mean. */
export function exponential(random: Random, mean: number): number {
  return -Math.log(1 - random.unit()) * mean;
}

function pathKey(from: HostId, to: HostId): string {
  return `${from}\n${to}`;
}
