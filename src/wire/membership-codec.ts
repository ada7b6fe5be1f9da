/**
 * Membership messages as bytes: one positional CBOR array per datagram, small enough that an idle mesh costs little.
 *
 * `[kind, from, …]`, ids as 16 bytes, updates as proofs (membership-updates.ts). docs/protocols/membership.md has the table.
 */

import { nodeIdBytes, nodeIdToBytes } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import type * as digest from '../protocol/membership/digest.ts';
import type * as messages from '../protocol/membership/messages.ts';
import type {
  ListingEntry,
  LiveState,
  SwimMessage,
  Update,
} from '../protocol/membership/messages.ts';
import { concatBytes } from './bytes.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import {
  readBytes,
  readDuration,
  readIncarnation,
  readNodeId,
  readWhole,
  readWord,
} from './membership-fields.ts';
import { createProofBook } from './membership-updates.ts';
import type { ProofCounts, ProofKeys } from './membership-updates.ts';

export { metaTrouble } from './membership-fields.ts';
export type { ProofKeys } from './membership-updates.ts';

// The core's bounds, which the compiler keeps equal: this layer knows the types of a protocol, not its code.
const digestBytes: typeof digest.digestBytes = 8;
const bucketCount: typeof messages.bucketCount = 32;
const listingEntriesMax: typeof messages.listingEntriesMax = 36;
const riderBytesMax: typeof messages.riderBytesMax = 64;
const wantsMax: typeof messages.wantsMax = 64;

/** Largest message taken, in bytes: one datagram. */
const swimBytesMax = 1_400;

/** Updates in one message; a longer list is malformed. */
const updatesMax = 64;

/** Message, list of updates, one update with its elapsed time. */
const depthMax = 3;

const kindCode = {
  ping: 1,
  ack: 2,
  'ping-req': 3,
  nack: 4,
  stalled: 5,
  gossip: 6,
  digest: 7,
  buckets: 8,
  listing: 9,
  state: 10,
} as const;

const stateCode = { alive: 1, suspect: 2, dormant: 3 } as const;
const stateNames: Readonly<Record<number, LiveState>> = { 1: 'alive', 2: 'suspect', 3: 'dormant' };

/** What the codec has refused and verified so far. */
interface MembershipCodecCounts extends Readonly<ProofCounts> {
  /** Messages that were not as agreed and were dropped whole. */
  readonly malformed: number;
}

/** Bytes from messages and back. */
export interface MembershipCodec {
  /** Signs this node's own updates on the way (each once). */
  encode(message: SwimMessage): Uint8Array;
  /** Never throws. Undefined: malformed. Updates that cannot be verified are left out and counted. */
  decode(bytes: Uint8Array): SwimMessage | undefined;
  /** Bytes that an update takes in a message: the core's `SwimConfig.sizeOf`. */
  sizeOf(update: Update): number;
  counts(): MembershipCodecCounts;
}

/** Builds the codec of one node. */
export function createMembershipCodec(keys: ProofKeys): MembershipCodec {
  const book = createProofBook(keys);
  let malformed = 0;

  function writeUpdates(updates: readonly Update[]): unknown[] {
    const written: unknown[] = [];
    for (const update of updates) {
      const proof = book.proofOf(update);
      if (proof === undefined) continue;
      written.push(update.kind === 'dormant' ? [proof, update.elapsedMs] : proof);
    }
    return written;
  }

  function readUpdates(value: unknown): Update[] | undefined {
    if (!Array.isArray(value) || value.length > updatesMax) return undefined;
    const updates: Update[] = [];
    for (const item of value as unknown[]) {
      const [proof, elapsed]: unknown[] = Array.isArray(item) ? item : [item, 0];
      const elapsedMs = readDuration(elapsed);
      if (!(proof instanceof Uint8Array) || elapsedMs === undefined) return undefined;
      const update = book.read(proof, elapsedMs);
      if (update !== undefined) updates.push(update);
    }
    return updates;
  }

  function decode(bytes: Uint8Array): SwimMessage | undefined {
    let message: SwimMessage | undefined;
    try {
      const fields = decodeCbor(bytes, { bytesMax: swimBytesMax, depthMax });
      message = Array.isArray(fields) ? readMessage(fields, readUpdates) : undefined;
    } catch {
      // decodeCbor refuses with an exception; here refusal is a count.
      message = undefined;
    }
    if (message === undefined) malformed += 1;
    return message;
  }

  return {
    encode: (message) => encodeCbor(fieldsOf(message, writeUpdates)),
    decode,
    sizeOf(update) {
      const proofLength = book.proofOf(update)?.length ?? 0;
      return proofLength + (update.kind === 'dormant' ? 10 : 3);
    },
    counts: () => ({ ...book.counts, malformed }),
  };
}

function fieldsOf(
  message: SwimMessage,
  updatesOf: (updates: readonly Update[]) => unknown[],
): unknown[] {
  const head = [kindCode[message.kind], nodeIdToBytes(message.from)];
  switch (message.kind) {
    case 'ping':
    case 'ack': {
      const subject = message.kind === 'ping' ? message.target : message.subject;
      const { boot, instance } = message.life;
      const fields = [message.seq, nodeIdToBytes(subject), boot, instance, message.rider];
      return [...head, ...fields, updatesOf(message.updates)];
    }
    case 'ping-req': {
      return [...head, message.seq, nodeIdToBytes(message.target), updatesOf(message.updates)];
    }
    case 'nack':
      return [...head, message.seq];
    case 'stalled':
      return [...head, message.seq, message.stalledMs];
    case 'gossip':
      return [...head, updatesOf(message.updates)];
    case 'digest':
      return [...head, message.count, message.digest, updatesOf(message.updates)];
    case 'buckets':
      return [...head, message.digests];
    case 'listing':
      return [...head, message.first, message.last, message.entries.flatMap(writeEntry)];
    case 'state': {
      const wants = concatBytes(...message.wants.map((node) => nodeIdToBytes(node)));
      return [...head, updatesOf(message.updates), wants, message.hasMore];
    }
  }
}

type ReadUpdates = (value: unknown) => Update[] | undefined;

function readMessage(
  fields: readonly unknown[],
  readUpdates: ReadUpdates,
): SwimMessage | undefined {
  const from = readNodeId(fields[1]);
  if (from === undefined) return undefined;
  switch (fields[0]) {
    case kindCode.ping:
    case kindCode.ack:
      return readProbe(fields, from, readUpdates);
    case kindCode['ping-req']:
    case kindCode.nack:
    case kindCode.stalled:
      return readHelp(fields, from, readUpdates);
    case kindCode.gossip: {
      const updates = fields.length === 3 ? readUpdates(fields[2]) : undefined;
      return updates && { kind: 'gossip', from, updates };
    }
    case kindCode.digest:
    case kindCode.state:
      return readExchange(fields, from, readUpdates);
    case kindCode.buckets: {
      const digests = readBytes(fields[2], bucketCount * digestBytes);
      if (fields.length !== 3 || digests?.length !== bucketCount * digestBytes) return undefined;
      return { kind: 'buckets', from, digests: digests.slice() };
    }
    case kindCode.listing:
      return readListing(fields, from);
    default:
      return undefined;
  }
}

function readProbe(
  fields: readonly unknown[],
  from: NodeId,
  readUpdates: ReadUpdates,
): SwimMessage | undefined {
  const seq = readWord(fields[2]);
  const subject = readNodeId(fields[3]);
  const incarnation = readIncarnation(fields[4], 0);
  const instance = readWord(fields[5]);
  const riderView = readBytes(fields[6], riderBytesMax);
  if (fields.length !== 8 || seq === undefined || subject === undefined) return undefined;
  if (incarnation === undefined || instance === undefined || riderView === undefined) {
    return undefined;
  }
  const updates = readUpdates(fields[7]);
  if (updates === undefined) return undefined;
  const life = { boot: incarnation.boot, instance };
  const common = { from, seq, life, rider: riderView.slice(), updates };
  return fields[0] === kindCode.ping
    ? { kind: 'ping', ...common, target: subject }
    : { kind: 'ack', ...common, subject };
}

function readHelp(
  fields: readonly unknown[],
  from: NodeId,
  readUpdates: ReadUpdates,
): SwimMessage | undefined {
  const seq = readWord(fields[2]);
  if (seq === undefined) return undefined;
  if (fields[0] === kindCode.nack) {
    return fields.length === 3 ? { kind: 'nack', from, seq } : undefined;
  }
  if (fields[0] === kindCode.stalled) {
    const stalledMs = fields.length === 4 ? readDuration(fields[3]) : undefined;
    return stalledMs === undefined ? undefined : { kind: 'stalled', from, seq, stalledMs };
  }
  const target = readNodeId(fields[3]);
  const updates = fields.length === 5 ? readUpdates(fields[4]) : undefined;
  if (target === undefined || updates === undefined) return undefined;
  return { kind: 'ping-req', from, seq, target, updates };
}

function readExchange(
  fields: readonly unknown[],
  from: NodeId,
  readUpdates: ReadUpdates,
): SwimMessage | undefined {
  if (fields.length !== 5) return undefined;
  if (fields[0] === kindCode.digest) {
    const count = readWord(fields[2]);
    const digest = readBytes(fields[3], digestBytes);
    const updates = readUpdates(fields[4]);
    if (count === undefined || digest?.length !== digestBytes || updates === undefined) {
      return undefined;
    }
    return { kind: 'digest', from, count, digest: digest.slice(), updates };
  }
  const updates = readUpdates(fields[2]);
  const wanted = readBytes(fields[3], wantsMax * nodeIdBytes);
  const hasMore = fields[4];
  if (updates === undefined || wanted === undefined || typeof hasMore !== 'boolean') {
    return undefined;
  }
  if (wanted.length % nodeIdBytes !== 0) return undefined;
  const wants: NodeId[] = [];
  for (let at = 0; at < wanted.length; at += nodeIdBytes) {
    const node = readNodeId(wanted.subarray(at, at + nodeIdBytes));
    if (node !== undefined) wants.push(node);
  }
  return { kind: 'state', from, updates, wants, hasMore };
}

function readListing(fields: readonly unknown[], from: NodeId): SwimMessage | undefined {
  const first = readWord(fields[2]);
  const last = readWord(fields[3]);
  const flat = fields[4];
  if (fields.length !== 5 || first === undefined || last === undefined) return undefined;
  if (!Array.isArray(flat) || flat.length % 4 !== 0) return undefined;
  if (flat.length > 4 * listingEntriesMax) return undefined;
  const entries: ListingEntry[] = [];
  for (let at = 0; at < flat.length; at += 4) {
    const node = readNodeId(flat[at]);
    const incarnation = readIncarnation(flat[at + 1], flat[at + 2]);
    const code = readWhole(flat[at + 3], 3);
    const state = code === undefined ? undefined : stateNames[code];
    if (node === undefined || incarnation === undefined || state === undefined) return undefined;
    entries.push({ node, incarnation, state });
  }
  return { kind: 'listing', from, first, last, entries };
}

function writeEntry({ node, incarnation, state }: ListingEntry): unknown[] {
  return [nodeIdToBytes(node), incarnation.boot, incarnation.n, stateCode[state]];
}
