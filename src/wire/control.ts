/**
 * Control records of a link: positional CBOR arrays, read strictly. A newer minor version may say kinds that this one does not
 * know, which are passed over, and more at the end of its hello; anything else that is not exactly a message is refused.
 */

import type { Address } from '../kernel/address.ts';
import type { NodeId } from '../kernel/ids.ts';
import { parcelBytesMax, protocolNameMax } from '../kernel/parcel.ts';
import { isReservedTopic, topicLengthMax, topicProblem } from '../kernel/topic.ts';
import type { OverlayName } from '../protocol/overlay/overlay.ts';
import type { Topology, TopologyMark } from '../protocol/overlay/topology.ts';
import type { Letter, LetterBody, SeqRange } from '../protocol/routing/messages.ts';
import type { RetainedEntry } from '../protocol/routing/retained-map.ts';
import { u48Max } from './big-endian.ts';
import { plainBytes } from './bytes.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { idBytes } from './node-id.ts';
import { decodeParcelLetter, encodeParcelLetter } from './parcel-letter.ts';
import { idOf, listOf, natOf } from './record-parts.ts';
import { overlayCodes, overlayOf, readMark, readTopology, topologyParts } from './topology.ts';

/** What nodes say to each other on a link's control lane. */
export type ControlMessage =
  | {
      readonly kind: 'hello';
      readonly boot: number;
      /** Drawn anew by each process: two of them with one identity show a clone. */
      readonly instance: number;
      readonly name: string;
      /** The port this node listens on, TCP and UDP: the accepting side of a link sees another one. */
      readonly port: number;
      readonly neighbours: readonly NodeId[];
      /** What the node runs where nobody has ever set a topology. */
      readonly overlay: OverlayName;
      /** The mesh's topology as the node knows it. */
      readonly topology: Topology;
      /** For which epoch it dialled; when it did not dial this says nothing. */
      readonly mark: TopologyMark;
      /** The minor version of what it speaks. @default 0: it is older than the number */
      readonly minor?: number;
    }
  | { readonly kind: 'neighbours'; readonly ids: readonly NodeId[] }
  | { readonly kind: 'letter'; readonly letter: Letter }
  | { readonly kind: 'swim'; readonly bytes: Uint8Array }
  | { readonly kind: 'ping'; readonly t: number }
  | { readonly kind: 'pong'; readonly t: number }
  | { readonly kind: 'trust'; readonly bytes: Uint8Array }
  | { readonly kind: 'retained-digest'; readonly digest: Uint8Array }
  | { readonly kind: 'retained'; readonly entries: readonly RetainedEntry[] }
  | {
      readonly kind: 'peers';
      readonly peers: readonly { readonly node: NodeId; readonly addresses: readonly Address[] }[];
    }
  /** First on a connection: it is a channel's, of this process. The answer says the same. */
  | { readonly kind: 'channel'; readonly name: string; readonly instance: number }
  | { readonly kind: 'bye'; readonly reason: string }
  /** What members want: interest-codec.ts. */
  | { readonly kind: 'interest'; readonly bytes: Uint8Array }
  /** A message between overlays: overlay-codec.ts. */
  | { readonly kind: 'overlay'; readonly bytes: Uint8Array }
  /** A message between the trees of two neighbours: broadcast-codec.ts. */
  | { readonly kind: 'broadcast'; readonly bytes: Uint8Array }
  /** The mesh's topology was changed. */
  | { readonly kind: 'topology'; readonly topology: Topology };

/** The minor version of what this node speaks, and when it goes up: docs/protocols/rollout.md. 2: parts of large messages. */
export const controlMinor = 2;

/** Largest control record, in bytes: it must fit one frame. */
const controlBytesMax: number = 256 * 1024 - 4;

/** Ids in one list. */
const idsMax = 1024;
/** Ranges in one acknowledgement. */
const rangesMax = 64;
/** Entries in one `retained` and peers in one `peers`: send several records for more. */
const entriesMax = 256;
/** Addresses of one peer. */
const addressesMax = 16;
/** Characters of a name or a reason. */
const textMax = 256;
/** Bytes of an opaque part. */
const opaqueMax: number = 128 * 1024;

const tags = {
  hello: 1,
  neighbours: 2,
  letter: 3,
  swim: 4,
  ping: 5,
  pong: 6,
  trust: 7,
  'retained-digest': 8,
  retained: 9,
  peers: 10,
  bye: 11,
  overlay: 12,
  interest: 13,
  channel: 20,
  topology: 14,
  broadcast: 15,
} as const;

/** Encodes a control message. Keeping to the limits of the reader is the caller's part. */
export function encodeControl(message: ControlMessage): Uint8Array {
  const quick =
    message.kind === 'letter' ? encodeParcelLetter(tags.letter, message.letter) : undefined;
  return quick ?? encodeCbor([tags[message.kind], ...partsOf(message)]);
}

/**
 * Decodes a control message; 'unknown' for a kind of a newer version, undefined for anything else that is not exactly one.
 * Byte strings are views of `bytes`.
 */
export function decodeControl(bytes: Uint8Array): ControlMessage | 'unknown' | undefined {
  const letter = decodeParcelLetter(tags.letter, plainBytes(bytes));
  if (letter !== undefined) return { kind: 'letter', letter };
  let value: unknown;
  try {
    value = decodeCbor(bytes, { bytesMax: controlBytesMax, depthMax: 6 });
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const parts: readonly unknown[] = value;
  const tag = parts[0];
  if (tag === 0 || natOf(tag, 0xffff) === undefined) return undefined;
  const reader = readers.get(tag as number);
  return reader === undefined ? 'unknown' : reader(parts);
}

type Reader = (parts: readonly unknown[]) => ControlMessage | undefined;

function partsOf(message: ControlMessage): unknown[] {
  switch (message.kind) {
    case 'hello': {
      const { boot, instance, name, port, neighbours, overlay, topology, mark } = message;
      const ids = neighbours.map(idBytes);
      const author = mark.by === '' ? new Uint8Array(0) : idBytes(mark.by);
      const epochs = [topologyParts(topology), mark.epoch, author];
      const minor = message.minor === undefined ? [] : [message.minor];
      return [boot, instance, name, port, ids, overlayCodes[overlay], ...epochs, ...minor];
    }
    case 'neighbours':
      return [message.ids.map(idBytes)];
    case 'letter':
      return letterParts(message.letter);
    case 'swim':
    case 'trust':
    case 'overlay':
    case 'interest':
    case 'broadcast':
      return [message.bytes];
    case 'ping':
    case 'pong':
      return [message.t];
    case 'retained-digest':
      return [message.digest];
    case 'retained':
      return [message.entries.map(entryParts)];
    case 'peers':
      return [message.peers.map((peer) => [idBytes(peer.node), peer.addresses.map(addressParts)])];
    case 'bye':
      return [message.reason];
    case 'channel':
      return [message.name, message.instance];
    case 'topology':
      return [topologyParts(message.topology)];
  }
}

function letterParts({ from, fromBoot, ttl, passage, body }: Letter): unknown[] {
  const head = [
    idBytes(from),
    fromBoot,
    ttl,
    idBytes(passage.to),
    passage.id,
    passage.isFlood ? 1 : 0,
  ];
  if (body.kind === 'base') return [...head, body.boot, body.seq, body.isLoss ? 1 : 0];
  if (body.kind === 'parcel') return [...head, body.protocol, body.bytes];
  return [...head, body.boot, body.upTo, body.ranges.flat()];
}

function entryParts({ topic, hlc, origin, boot, seq, payload }: RetainedEntry): unknown[] {
  return [topic, hlc.wallMs, hlc.count, idBytes(origin), boot, seq, payload];
}

function addressParts(address: Address): unknown[] {
  return [address.host, address.port];
}

const readers: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [tags.hello, readHello],
  [
    tags.topology,
    (parts) => {
      const topology = parts.length === 2 ? readTopology(parts[1]) : undefined;
      return topology && { kind: 'topology', topology };
    },
  ],
  [
    tags.neighbours,
    (parts) => {
      const ids = parts.length === 2 ? listOf(parts[1], idsMax, idOf) : undefined;
      return ids && { kind: 'neighbours', ids };
    },
  ],
  [tags.letter, readLetter],
  [tags.swim, readOpaque('swim')],
  [tags.ping, (parts) => readTime('ping', parts)],
  [tags.pong, (parts) => readTime('pong', parts)],
  [tags.trust, readOpaque('trust')],
  [
    tags['retained-digest'],
    (parts) => {
      const digest = parts.length === 2 ? opaque(parts[1], 256) : undefined;
      return digest && { kind: 'retained-digest', digest };
    },
  ],
  [
    tags.retained,
    (parts) => {
      const entries = parts.length === 2 ? listOf(parts[1], entriesMax, entryOf) : undefined;
      return entries && { kind: 'retained', entries };
    },
  ],
  [
    tags.peers,
    (parts) => {
      const peers = parts.length === 2 ? listOf(parts[1], entriesMax, peerOf) : undefined;
      return peers && { kind: 'peers', peers };
    },
  ],
  [tags.overlay, readOpaque('overlay')],
  [tags.broadcast, readOpaque('broadcast')],
  [tags.interest, readOpaque('interest')],
  [
    tags.channel,
    (parts) => {
      const name = textOf(parts[1]);
      const instance = natOf(parts[2], Number.MAX_SAFE_INTEGER);
      if (parts.length !== 3 || name === undefined || instance === undefined) return undefined;
      return { kind: 'channel', name, instance };
    },
  ],
  [
    tags.bye,
    (parts) => {
      const reason = parts.length === 2 ? textOf(parts[1]) : undefined;
      return reason === undefined ? undefined : { kind: 'bye', reason };
    },
  ],
]);

/** A message of a protocol with a codec of its own. */
function readOpaque(kind: 'swim' | 'trust' | 'overlay' | 'interest' | 'broadcast'): Reader {
  return (parts) => {
    const bytes = parts.length === 2 ? opaque(parts[1], opaqueMax) : undefined;
    return bytes && { kind, bytes };
  };
}

function readHello(parts: readonly unknown[]): ControlMessage | undefined {
  if (parts.length < 10) return undefined;
  // What a newer version adds after it is not for this one.
  const minor = parts.length === 10 ? undefined : natOf(parts[10], 0xffff);
  if (parts.length > 10 && minor === undefined) return undefined;
  const boot = natOf(parts[1], u48Max);
  const instance = natOf(parts[2], Number.MAX_SAFE_INTEGER);
  const name = textOf(parts[3]);
  const port = natOf(parts[4], 65_535);
  const neighbours = listOf(parts[5], idsMax, idOf);
  const overlay = overlayOf(parts[6]);
  const topology = readTopology(parts[7]);
  const mark = readMark(parts[8], parts[9]);
  if (boot === undefined || instance === undefined || name === undefined) return undefined;
  if (port === undefined || neighbours === undefined || overlay === undefined) return undefined;
  if (topology === undefined || mark === undefined) return undefined;
  const said = { boot, instance, name, port, neighbours, overlay, topology, mark };
  return { kind: 'hello', ...said, ...(minor === undefined ? {} : { minor }) };
}

function readLetter(parts: readonly unknown[]): ControlMessage | undefined {
  const from = idOf(parts[1]);
  const fromBoot = natOf(parts[2], u48Max);
  const ttl = natOf(parts[3], 255);
  const to = idOf(parts[4]);
  const id = natOf(parts[5], u48Max);
  const flood = natOf(parts[6], 1);
  const body = readBody(parts);
  if (from === undefined || fromBoot === undefined || ttl === undefined) return undefined;
  if (to === undefined || id === undefined || flood === undefined) return undefined;
  if (body === undefined) return undefined;
  const passage = { to, id, isFlood: flood === 1 };
  return { kind: 'letter', letter: { from, fromBoot, ttl, passage, body } };
}

function readBody(parts: readonly unknown[]): LetterBody | undefined {
  if (parts.length === 9) {
    const protocol = textOf(parts[7], protocolNameMax);
    const bytes = opaque(parts[8], parcelBytesMax);
    if (protocol === undefined || protocol === '' || bytes === undefined) return undefined;
    return { kind: 'parcel', protocol, bytes };
  }
  const first = natOf(parts[7], u48Max);
  if (first === undefined) return undefined;
  const upTo = natOf(parts[8], u48Max);
  const loss = natOf(parts[9], 1);
  if (parts.length === 10 && upTo !== undefined && loss !== undefined) {
    return { kind: 'base', boot: first, seq: upTo, isLoss: loss === 1 };
  }
  const ranges = rangesOf(parts[9]);
  if (parts.length !== 10 || upTo === undefined || ranges === undefined) return undefined;
  return { kind: 'ack', boot: first, upTo, ranges };
}

/** Ranges travel flat: from, to, from, to. */
function rangesOf(value: unknown): SeqRange[] | undefined {
  const flat = listOf(value, rangesMax * 2, (item) => natOf(item, u48Max));
  if (flat === undefined || flat.length % 2 !== 0) return undefined;
  const ranges: SeqRange[] = [];
  for (let at = 0; at < flat.length; at += 2) {
    const from = flat[at] ?? 0;
    const to = flat[at + 1] ?? 0;
    if (to < from) return undefined;
    ranges.push([from, to]);
  }
  return ranges;
}

function readTime(kind: 'ping' | 'pong', parts: readonly unknown[]): ControlMessage | undefined {
  const t = parts[1];
  if (parts.length !== 2 || typeof t !== 'number' || !Number.isFinite(t)) return undefined;
  return { kind, t };
}

function entryOf(value: unknown): RetainedEntry | undefined {
  if (!Array.isArray(value) || value.length !== 7) return undefined;
  const parts: readonly unknown[] = value;
  const topic = textOf(parts[0], topicLengthMax);
  const wallMs = natOf(parts[1], u48Max);
  const count = natOf(parts[2], 0xffff);
  const origin = idOf(parts[3]);
  const boot = natOf(parts[4], u48Max);
  const seq = natOf(parts[5], u48Max);
  const payload = opaque(parts[6], opaqueMax);
  if (topic === undefined || topicProblem(topic) !== undefined || isReservedTopic(topic)) {
    return undefined;
  }
  if (wallMs === undefined || count === undefined) return undefined;
  if (boot === undefined || seq === undefined) return undefined;
  if (origin === undefined || payload === undefined) return undefined;
  return { topic, hlc: { wallMs, count }, origin, boot, seq, payload };
}

function peerOf(value: unknown): { node: NodeId; addresses: Address[] } | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const parts: readonly unknown[] = value;
  const node = idOf(parts[0]);
  const addresses = listOf(parts[1], addressesMax, addressOf);
  return node === undefined || addresses === undefined ? undefined : { node, addresses };
}

function addressOf(value: unknown): Address | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const parts: readonly unknown[] = value;
  const host = textOf(parts[0]);
  const port = natOf(parts[1], 65_535);
  if (host === undefined || host.length === 0 || port === undefined || port === 0) return undefined;
  return { host, port };
}

function opaque(value: unknown, max: number): Uint8Array | undefined {
  return value instanceof Uint8Array && value.byteLength <= max ? value : undefined;
}

function textOf(value: unknown, max: number = textMax): string | undefined {
  return typeof value === 'string' && value.length <= max ? value : undefined;
}
