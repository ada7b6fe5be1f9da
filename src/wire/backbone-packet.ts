/**
 * The packets inside the seal of a backbone. Kind 1 B, then: `hello` node 16, port 2, asks 1, IPv4 hosts 4 each; `datagram` inbox 16, port 2,
 * bytes; the others stream 8, and `open` inbox 16, port 2; `data` side 1, seq 4, bytes; `credit` side 1, bytes in all 6;
 * `end` side 1, seq 4; `reset` side 1. Big endian.
 */

import { nodeIdFromHash, nodeIdToBytes } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import { fromHex, toHex } from './bytes.ts';

/** Which end of a stream says it: the one that dialled or the one that was dialled. */
export type StreamSide = 'dialler' | 'acceptor';

/** A packet. */
export type BackbonePacket =
  /** A member is here; `asks`: and wants to know who else is. */
  | {
      readonly kind: 'hello';
      readonly node: NodeId;
      readonly port: number;
      readonly asks: boolean;
      /** Where it is on its LAN. */
      readonly hosts: readonly string[];
    }
  | {
      readonly kind: 'datagram';
      readonly inbox: string;
      readonly port: number;
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: 'open';
      readonly stream: string;
      readonly inbox: string;
      readonly port: number;
    }
  | {
      readonly kind: 'data';
      readonly stream: string;
      readonly side: StreamSide;
      readonly seq: number;
      readonly bytes: Uint8Array;
    }
  /** The other end may have sent so many bytes since the stream was opened. */
  | {
      readonly kind: 'credit';
      readonly stream: string;
      readonly side: StreamSide;
      readonly bytes: number;
    }
  /** The last word of this side, after so many pieces. */
  | {
      readonly kind: 'end';
      readonly stream: string;
      readonly side: StreamSide;
      readonly seq: number;
    }
  | { readonly kind: 'reset'; readonly stream: string; readonly side: StreamSide };

const kinds = ['hello', 'datagram', 'open', 'data', 'credit', 'end', 'reset'] as const;

/** Hosts that a hello names; more are left out. */
export const helloHostsMax = 4;

/** Bytes of a stream's number. */
export const streamIdBytes = 8;

const inboxBytes = 16;

/** Encodes one. */
export function encodeBackbonePacket(packet: BackbonePacket): Uint8Array {
  const kind = kinds.indexOf(packet.kind) + 1;
  switch (packet.kind) {
    case 'hello':
      return Uint8Array.of(
        kind,
        ...nodeIdToBytes(packet.node),
        ...u16(packet.port),
        packet.asks ? 1 : 0,
        ...packet.hosts.filter(isIPv4).slice(0, helloHostsMax).flatMap(octetsOf),
      );
    case 'datagram':
      return withBody([kind, ...fromHex(packet.inbox), ...u16(packet.port)], packet.bytes);
    case 'open':
      return Uint8Array.of(
        kind,
        ...fromHex(packet.stream),
        ...fromHex(packet.inbox),
        ...u16(packet.port),
      );
    case 'data':
      return withBody([...streamHead(kind, packet), ...u32(packet.seq)], packet.bytes);
    case 'credit': {
      const { bytes } = packet;
      const high = Math.floor(bytes / 2 ** 32);
      return Uint8Array.of(...streamHead(kind, packet), ...u16(high), ...u32(bytes % 2 ** 32));
    }
    case 'end':
      return Uint8Array.of(...streamHead(kind, packet), ...u32(packet.seq));
    case 'reset':
      return Uint8Array.from(streamHead(kind, packet));
  }
}

/** Decodes one; undefined for anything else. Never throws; bytes are views. */
export function decodeBackbonePacket(bytes: Uint8Array): BackbonePacket | undefined {
  const kind = kinds[(bytes[0] ?? 0) - 1];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = bytes;
  switch (kind) {
    case undefined:
      return undefined;
    case 'hello': {
      const asks = bytes[19];
      const count = (length - 20) / 4;
      if (!Number.isInteger(count) || count < 0 || count > helloHostsMax) return undefined;
      const port = view.getUint16(17);
      if (port === 0 || (asks !== 0 && asks !== 1)) return undefined;
      const hosts = Array.from({ length: count }, (_, at) =>
        bytes.subarray(20 + 4 * at, 24 + 4 * at).join('.'),
      );
      const node = nodeIdFromHash(bytes.subarray(1, 17));
      return { kind, node, port, asks: asks === 1, hosts };
    }
    case 'datagram': {
      if (length < 19) return undefined;
      const port = view.getUint16(17);
      if (port === 0) return undefined;
      return { kind, inbox: toHex(bytes.subarray(1, 17)), port, bytes: bytes.subarray(19) };
    }
    case 'open': {
      if (length !== 1 + streamIdBytes + inboxBytes + 2) return undefined;
      const port = view.getUint16(25);
      const inbox = toHex(bytes.subarray(9, 25));
      return port === 0 ? undefined : { kind, stream: toHex(bytes.subarray(1, 9)), inbox, port };
    }
    default:
      return decodeOfStream(kind, bytes, view);
  }
}

function decodeOfStream(
  kind: 'data' | 'credit' | 'end' | 'reset',
  bytes: Uint8Array,
  view: DataView,
): BackbonePacket | undefined {
  const number = bytes[9];
  if (number !== 0 && number !== 1) return undefined;
  const stream = toHex(bytes.subarray(1, 9));
  const side: StreamSide = number === 0 ? 'dialler' : 'acceptor';
  const { length } = bytes;
  if (kind === 'reset') return length === 10 ? { kind, stream, side } : undefined;
  if (kind === 'credit') {
    if (length !== 16) return undefined;
    return { kind, stream, side, bytes: view.getUint16(10) * 2 ** 32 + view.getUint32(12) };
  }
  if (kind === 'end') {
    return length === 14 ? { kind, stream, side, seq: view.getUint32(10) } : undefined;
  }
  if (length <= 14) return undefined;
  return { kind, stream, side, seq: view.getUint32(10), bytes: bytes.subarray(14) };
}

function streamHead(
  kind: number,
  { stream, side }: { readonly stream: string; readonly side: StreamSide },
): number[] {
  return [kind, ...fromHex(stream), side === 'dialler' ? 0 : 1];
}

function withBody(head: readonly number[], body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

const isIPv4 = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
const octetsOf = (host: string): number[] => host.split('.').map(Number);
const u16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
const u32 = (value: number): number[] => [
  ...u16(Math.floor(value / 65_536)),
  ...u16(value % 65_536),
];
