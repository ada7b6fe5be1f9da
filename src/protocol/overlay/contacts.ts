/** Peers that HyParView knows by address: members, those of the passive view, and when each may be tried again. */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { backoffMs } from './backoff.ts';
import { mergeAddresses } from './candidate.ts';
import type { Hyparview } from './hyparview-config.ts';
import { hintAddressesMax } from './messages.ts';
import type { PeerHint } from './messages.ts';
import type { OverlayGoneReason } from './overlay.ts';
import { RandomSet } from './random-set.ts';

/** Evicted members remembered, so that old sightings do not bring them back; more are only refused by the link layer. */
const evictedMax = 1024;

/** One peer. */
export interface Contact {
  readonly node: NodeId;
  addresses: readonly Address[];
  isMember: boolean;
  /** Was a member until it was taken for dead. */
  isDead: boolean;
  /** Failures and refusals in a row. */
  failures: number;
  /** The last attempt was answered by a no: it is well, its view was full. */
  hasRefused: boolean;
  /** Not to be dialled before. */
  retryAt: Millis;
}

/** The book of peers. */
export interface Contacts {
  readonly members: RandomSet<NodeId>;
  get(node: NodeId): Contact | undefined;
  /** The contact, made when it is new; undefined for this node, an evicted one, or when the book is full. */
  take(node: NodeId): Contact | undefined;
  sighted(node: NodeId, addresses: readonly Address[]): Contact | undefined;
  /** A peer's word about a third one: believed only about peers of whom nothing better is known. */
  hinted(hint: PeerHint): Contact | undefined;
  /** @returns whether it comes back from the dead. */
  memberUp(node: NodeId, addresses: readonly Address[]): boolean;
  memberGone(node: NodeId, reason: OverlayGoneReason): void;
  isEvicted(node: NodeId): boolean;
  /** What others are told of it. */
  hintOf(node: NodeId): PeerHint;
  /** Whether it may be dialled. */
  isReady(now: Millis, node: NodeId): boolean;
  failed(now: Millis, node: NodeId): void;
  refused(now: Millis, node: NodeId): void;
  /** Not to be tried for so long. */
  rest(now: Millis, node: NodeId, ms: Millis): void;
  worked(node: NodeId): void;
  /** Forgets all failures and refusals. */
  forgiveAll(): void;
  /** Forgets refusals only. */
  forgiveRefusals(): void;
  /** Forgets it when it is neither a member nor in use. */
  release(node: NodeId): void;
}

/** Builds an empty book. `isUsed`: views and dials hold on to the peer. */
export function createContacts(
  knobs: Hyparview,
  random: Random,
  isUsed: (node: NodeId) => boolean,
): Contacts {
  const backoff = { msMin: knobs.backoffMsMin, msMax: knobs.backoffMsMax };
  const contacts = new Map<NodeId, Contact>();
  const members = new RandomSet<NodeId>();
  const evicted = new Set<NodeId>();

  function makeRoom(): boolean {
    if (contacts.size < knobs.contactsMax) return true;
    for (const [node, contact] of contacts) {
      if (contact.isMember || isUsed(node)) continue;
      contacts.delete(node);
      return true;
    }
    return false;
  }

  function take(node: NodeId): Contact | undefined {
    const known = contacts.get(node);
    if (known !== undefined) return known;
    if (node === knobs.self || evicted.has(node) || !makeRoom()) return undefined;
    const contact: Contact = {
      node,
      addresses: [],
      isMember: false,
      isDead: false,
      failures: 0,
      hasRefused: false,
      retryAt: -Infinity,
    };
    contacts.set(node, contact);
    return contact;
  }

  function leaveAlone(now: Millis, node: NodeId, hasRefused: boolean): void {
    const contact = contacts.get(node);
    if (contact === undefined) return;
    contact.retryAt = now + backoffMs(backoff, contact.failures, random);
    contact.failures += 1;
    contact.hasRefused = hasRefused;
  }

  function forgive(contact: Contact): void {
    contact.failures = 0;
    contact.hasRefused = false;
    contact.retryAt = -Infinity;
  }

  return {
    members,
    get: (node) => contacts.get(node),
    take,
    sighted(node, addresses) {
      const contact = take(node);
      if (contact !== undefined) contact.addresses = mergeAddresses(contact.addresses, addresses);
      return contact;
    },
    hinted({ node, addresses }) {
      const contact = take(node);
      if (contact !== undefined && contact.addresses.length === 0) {
        contact.addresses = addresses.slice(0, hintAddressesMax);
      }
      return contact;
    },
    memberUp(node, addresses) {
      const contact = take(node);
      if (contact === undefined) return false;
      const isBack = contact.isDead;
      contact.isMember = true;
      contact.isDead = false;
      contact.addresses = mergeAddresses(contact.addresses, addresses);
      if (isBack) contact.retryAt = -Infinity;
      members.add(node);
      return isBack;
    },
    memberGone(node, reason) {
      members.delete(node);
      if (reason === 'evicted' && evicted.size < evictedMax) evicted.add(node);
      const contact = contacts.get(node);
      if (contact === undefined) return;
      contact.isDead = reason === 'dead' && (contact.isMember || contact.isDead);
      contact.isMember = false;
      if (reason !== 'dead') contacts.delete(node);
    },
    isEvicted: (node) => evicted.has(node),
    hintOf(node) {
      const addresses = contacts.get(node)?.addresses ?? [];
      return {
        node,
        addresses:
          addresses.length > hintAddressesMax ? addresses.slice(0, hintAddressesMax) : addresses,
      };
    },
    isReady(now, node) {
      const contact = contacts.get(node);
      return contact !== undefined && contact.retryAt <= now && contact.addresses.length > 0;
    },
    failed: (now, node) => leaveAlone(now, node, false),
    refused: (now, node) => leaveAlone(now, node, true),
    rest(now, node, ms) {
      const contact = contacts.get(node);
      if (contact !== undefined) contact.retryAt = Math.max(contact.retryAt, now + ms);
    },
    worked(node) {
      const contact = contacts.get(node);
      if (contact === undefined) return;
      contact.failures = 0;
      contact.hasRefused = false;
    },
    forgiveAll() {
      for (const contact of contacts.values()) forgive(contact);
    },
    forgiveRefusals() {
      for (const contact of contacts.values()) if (contact.hasRefused) forgive(contact);
    },
    release(node) {
      const contact = contacts.get(node);
      if (contact === undefined || contact.isMember || contact.isDead || isUsed(node)) return;
      contacts.delete(node);
    },
  };
}
