/** Messages between replicas, entries and snapshots as bytes: positional CBOR arrays, read strictly. */

import type { NodeId } from '../kernel/ids.ts';
import { isNodeId } from '../kernel/ids.ts';
import type {
  Configuration,
  Entry,
  Member,
  RaftMessage,
  Seat,
  Snapshot,
} from '../protocol/consensus/messages.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import type { FileRecord } from './replica-file.ts';

/** A message with its group and its two ends. */
export interface RaftLetter {
  /** The group's id: 32 hex digits. Two groups never understand each other. */
  readonly group: string;
  readonly from: Seat;
  readonly to: Seat;
  readonly message: RaftMessage;
}

/** Seats in one configuration, as in the core. */
const membersMax = 16;

/** Entries in one message. */
const entriesMax = 4096;

/** Largest letter, in bytes: one parcel. */
const letterBytesMax: number = 32 * 1024;

/** Largest kept snapshot: the core's bound and room for the configuration. */
const snapshotBytesMax: number = 16 * 1024 * 1024 + 8192;

const entryTypes = ['noop', 'command', 'config'] as const;

const codes = {
  preVote: 1,
  vote: 2,
  preVoteReply: 3,
  voteReply: 4,
  append: 5,
  appendReply: 6,
  appendRefused: 7,
  heartbeat: 8,
  heartbeatReply: 9,
  snapshot: 10,
  snapshotReply: 11,
  timeoutNow: 12,
} as const;

/** Encodes a letter. */
export function encodeRaftLetter(letter: RaftLetter): Uint8Array {
  const { message } = letter;
  const head = [letter.group, letter.from, letter.to, codes[message.type], message.term];
  return encodeCbor([...head, ...partsOf(message)]);
}

/** Decodes a letter; undefined for anything that is not exactly one. Never throws. */
export function decodeRaftLetter(bytes: Uint8Array): RaftLetter | undefined {
  const value = read(bytes, letterBytesMax);
  if (!Array.isArray(value) || value.length < 5) return undefined;
  const [group, from, to, code, term, ...parts] = value as unknown[];
  if (typeof group !== 'string' || !/^[0-9a-f]{32}$/.test(group)) return undefined;
  if (!isU48(from) || !isU48(to) || !isU48(term) || from === 0 || to === 0) return undefined;
  const message = messageOf(code, term, parts);
  return message === undefined ? undefined : { group, from, to, message };
}

function partsOf(message: RaftMessage): unknown[] {
  switch (message.type) {
    case 'preVote':
    case 'vote':
      return [message.lastIndex, message.lastTerm, message.isTransfer ? 1 : 0];
    case 'preVoteReply':
    case 'voteReply':
      return [message.isGranted ? 1 : 0];
    case 'append': {
      const { prevIndex, prevTerm, commit, entries } = message;
      return [prevIndex, prevTerm, commit, entries.flatMap(entryParts)];
    }
    case 'appendReply':
      return [message.match];
    case 'appendRefused':
      return [message.prevIndex, message.hintIndex, message.hintTerm];
    case 'heartbeat':
      return [message.commit, message.round];
    case 'heartbeatReply':
      return [message.round];
    case 'snapshot': {
      const { index, indexTerm, config, offset, size, data } = message;
      return [index, indexTerm, configParts(config), offset, size, data];
    }
    case 'snapshotReply':
      return [message.index, message.offset];
    case 'timeoutNow':
      return [];
  }
}

function messageOf(
  code: unknown,
  term: number,
  parts: readonly unknown[],
): RaftMessage | undefined {
  const isCounts = (length: number): boolean => parts.length === length && parts.every(isU48);
  const [one, two, three] = parts as number[];
  const [first, second, third] = [one as number, two as number, three as number];
  switch (code) {
    case codes.preVote:
    case codes.vote: {
      if (!isCounts(3) || third > 1) return undefined;
      const type = code === codes.vote ? 'vote' : 'preVote';
      return { type, term, lastIndex: first, lastTerm: second, isTransfer: third === 1 };
    }
    case codes.preVoteReply:
    case codes.voteReply: {
      if (!isCounts(1) || first > 1) return undefined;
      const type = code === codes.voteReply ? 'voteReply' : 'preVoteReply';
      return { type, term, isGranted: first === 1 };
    }
    case codes.append:
      return appendOf(term, parts);
    case codes.appendReply:
      return isCounts(1) ? { type: 'appendReply', term, match: first } : undefined;
    case codes.appendRefused:
      if (!isCounts(3)) return undefined;
      return { type: 'appendRefused', term, prevIndex: first, hintIndex: second, hintTerm: third };
    case codes.heartbeat:
      return isCounts(2) ? { type: 'heartbeat', term, commit: first, round: second } : undefined;
    case codes.heartbeatReply:
      return isCounts(1) ? { type: 'heartbeatReply', term, round: first } : undefined;
    case codes.snapshot:
      return pieceOf(term, parts);
    case codes.snapshotReply:
      return isCounts(2)
        ? { type: 'snapshotReply', term, index: first, offset: second }
        : undefined;
    case codes.timeoutNow:
      return parts.length === 0 ? { type: 'timeoutNow', term } : undefined;
    default:
      return undefined;
  }
}

function appendOf(term: number, parts: readonly unknown[]): RaftMessage | undefined {
  const [prevIndex, prevTerm, commit, flat] = parts;
  if (parts.length !== 4 || !isU48(prevIndex) || !isU48(prevTerm) || !isU48(commit))
    return undefined;
  if (!Array.isArray(flat) || flat.length % 3 !== 0 || flat.length > 3 * entriesMax)
    return undefined;
  const entries: Entry[] = [];
  for (let at = 0; at < flat.length; at += 3) {
    // Entries have no index of their own here: it follows from their place.
    const index = prevIndex + 1 + entries.length;
    const entry = entryOf(index, flat[at], flat[at + 1], flat[at + 2]);
    if (entry === undefined) return undefined;
    entries.push(entry);
  }
  return { type: 'append', term, prevIndex, prevTerm, commit, entries };
}

function pieceOf(term: number, parts: readonly unknown[]): RaftMessage | undefined {
  const [index, indexTerm, packed, offset, size, data] = parts;
  const config = configOf(packed);
  if (parts.length !== 6 || config === undefined || !(data instanceof Uint8Array)) return undefined;
  if (!isU48(index) || !isU48(indexTerm) || !isU48(offset) || !isU48(size)) return undefined;
  return { type: 'snapshot', term, index, indexTerm, config, offset, size, data };
}

function entryParts(entry: Entry): unknown[] {
  return [entry.term, entryTypes.indexOf(entry.type), payloadOf(entry)];
}

function payloadOf(entry: Entry): Uint8Array {
  if (entry.type === 'command') return entry.data;
  return entry.type === 'noop' ? new Uint8Array() : encodeCbor(configParts(entry.config));
}

function entryOf(index: number, term: unknown, type: unknown, payload: unknown): Entry | undefined {
  if (!isU48(term) || !(payload instanceof Uint8Array)) return undefined;
  switch (type) {
    case 0:
      return payload.length === 0 ? { index, term, type: 'noop' } : undefined;
    case 1:
      return { index, term, type: 'command', data: payload };
    case 2: {
      const config = configOf(read(payload, letterBytesMax));
      return config === undefined ? undefined : { index, term, type: 'config', config };
    }
    default:
      return undefined;
  }
}

/** An entry as it is kept. */
export function recordOfEntry(entry: Entry): FileRecord {
  const { index, term, type } = entry;
  return { index, term, type: entryTypes.indexOf(type), payload: payloadOf(entry) };
}

/** The entry that was kept; undefined when this version does not know it. */
export function entryOfRecord({ index, term, type, payload }: FileRecord): Entry | undefined {
  return entryOf(index, term, type, payload);
}

/** A snapshot as it is kept. */
export function encodeSnapshot({ index, term, config, data }: Snapshot): Uint8Array {
  return encodeCbor([1, index, term, configParts(config), data]);
}

/** The snapshot that was kept. `newer`: written by a later version. */
export function decodeSnapshot(bytes: Uint8Array): Snapshot | 'newer' | undefined {
  const value = read(bytes, snapshotBytesMax);
  if (!Array.isArray(value)) return undefined;
  const [version, index, term, packed, data] = value as unknown[];
  if (isU48(version) && version > 1) return 'newer';
  const config = configOf(packed);
  if (version !== 1 || config === undefined || !isU48(index) || !isU48(term)) return undefined;
  return data instanceof Uint8Array ? { index, term, config, data } : undefined;
}

function configParts(config: Configuration): unknown[] {
  const { voters, outgoing, learners, members, lastSeat } = config;
  return [voters, outgoing, learners, members.flatMap(({ seat, node }) => [seat, node]), lastSeat];
}

function configOf(value: unknown): Configuration | undefined {
  if (!Array.isArray(value) || value.length !== 5) return undefined;
  const [voters, outgoing, learners, flat, lastSeat] = value as unknown[];
  if (!isSeats(voters) || !isSeats(outgoing) || !isSeats(learners) || !isU48(lastSeat))
    return undefined;
  if (!Array.isArray(flat) || flat.length % 2 !== 0 || flat.length > 2 * membersMax)
    return undefined;
  const members: Member[] = [];
  for (let at = 0; at < flat.length; at += 2) {
    const [seat, node] = [flat[at] as unknown, flat[at + 1] as unknown];
    if (!isU48(seat) || typeof node !== 'string' || !isNodeId(node)) return undefined;
    members.push({ seat, node: node as NodeId });
  }
  return { voters, outgoing, learners, members, lastSeat };
}

function isSeats(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= membersMax &&
    value.every((seat) => isU48(seat) && seat > 0)
  );
}

function read(bytes: Uint8Array, bytesMax: number): unknown {
  try {
    return decodeCbor(bytes, { bytesMax, depthMax: 4 });
  } catch {
    return undefined;
  }
}

function isU48(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 48;
}
