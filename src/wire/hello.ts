/** The hello datagram: 36 bytes in which a node tells a LAN that it is there. */

import { nodeIdFromHash, nodeIdToBytes } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';

/**
 * What a hello says. It is not authenticated, on purpose: it is a hint where to dial, and the link handshake decides.
 * It names no mesh, no person and no topic.
 */
export interface Hello {
  readonly node: NodeId;
  /** 16 lower-case hex digits. */
  readonly meshTag: string;
  readonly state: 'member' | 'unclaimed' | 'open';
  /** TCP and UDP port of the node, 1 to 65535. */
  readonly port: number;
  /** Drawn at each start, 32 bits: a node known from before its restart is greeted as a newcomer. */
  readonly nonce: number;
  /** The node is going away. */
  readonly isGoodbye: boolean;
  /** Sent to one newcomer in answer to its hello; an answer is never answered. */
  readonly isAnswer: boolean;
}

/**
 * Layout, big-endian: magic "MYCH" (4), version (1), flags (1), port (2), node (16), mesh tag (8), nonce (4).
 * Flags: bits 0-1 state, bit 2 goodbye, bit 3 answer, the others 0.
 */
export const helloBytes = 36;

const magic = 0x4d594348;
const version = 1;
const states = ['member', 'unclaimed', 'open'] as const;
const goodbyeFlag = 4;
const answerFlag = 8;

/** Writes a hello. */
export function encodeHello(hello: Hello): Uint8Array {
  const bytes = new Uint8Array(helloBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic);
  bytes[4] = version;
  bytes[5] =
    states.indexOf(hello.state) |
    (hello.isGoodbye ? goodbyeFlag : 0) |
    (hello.isAnswer ? answerFlag : 0);
  view.setUint16(6, hello.port);
  bytes.set(nodeIdToBytes(hello.node), 8);
  view.setBigUint64(24, BigInt(`0x${hello.meshTag}`));
  view.setUint32(32, hello.nonce >>> 0);
  return bytes;
}

/** Reads a hello; undefined for anything that is not exactly one. Never throws. */
export function decodeHello(bytes: Uint8Array): Hello | undefined {
  if (bytes.length !== helloBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint8(5);
  const state = states[flags & 3];
  const port = view.getUint16(6);
  if (view.getUint32(0) !== magic || view.getUint8(4) !== version) return undefined;
  if (state === undefined || flags > 15 || port === 0) return undefined;
  return {
    node: nodeIdFromHash(bytes.subarray(8, 24)),
    meshTag: view.getBigUint64(24).toString(16).padStart(16, '0'),
    state,
    port,
    nonce: view.getUint32(32),
    isGoodbye: (flags & goodbyeFlag) !== 0,
    isAnswer: (flags & answerFlag) !== 0,
  };
}
