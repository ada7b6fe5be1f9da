/**
 * Anti-entropy by digest: two members compare eight bytes, and only when these differ, lists, and only of what differs.
 * Gossip leaves one node in thousands uninformed, above all in small meshes; this repairs it.
 */

import type { Address } from '../../kernel/address.ts';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { sample } from '../../kernel/random.ts';
import {
  bucketDigests,
  bucketOf,
  differingBuckets,
  idHash,
  isSameBytes,
  wholeDigest,
} from './digest.ts';
import { compareIncarnation } from './incarnation.ts';
import { entryOf, updatesOf } from './member-table.ts';
import type { MemberRecord } from './member-table.ts';
import { bucketCount, listingEntriesMax, wantsMax } from './messages.ts';
import type { BucketsMessage, DigestMessage, ListingEntry, ListingMessage } from './messages.ts';
import type { StateMessage, Update } from './messages.ts';
import type { News } from './news.ts';
import type { SelfMember } from './self.ts';
import type { SwimState } from './swim-state.ts';

/** Datagrams one answer may take; what does not fit is asked for again (`hasMore`). */
export const answerPacketsMax = 32;

/** Listings one answer to `buckets` may take. */
const listingPacketsMax = 8;

/** A member gets the whole list at most this often: a tiny request must not buy a flood. */
const wholeAgainMs = 200;

/** Members whose last whole answer is remembered. */
const wholeMemoryMax = 256;

/** A new contact that does not answer is tried this often at this pause in ms, then at the graveyard's pace. */
const contactQuickTries = 12;
const contactAgainMs = 400;

/** New links whose member is not yet known. More wait for the periodic exchange. */
const contactsMax = 256;

/** Addresses of an introduction that are tried, and how many of them at a time. */
const introductionAddressesMax = 8;
const introductionsAtOnce = 3;

const hashMax = 0xffff_ffff;
const stateRank = { alive: 1, suspect: 2, dormant: 3 } as const;

interface Contact {
  readonly address: Address;
  tries: number;
}

/** Push-pull of one core. */
export class PushPull {
  readonly #state: SwimState;
  readonly #self: SelfMember;
  readonly #news: News;
  readonly #contacts = new BoundedMap<NodeId, Contact>(contactsMax);
  #introduction: { readonly addresses: readonly Address[]; tries: number } | undefined;
  readonly #wholeAt = new BoundedMap<NodeId, Millis>(wholeMemoryMax);

  constructor(state: SwimState, self: SelfMember, news: News) {
    this.#state = state;
    this.#self = self;
    this.#news = news;
  }

  /** Compares with one member. */
  exchange(to: Address | undefined, node: NodeId | undefined, isIntroduced: boolean): void {
    const record = node === undefined ? undefined : this.#state.table.get(node);
    const updates: Update[] = isIntroduced ? [this.#self.word] : [];
    if (record?.verdict !== undefined) updates.push(record.verdict);
    const digest = wholeDigest(this.#buckets());
    const { self } = this.#state.config;
    const count = this.#state.meshSize;
    this.#state.send(to, { kind: 'digest', from: self, count, digest, updates }, node);
  }

  /** The periodic exchange. Equal digests cost the same in any mesh, so it need not become rarer in large ones. */
  exchangeWithSome(): void {
    const [partner] = this.#state.pick(1, (record) => record.state === 'alive');
    if (partner !== undefined) this.exchange(partner.address, partner.node, false);
    const { pushPullIntervalMs } = this.#state.config.profile;
    this.#state.chores.set('push-pull', this.#state.now + pushPullIntervalMs);
  }

  /** After a suspend: ask two members before judging anybody. */
  exchangeAfterSleep(): void {
    for (const partner of this.#state.pick(2)) this.exchange(partner.address, partner.node, true);
  }

  /** One dead member is called at its last address: partitions heal even when nobody dials. */
  callGraveyard(): void {
    const dead = [...this.#state.table.tombstones()].filter((record) => record.state === 'dead');
    const [one] = sample(this.#state.random, dead, 1);
    if (one !== undefined) this.exchange(one.address, one.node, true);
    const { graveyardIntervalMs } = this.#state.config.profile;
    this.#state.chores.set('graveyard', this.#state.now + graveyardIntervalMs);
  }

  /** Exchange with whoever answers at these addresses, a few at a time, until one member is known. */
  introduce(addresses: readonly Address[]): void {
    this.#introduction = { addresses: addresses.slice(0, introductionAddressesMax), tries: 0 };
    this.tryIntroduction();
  }

  tryIntroduction(): void {
    const introduction = this.#introduction;
    if (introduction === undefined || this.#state.table.liveCount > 0) return;
    const { addresses, tries } = introduction;
    if (tries >= contactQuickTries) return;
    introduction.tries += 1;
    for (let step = 0; step < Math.min(introductionsAtOnce, addresses.length); step += 1) {
      const at = (tries * introductionsAtOnce + step) % addresses.length;
      this.exchange(addresses[at], undefined, true);
    }
    this.#state.chores.set('introduction', this.#state.now + contactAgainMs);
  }

  /** A link opened: exchange at once, and again until its member is known and alive. */
  contact(node: NodeId, address: Address): void {
    this.#contacts.set(node, { address, tries: 0 });
    this.tryContact(node);
  }

  tryContact(node: NodeId): void {
    const contact = this.#contacts.get(node);
    if (contact === undefined) return;
    const state = this.#state.table.get(node)?.state;
    const isKnown = state === 'alive' || state === 'suspect' || state === 'dormant';
    if (contact.tries > 0 && isKnown) {
      this.#contacts.delete(node);
      return;
    }
    contact.tries += 1;
    this.exchange(contact.address, node, true);
    const { graveyardIntervalMs } = this.#state.config.profile;
    const pauseMs = contact.tries <= contactQuickTries ? contactAgainMs : graveyardIntervalMs;
    this.#state.chores.set(`contact:${node}`, this.#state.now + pauseMs);
  }

  forget(node: NodeId): void {
    this.#contacts.delete(node);
    this.#state.chores.stop(`contact:${node}`);
  }

  hearDigest(from: Address, message: DigestMessage): void {
    this.#news.hearAll(message.updates, 'push-pull');
    const buckets = this.#buckets();
    if (isSameBytes(wholeDigest(buckets), message.digest)) return;
    const { self } = this.#state.config;
    if (message.count <= 1) this.#answerNewcomer(from, message.from);
    else if (this.#state.meshSize <= listingEntriesMax) {
      this.#sendListing(from, message.from, 0, hashMax, this.#entries());
    } else {
      this.#state.send(from, { kind: 'buckets', from: self, digests: buckets }, message.from);
    }
  }

  hearBuckets(from: Address, message: BucketsMessage): void {
    const differing = new Set(differingBuckets(this.#buckets(), message.digests));
    const entries = this.#entries().filter((entry) => differing.has(bucketOf(entry.node)));
    entries.sort((left, right) => idHash(left.node) - idHash(right.node));
    let sent = 0;
    for (let bucket = 0; bucket < bucketCount && sent < listingPacketsMax; bucket += 1) {
      if (!differing.has(bucket)) continue;
      const inBucket = entries.filter((entry) => bucketOf(entry.node) === bucket);
      let first = (bucket << 27) >>> 0;
      for (let at = 0; at <= inBucket.length; at += listingEntriesMax) {
        const chunk = inBucket.slice(at, at + listingEntriesMax);
        const next = inBucket[at + listingEntriesMax];
        const end = (((bucket + 1) << 27) >>> 0) - 1;
        const last = next === undefined ? end >>> 0 : idHash(next.node) - 1;
        this.#sendListing(from, message.from, first, last, chunk);
        sent += 1;
        first = last + 1;
        if (next === undefined) break;
      }
    }
  }

  hearListing(from: Address, message: ListingMessage): void {
    const theirs = new Map(message.entries.map((entry) => [entry.node, entry]));
    const updates: Update[] = [];
    const wants: NodeId[] = [];
    for (const record of this.#inRange(message.first, message.last)) {
      const entry = theirs.get(record.node);
      if (entry === undefined || isNewer(entryOf(record), entry)) {
        updates.push(...updatesOf(record, this.#state.now));
      }
    }
    const self = this.#ownEntry();
    const own = theirs.get(self.node);
    const isOwnInRange = isBetween(idHash(self.node), message.first, message.last);
    if (isOwnInRange && (own === undefined || isNewer(self, own))) updates.push(this.#self.word);
    for (const entry of theirs.values()) this.#compare(entry, updates, wants);
    if (updates.length > 0 || wants.length > 0) {
      this.#answer(from, message.from, updates, wants.slice(0, wantsMax));
    }
  }

  hearState(from: Address, message: StateMessage): void {
    this.#news.hearAll(message.updates, 'push-pull');
    const wanted = message.wants.flatMap((node) => this.#updatesAbout(node));
    if (wanted.length > 0) this.#answer(from, message.from, wanted, []);
    if (message.hasMore) this.exchange(from, message.from, false);
  }

  #compare(entry: ListingEntry, updates: Update[], wants: NodeId[]): void {
    const { table, config } = this.#state;
    if (table.isEvicted(entry.node)) return;
    const record = table.get(entry.node);
    const known = entry.node === config.self ? this.#ownEntry() : record && rankOf(record);
    if (known === undefined || isNewer(entry, known)) {
      wants.push(entry.node);
    } else if (record !== undefined && known.isGone === true) {
      // They think somebody alive whom we saw die or go: the tombstone contradicts.
      updates.push(...updatesOf(record, this.#state.now));
    }
  }

  #answerNewcomer(to: Address, node: NodeId): void {
    const { now } = this.#state;
    if (now - (this.#wholeAt.get(node) ?? -Infinity) < wholeAgainMs) return;
    this.#wholeAt.set(node, now);
    const updates: Update[] = [this.#self.word];
    for (const record of this.#state.table.live()) updates.push(...updatesOf(record, now));
    const record = this.#state.table.get(node);
    if (record?.state === 'dead') updates.unshift(...updatesOf(record, now));
    this.#answer(to, node, updates, []);
  }

  #answer(to: Address, node: NodeId, updates: readonly Update[], wants: readonly NodeId[]): void {
    const { self } = this.#state.config;
    const packets = this.#state.packets(updates);
    const send = (part: readonly Update[], asked: readonly NodeId[], hasMore: boolean): void =>
      this.#state.send(
        to,
        { kind: 'state', from: self, updates: part, wants: asked, hasMore },
        node,
      );
    // Wanted ids travel alone: together with updates they could exceed a datagram.
    if (wants.length > 0) send([], wants, false);
    const isCut = packets.length > answerPacketsMax;
    packets.slice(0, answerPacketsMax).forEach((part, at) => {
      send(part, [], isCut && at === answerPacketsMax - 1);
    });
  }

  #sendListing(
    to: Address,
    node: NodeId,
    first: number,
    last: number,
    entries: readonly ListingEntry[],
  ): void {
    const { self } = this.#state.config;
    this.#state.send(to, { kind: 'listing', from: self, first, last, entries }, node);
  }

  #updatesAbout(node: NodeId): Update[] {
    if (node === this.#state.config.self) return [this.#self.word];
    const record = this.#state.table.get(node);
    return record === undefined ? [] : updatesOf(record, this.#state.now);
  }

  *#inRange(first: number, last: number): IterableIterator<MemberRecord> {
    for (const record of this.#state.table.live()) {
      if (isBetween(idHash(record.node), first, last)) yield record;
    }
  }

  #ownEntry(): ListingEntry & { readonly isGone?: boolean } {
    const { node, incarnation } = this.#self.word;
    return { node, incarnation, state: this.#self.phase === 'dormant' ? 'dormant' : 'alive' };
  }

  #entries(): ListingEntry[] {
    return [this.#ownEntry(), ...this.#state.table.entries()];
  }

  #buckets(): Uint8Array {
    const own = bucketDigests([this.#ownEntry()]);
    const others = this.#state.table.buckets();
    return own.map((byte, at) => byte ^ (others[at] ?? 0));
  }
}

/** A record as a line to compare with; the dead outrank every live line of the same incarnation. */
function rankOf(record: MemberRecord): ListingEntry & { readonly isGone?: boolean } {
  if (record.state !== 'dead' && record.state !== 'left') return entryOf(record);
  const { incarnation } = record.word;
  return { node: record.node, incarnation, state: 'suspect', isGone: true };
}

function isNewer(left: ListingEntry, right: ListingEntry & { readonly isGone?: boolean }): boolean {
  const order = compareIncarnation(left.incarnation, right.incarnation);
  if (order !== 0) return order > 0;
  return right.isGone !== true && stateRank[left.state] > stateRank[right.state];
}

function isBetween(hash: number, first: number, last: number): boolean {
  return hash >= first && hash <= last;
}
