/**
 * What members of a mesh say through somebody else's broker, sealed: sender 16 B ‖ count 6 B ‖ ciphertext ‖ tag 16 B.
 *
 * Topics and keys come from the mesh id, which members and holders of an invite know and a broker never sees. The topic
 * is associated data, so that nothing passes under another one; a sender is a random number of one process, its count
 * the nonce. The seal hides and marks what belongs to the mesh; who speaks is proved inside, by Noise and by the seals of
 * membership.
 */

import { BoundedMap } from '../kernel/bounded-map.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';
import { nonceBytes, openAead, sealAead, tagBytes } from './aead.ts';
import { concatBytes, fromHex, plainBytes, toHex, utf8 } from './bytes.ts';
import { hkdf, randomBytes } from './keys.ts';
import { createReplayWindow } from './replay-window.ts';
import type { ReplayWindow } from './replay-window.ts';

/** Senders whose counts are remembered; beyond it the one heard longest ago makes room. */
export const backboneSendersMax = 1024;

const senderBytes = 16;
const countBytes = 6;
const headerBytes = senderBytes + countBytes;

/** What sealing adds, in bytes. */
export const backboneOverheadBytes: number = headerBytes + tagBytes;

/** The rooms of one mesh on a broker; every name looks random. */
export interface BackboneRooms {
  /** Where everybody listens. */
  readonly all: string;
  /** The inbox of a node: 32 hex digits. */
  inboxOf(node: NodeId): string;
  topicOf(inbox: string): string;
  /** A seal with a sender number of its own. */
  createSeal(): BackboneSeal;
}

/** Seals and opens for one process. */
export interface BackboneSeal {
  /** This process, in hex. */
  readonly sender: string;
  seal(topic: string, plain: Uint8Array): Uint8Array;
  /** Undefined for what was not sealed for this mesh and topic, or came before. */
  open(topic: string, bytes: Uint8Array): OpenedPacket | undefined;
}

/** An opened packet. */
export interface OpenedPacket {
  readonly sender: string;
  readonly plain: Uint8Array;
}

/** The rooms of a mesh. */
export function backboneRooms(mesh: MeshId): BackboneRooms {
  const root = hkdf(fromHex(mesh), 'mycel/backbone/1');
  const name = (what: string): string => toHex(hkdf(root, what, 16));
  const prefix = name('prefix');
  const topicOf = (room: string): string => `${prefix}/${room}`;
  return {
    all: topicOf(name('all')),
    inboxOf: (node) => name(`inbox ${node}`),
    topicOf,
    createSeal: () => createSeal(root),
  };
}

function createSeal(root: Uint8Array): BackboneSeal {
  const own = randomBytes(senderBytes);
  const ownKey = keyOf(root, own);
  const senders = new BoundedMap<string, { key: Uint8Array; window: ReplayWindow }>(
    backboneSendersMax,
  );
  let count = 0;

  return {
    sender: toHex(own),
    seal(topic, plain) {
      count += 1;
      const nonce = nonceOf(count);
      const sealed = sealAead(ownKey, nonce, utf8(topic), plain, headerBytes);
      sealed.set(own);
      sealed.set(nonce.subarray(nonceBytes - countBytes), senderBytes);
      return sealed;
    },
    open(topic, given) {
      const bytes = plainBytes(given);
      if (bytes.length < backboneOverheadBytes) return undefined;
      const salt = bytes.slice(0, senderBytes);
      const sender = toHex(salt);
      const known = senders.get(sender);
      const seq = readCount(bytes.subarray(senderBytes, headerBytes));
      if (known !== undefined && !known.window.isFresh(seq)) return undefined;
      const key = known?.key ?? keyOf(root, salt);
      const plain = openAead(key, nonceOf(seq), utf8(topic), bytes.subarray(headerBytes));
      if (plain === undefined) return undefined;
      const { window } = known ?? { window: createReplayWindow() };
      window.accept(seq);
      senders.set(sender, { key, window });
      return { sender, plain };
    },
  };
}

function keyOf(root: Uint8Array, sender: Uint8Array): Uint8Array {
  return hkdf(root, concatBytes(utf8('sender'), sender));
}

function nonceOf(count: number): Uint8Array {
  const nonce = new Uint8Array(nonceBytes);
  new DataView(nonce.buffer).setUint32(nonceBytes - 4, count % 2 ** 32);
  new DataView(nonce.buffer).setUint16(nonceBytes - 6, Math.floor(count / 2 ** 32));
  return nonce;
}

function readCount(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}
