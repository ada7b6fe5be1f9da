/** Messages between overlays as bytes: one positional CBOR array each, read strictly (docs/protocols/overlay.md). */

import type { Address } from '../kernel/address.ts';
import type { NodeId } from '../kernel/ids.ts';
import type * as messages from '../protocol/overlay/messages.ts';
import type { OverlayMessage, PeerHint } from '../protocol/overlay/messages.ts';
import { u48Max } from './big-endian.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { idBytes } from './node-id.ts';
import { idOf, listOf, natOf } from './record-parts.ts';

// The core's bounds, which the compiler keeps equal: this layer knows the types of a protocol, not its code.
const hintsMax: typeof messages.hintsMax = 16;
const hintAddressesMax: typeof messages.hintAddressesMax = 4;
const pathMax: typeof messages.pathMax = 16;

/** Largest overlay message, in bytes: 17 peers with 4 names each would be 19 KiB, usual ones are below 500 bytes. */
const overlayBytesMax: number = 32 * 1024;

const hostLengthMax = 253;
const ttlMax = 255;

const codes = {
  join: 1,
  neighbour: 2,
  accept: 3,
  refuse: 4,
  disconnect: 5,
  'forward-join': 6,
  shuffle: 7,
  'shuffle-reply': 8,
  pulse: 9,
  holding: 10,
} as const;

/** Encodes a message of a core, which keeps to the bounds. */
export function encodeOverlayMessage(message: OverlayMessage): Uint8Array {
  return encodeCbor([codes[message.kind], ...partsOf(message)]);
}

/** Decodes a message; undefined for anything that is not exactly one. Never throws. */
export function decodeOverlayMessage(bytes: Uint8Array): OverlayMessage | undefined {
  let value: unknown;
  try {
    value = decodeCbor(bytes, { bytesMax: overlayBytesMax, depthMax: 5 });
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const [code, ...parts]: readonly unknown[] = value;
  const reader = typeof code === 'number' ? readers.get(code) : undefined;
  return reader !== undefined && parts.length === reader.length ? reader.read(parts) : undefined;
}

function partsOf(message: OverlayMessage): unknown[] {
  switch (message.kind) {
    case 'join':
      return [message.addresses.map(addressParts)];
    case 'neighbour':
      return [message.isUrgent ? 1 : 0, message.addresses.map(addressParts)];
    case 'accept':
    case 'disconnect':
      return [];
    case 'refuse':
      return [message.peers.map(hintParts)];
    case 'forward-join':
      return [hintParts(message.newcomer), message.ttl];
    case 'shuffle': {
      const { origin, hasRoom, ttl, path, peers } = message;
      return [hintParts(origin), hasRoom ? 1 : 0, ttl, path.map(idBytes), peers.map(hintParts)];
    }
    case 'shuffle-reply':
      return [message.path.map(idBytes), message.peers.map(hintParts)];
    case 'pulse':
      return [idBytes(message.root), message.boot, message.count];
    case 'holding':
      return [message.epoch, idBytes(message.by)];
  }
}

function hintParts({ node, addresses }: PeerHint): unknown[] {
  return [idBytes(node), addresses.map(addressParts)];
}

function addressParts({ host, port }: Address): unknown[] {
  return [host, port];
}

interface Reader {
  /** Parts after the code. */
  readonly length: number;
  read(parts: readonly unknown[]): OverlayMessage | undefined;
}

const readers: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [
    codes.join,
    {
      length: 1,
      read([list]) {
        const addresses = addressesOf(list);
        return addresses && { kind: 'join', addresses };
      },
    },
  ],
  [
    codes.neighbour,
    {
      length: 2,
      read([urgent, list]) {
        const isUrgent = flagOf(urgent);
        const addresses = addressesOf(list);
        if (isUrgent === undefined || addresses === undefined) return undefined;
        return { kind: 'neighbour', isUrgent, addresses };
      },
    },
  ],
  [codes.accept, { length: 0, read: () => ({ kind: 'accept' }) }],
  [
    codes.refuse,
    {
      length: 1,
      read([list]) {
        const peers = hintsOf(list);
        return peers && { kind: 'refuse', peers };
      },
    },
  ],
  [codes.disconnect, { length: 0, read: () => ({ kind: 'disconnect' }) }],
  [
    codes['forward-join'],
    {
      length: 2,
      read([one, hops]) {
        const newcomer = hintOf(one);
        const ttl = natOf(hops, ttlMax);
        if (newcomer === undefined || ttl === undefined) return undefined;
        return { kind: 'forward-join', newcomer, ttl };
      },
    },
  ],
  [codes.shuffle, { length: 5, read: readShuffle }],
  [
    codes['shuffle-reply'],
    {
      length: 2,
      read([ids, list]) {
        const path = pathOf(ids);
        const peers = hintsOf(list);
        if (path === undefined || peers === undefined) return undefined;
        return { kind: 'shuffle-reply', path, peers };
      },
    },
  ],
  [
    codes.pulse,
    {
      length: 3,
      read([id, life, number]) {
        const root = idOf(id);
        const boot = natOf(life, u48Max);
        const count = natOf(number, u48Max);
        if (root === undefined || boot === undefined || count === undefined) return undefined;
        return { kind: 'pulse', root, boot, count };
      },
    },
  ],
  [
    codes.holding,
    {
      length: 2,
      read([number, id]) {
        const epoch = natOf(number, u48Max);
        const by = idOf(id);
        return epoch === undefined || by === undefined ? undefined : { kind: 'holding', epoch, by };
      },
    },
  ],
]);

function readShuffle(parts: readonly unknown[]): OverlayMessage | undefined {
  const origin = hintOf(parts[0]);
  const hasRoom = flagOf(parts[1]);
  const ttl = natOf(parts[2], ttlMax);
  const path = pathOf(parts[3]);
  const peers = hintsOf(parts[4]);
  if (origin === undefined || hasRoom === undefined || ttl === undefined) return undefined;
  if (path === undefined || peers === undefined) return undefined;
  return { kind: 'shuffle', origin, hasRoom, ttl, path, peers };
}

const hintsOf = (value: unknown): PeerHint[] | undefined => listOf(value, hintsMax, hintOf);
const pathOf = (value: unknown): NodeId[] | undefined => listOf(value, pathMax, idOf);
const addressesOf = (value: unknown): Address[] | undefined =>
  listOf(value, hintAddressesMax, addressOf);

function hintOf(value: unknown): PeerHint | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [id, list]: readonly unknown[] = value;
  const node = idOf(id);
  const addresses = addressesOf(list);
  return node === undefined || addresses === undefined ? undefined : { node, addresses };
}

function addressOf(value: unknown): Address | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [host, number]: readonly unknown[] = value;
  const port = natOf(number, 65_535);
  if (typeof host !== 'string' || host.length === 0 || host.length > hostLengthMax) {
    return undefined;
  }
  return port === undefined || port === 0 ? undefined : { host, port };
}

function flagOf(value: unknown): boolean | undefined {
  const flag = natOf(value, 1);
  return flag === undefined ? undefined : flag === 1;
}
