/** Who is known: the living, the dead with their tombstones, and those refused for ever. Every part is bounded. */

import { isSameAddress } from '../../kernel/address.ts';
import type { Address } from '../../kernel/address.ts';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { bucketDigests } from './digest.ts';
import type { MemberState } from './judge.ts';
import type { AliveUpdate, DormantUpdate, ListingEntry, LiveState, Update } from './messages.ts';
import type { VerdictUpdate } from './messages.ts';
import type { Suspicion } from './suspicion.ts';
import type { SwimMember } from './swim-types.ts';

/** A member's own latest word about itself. */
export type OwnWord = AliveUpdate | DormantUpdate;

/** One member, mutable inside the core. */
export interface MemberRecord {
  readonly node: NodeId;
  state: MemberState;
  word: OwnWord;
  /** Why it is suspect, dead or gone, as signed by whoever said so. */
  verdict: VerdictUpdate | undefined;
  suspicion: Suspicion | undefined;
  /** When `state` changed last. */
  changedAt: Millis;
  /** When this boot of it was first heard of. */
  bootSince: Millis;
  address: Address | undefined;
  rttMs: number | undefined;
  isStalled: boolean;
  dormantUntil: Millis;
  /** Whether it pinged us since its last turn in the probe list, and whether that has spared it a turn. */
  hasPinged: boolean;
  isSpared: boolean;
  rider: Uint8Array | undefined;
  /** When it was last told that it is thought suspect or dead. */
  toldAt: Millis;
  alertedAt: Millis;
}

/** All members but this node. */
export class MemberTable {
  readonly limit: number;
  readonly #live = new Map<NodeId, MemberRecord>();
  readonly #tombstones: BoundedMap<NodeId, MemberRecord>;
  readonly #evicted: BoundedMap<NodeId, true>;
  #suspicionCount = 0;
  #buckets: Uint8Array | undefined;

  constructor(limit: number) {
    this.limit = limit;
    this.#tombstones = new BoundedMap(limit);
    this.#evicted = new BoundedMap(limit);
  }

  get liveCount(): number {
    return this.#live.size;
  }

  get tombstoneCount(): number {
    return this.#tombstones.size;
  }

  get suspicionCount(): number {
    return this.#suspicionCount;
  }

  get isFull(): boolean {
    return this.#live.size >= this.limit;
  }

  get(node: NodeId): MemberRecord | undefined {
    return this.#live.get(node) ?? this.#tombstones.get(node);
  }

  live(): IterableIterator<MemberRecord> {
    return this.#live.values();
  }

  tombstones(): IterableIterator<MemberRecord> {
    return this.#tombstones.values();
  }

  isEvicted(node: NodeId): boolean {
    return this.#evicted.has(node);
  }

  /** Puts a member where its state belongs and remembers what changed. */
  place(record: MemberRecord, state: MemberState, now: Millis): void {
    if (record.suspicion !== undefined) this.#suspicionCount -= 1;
    record.suspicion = undefined;
    record.state = state;
    record.changedAt = now;
    this.#buckets = undefined;
    if (state === 'dead' || state === 'left') {
      this.#live.delete(record.node);
      this.#tombstones.set(record.node, record);
    } else {
      this.#tombstones.delete(record.node);
      this.#live.set(record.node, record);
    }
  }

  openSuspicion(record: MemberRecord, suspicion: Suspicion): void {
    record.suspicion = suspicion;
    this.#suspicionCount += 1;
  }

  evict(node: NodeId): void {
    const record = this.get(node);
    if (record?.suspicion !== undefined) this.#suspicionCount -= 1;
    this.#live.delete(node);
    this.#tombstones.delete(node);
    this.#evicted.set(node, true);
    this.#buckets = undefined;
  }

  /** Drops tombstones older than `ageMs`. */
  sweep(now: Millis, ageMs: Millis): void {
    for (const [node, record] of this.#tombstones) {
      if (now - record.changedAt >= ageMs) this.#tombstones.delete(node);
    }
  }

  /** The push-pull lines of the living. */
  *entries(): IterableIterator<ListingEntry> {
    for (const record of this.#live.values()) yield entryOf(record);
  }

  /** Digests per bucket of the living; cached until somebody changes. */
  buckets(): Uint8Array {
    this.#buckets ??= bucketDigests(this.entries());
    return this.#buckets;
  }
}

/** A new record for a member that speaks for the first time. */
export function newRecord(word: OwnWord, now: Millis): MemberRecord {
  return {
    node: word.node,
    state: 'alive',
    word,
    verdict: undefined,
    suspicion: undefined,
    changedAt: now,
    bootSince: now,
    address: word.addresses[0],
    rttMs: undefined,
    isStalled: false,
    dormantUntil: 0,
    hasPinged: false,
    isSpared: false,
    rider: undefined,
    toldAt: -Infinity,
    alertedAt: -Infinity,
  };
}

/** Takes over a newer word; keeps the address that works when it is still advertised. */
export function adoptWord(record: MemberRecord, word: OwnWord, now: Millis): void {
  if (word.incarnation.boot !== record.word.incarnation.boot) {
    record.bootSince = now;
    record.rttMs = undefined;
  }
  record.word = word;
  record.verdict = undefined;
  record.isStalled = false;
  record.toldAt = -Infinity;
  const { address } = record;
  if (address === undefined || !word.addresses.some((known) => isSameAddress(known, address))) {
    record.address = word.addresses[0];
  }
}

/** The push-pull line of a live member. */
export function entryOf(record: MemberRecord): ListingEntry {
  return {
    node: record.node,
    incarnation: record.word.incarnation,
    state: record.state as LiveState,
  };
}

/** What another node must hear to know what we know of this member, its own word first. */
export function updatesOf(record: MemberRecord, now: Millis): Update[] {
  // A tombstone goes out alone: the receiver that needs it has the member's word, or needs nothing.
  if (record.verdict !== undefined && record.state !== 'suspect') return [record.verdict];
  const word = aged(record.word, record.dormantUntil, now);
  return record.verdict === undefined ? [word] : [word, record.verdict];
}

/** A dormant word counts on while it is passed along. */
export function aged(update: Update, dormantUntil: Millis, now: Millis): Update {
  if (update.kind !== 'dormant') return update;
  const remainingMs = Math.max(0, Math.round(dormantUntil - now));
  return { ...update, elapsedMs: Math.max(0, update.sleepMs - remainingMs) };
}

/** The member as the outside sees it. */
export function memberOf(record: MemberRecord): SwimMember {
  const { node, state, address, rttMs, isStalled, word } = record;
  const { incarnation, instance, addresses, meta, edPublic } = word;
  return {
    node,
    state,
    incarnation,
    instance,
    address,
    addresses,
    meta,
    edPublic,
    rttMs,
    isStalled,
  };
}
