/** What members tell each other: the types of SWIM's updates and datagrams, and the bounds of their fields. */

import type { Address } from '../../kernel/address.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Incarnation } from './incarnation.ts';

/** Addresses a member may advertise; more are refused by the codec and cut off by the core. */
export const memberAddressesMax = 8;

/** Entries of a push-pull listing in one datagram (22 bytes each, 36 at worst). */
export const listingEntriesMax = 36;

/** Ids asked for in one `state` message. */
export const wantsMax = 64;

/** Bytes of the opaque rider that pings and acks carry (the head of the authority log). */
export const riderBytesMax = 64;

/** Buckets of the push-pull digest: the top five bits of the hash of an id. */
export const bucketCount = 32;

/** What a member says about itself besides its address. Encoded size at most 512 bytes. */
export interface MemberMeta {
  readonly name: string;
  readonly version: string;
  readonly roles: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  /** UDP port of a responder that answers even while the event loop is stuck. */
  readonly responderPort?: number;
}

/**
 * An update carries `from`, who said it, and `proof`, the signed bytes it was read from. The proof is opaque here:
 * the codec makes it for this node's own updates (an empty proof means "mine, not yet signed") and checks it for others.
 */
interface Signed {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly from: NodeId;
  readonly proof: Uint8Array;
}

/** What only the subject may say: here I am, like this. */
export interface AliveUpdate extends Signed {
  readonly kind: 'alive';
  /** Random per start of the process: two of them in one boot are two devices with one key. */
  readonly instance: number;
  readonly addresses: readonly Address[];
  readonly meta: MemberMeta;
  readonly edPublic: Uint8Array;
}

/** The subject sleeps on purpose: not probed, not chosen, until `sleepMs - elapsedMs` from receipt have passed. */
export interface DormantUpdate extends Omit<AliveUpdate, 'kind'> {
  readonly kind: 'dormant';
  /** Promised length of the sleep in ms; signed. */
  readonly sleepMs: number;
  /** How much of it had passed when this copy was sent, in ms; each relay counts on, unsigned. */
  readonly elapsedMs: number;
}

/** What others say about a member (`suspect`, `dead`), or a member about its own going (`left`). */
export interface VerdictUpdate extends Signed {
  readonly kind: 'suspect' | 'dead' | 'left';
}

/** One piece of membership news. */
export type Update = AliveUpdate | DormantUpdate | VerdictUpdate;

/** The process that sent a ping or an ack: what tells a clone from a restart. */
export interface Life {
  readonly boot: number;
  readonly instance: number;
}

/** State of a live member in a push-pull listing. */
export type LiveState = 'alive' | 'suspect' | 'dormant';

/** One line of a push-pull listing. */
export interface ListingEntry {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly state: LiveState;
}

/** A direct probe; `target` guards against an address that changed hands. */
export interface PingMessage {
  readonly kind: 'ping';
  readonly from: NodeId;
  readonly seq: number;
  readonly target: NodeId;
  readonly life: Life;
  readonly rider: Uint8Array;
  readonly updates: readonly Update[];
}

/** The answer to a ping, or to a ping-req when a helper relays it: `subject` is who is alive. */
export interface AckMessage {
  readonly kind: 'ack';
  readonly from: NodeId;
  readonly seq: number;
  readonly subject: NodeId;
  readonly life: Life;
  readonly rider: Uint8Array;
  readonly updates: readonly Update[];
}

/** "Probe `target` for me." */
export interface PingReqMessage {
  readonly kind: 'ping-req';
  readonly from: NodeId;
  readonly seq: number;
  readonly target: NodeId;
  readonly updates: readonly Update[];
}

/** "I am well, but the one you asked about does not answer me either." */
interface NackMessage {
  readonly kind: 'nack';
  readonly from: NodeId;
  readonly seq: number;
}

/** The responder's answer for a process whose event loop has been stuck for `stalledMs`. */
export interface StalledMessage {
  readonly kind: 'stalled';
  readonly from: NodeId;
  readonly seq: number;
  readonly stalledMs: number;
}

/** Queued news, to whoever. */
interface GossipMessage {
  readonly kind: 'gossip';
  readonly from: NodeId;
  readonly updates: readonly Update[];
}

/** Push-pull, first word: how many live members I know and the 8-byte digest of them. */
export interface DigestMessage {
  readonly kind: 'digest';
  readonly from: NodeId;
  readonly count: number;
  readonly digest: Uint8Array;
  readonly updates: readonly Update[];
}

/** Push-pull, on mismatch in a large mesh: one 8-byte digest per bucket. */
export interface BucketsMessage {
  readonly kind: 'buckets';
  readonly from: NodeId;
  readonly digests: Uint8Array;
}

/** Push-pull: every live member I know whose id hashes into [first, last]. */
export interface ListingMessage {
  readonly kind: 'listing';
  readonly from: NodeId;
  readonly first: number;
  readonly last: number;
  readonly entries: readonly ListingEntry[];
}

/** Push-pull: members that differ, and the ids I lack. `hasMore`: ask again, this did not fit. */
export interface StateMessage {
  readonly kind: 'state';
  readonly from: NodeId;
  readonly updates: readonly Update[];
  readonly wants: readonly NodeId[];
  readonly hasMore: boolean;
}

/** One datagram. */
export type SwimMessage =
  | PingMessage
  | AckMessage
  | PingReqMessage
  | NackMessage
  | StalledMessage
  | GossipMessage
  | DigestMessage
  | BucketsMessage
  | ListingMessage
  | StateMessage;
