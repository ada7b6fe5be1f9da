/**
 * Sealed membership datagrams: version 1 B ‖ epoch 2 B ‖ sender 8 B ‖ boot 3 B ‖ sequence 5 B ‖ ciphertext ‖ tag 16 B.
 *
 * The header is associated data; boot and sequence are the nonce, so no nonce repeats as long as the boot counter is on
 * disk before the first datagram. The seal proves "a member of this epoch", not which one: what matters inside is signed.
 */

import { BoundedMap } from '../kernel/bounded-map.ts';
import { nodeIdToBytes } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import { invariant } from '../kernel/invariant.ts';
import { nonceBytes, openAead, sealAead } from './aead.ts';
import { concatBytes, isSameBytes, plainBytes, toHex, utf8 } from './bytes.ts';
import { hkdf } from './keys.ts';
import { createReplayWindow } from './replay-window.ts';
import type { ReplayWindow } from './replay-window.ts';

/** A key that every member of the epoch holds. */
export interface EpochKey {
  readonly epoch: number;
  readonly key: Uint8Array;
}

/** The keys in use: one seals, all open. */
export interface EpochKeys {
  readonly current: EpochKey;
  readonly others: readonly EpochKey[];
}

/** Why a datagram was dropped. `epoch`: sealed with a key we do not hold; `tag`: forged or damaged. */
export type DatagramRefusal = 'short' | 'version' | 'epoch' | 'tag' | 'replay';

/** An opened datagram. */
export interface OpenedDatagram {
  /** The short id of the sender in hex: the first 8 bytes of its node id. */
  readonly sender: string;
  readonly plain: Uint8Array;
  readonly epoch: number;
}

/** Seals and opens the datagrams of one node. */
export interface DatagramSeal {
  /** Adds `datagramOverheadBytes`. */
  seal(plain: Uint8Array): Uint8Array;
  open(bytes: Uint8Array): OpenedDatagram | { readonly refusal: DatagramRefusal };
}

/** What a node gives to its seal. */
export interface DatagramSealOptions {
  readonly node: NodeId;
  /** How often this node has started, from 0 to 2^24 - 1; on disk before the first `seal`. */
  readonly bootCounter: number;
  keys(): EpochKeys;
}

/** What sealing adds to a datagram, in bytes. */
export const datagramOverheadBytes = 35;

/** Senders whose replay window is kept. The one heard longest ago makes room; its old datagrams could then pass once more. */
export const datagramSendersMax = 4096;

const headerBytes = 19;
const version = 1;
const swimLabel = utf8('swim');
const bootMax = 2 ** 24 - 1;
const seqMax = 2 ** 40 - 1;

/** What is known of one sender under one epoch key. */
interface Sender {
  readonly key: Uint8Array;
  boot: number;
  window: ReplayWindow;
}

/** The senders heard under one epoch key. */
interface EpochSenders {
  readonly key: Uint8Array;
  readonly senders: BoundedMap<string, Sender>;
}

/** The name by which datagrams call a node: 8 bytes in hex. */
export function shortIdOf(node: NodeId): string {
  return toHex(nodeIdToBytes(node).subarray(0, 8));
}

/** Builds a node's seal. */
export function createDatagramSeal(options: DatagramSealOptions): DatagramSeal {
  const { bootCounter } = options;
  invariant(bootCounter >= 0 && bootCounter <= bootMax, 'a boot counter has 24 bits');
  const ownShort = nodeIdToBytes(options.node).slice(0, 8);
  const ownShortHex = toHex(ownShort);
  let epochs: EpochSenders[] = [];
  let sealing: { epochKey: Uint8Array; key: Uint8Array } | undefined;
  let seq = 0;

  /** Windows live with their epoch key: when it goes, what a rogue member did to them goes too. */
  function sendersOf(keys: EpochKeys, epochKey: Uint8Array): BoundedMap<string, Sender> {
    const known = epochs.find(({ key }) => isSameKey(key, epochKey));
    if (known !== undefined) return known.senders;
    const inUse = [keys.current, ...keys.others];
    epochs = epochs.filter(({ key }) => inUse.some((used) => isSameKey(used.key, key)));
    const senders = new BoundedMap<string, Sender>(datagramSendersMax);
    epochs.push({ key: epochKey, senders });
    return senders;
  }

  function openWith(
    keys: EpochKeys,
    epochKey: EpochKey,
    bytes: Uint8Array,
  ): OpenedDatagram | DatagramRefusal {
    const short = bytes.subarray(3, 11);
    const sender = toHex(short);
    const known = sendersOf(keys, epochKey.key);
    const entry = known.get(sender);
    const boot = readUint(bytes, 11, 3);
    const number = readUint(bytes, 14, 5);
    if (entry !== undefined && !isFresh(entry, boot, number)) return 'replay';
    // Our own words coming back. The same name with another count is another holder of our identity: let it be seen.
    if (sender === ownShortHex && boot === bootCounter && number <= seq) return 'replay';
    const key = entry?.key ?? senderKey(epochKey.key, short);
    const header = bytes.subarray(0, headerBytes);
    const plain = openAead(key, nonceOf(header), header, bytes.subarray(headerBytes));
    if (plain === undefined) return 'tag';
    // Only a genuine datagram may cost us memory.
    const next = entry ?? { key, boot, window: createReplayWindow() };
    if (boot > next.boot) {
      next.boot = boot;
      next.window = createReplayWindow();
    }
    next.window.accept(number);
    known.set(sender, next);
    return { sender, plain, epoch: epochKey.epoch };
  }

  return {
    seal(plain) {
      const { current } = options.keys();
      if (sealing?.epochKey !== current.key) {
        sealing = { epochKey: current.key, key: senderKey(current.key, ownShort) };
      }
      seq += 1;
      invariant(seq <= seqMax, 'the sequence of one boot has 40 bits');
      const header = new Uint8Array(headerBytes);
      header[0] = version;
      writeUint(header, 1, 2, current.epoch % 0x10000);
      header.set(ownShort, 3);
      writeUint(header, 11, 3, bootCounter);
      writeUint(header, 14, 5, seq);
      const sealed = sealAead(sealing.key, nonceOf(header), header, plain, headerBytes);
      sealed.set(header);
      return sealed;
    },
    open(received) {
      const bytes = plainBytes(received);
      if (bytes.byteLength < datagramOverheadBytes) return { refusal: 'short' };
      if (bytes[0] !== version) return { refusal: 'version' };
      const epoch = readUint(bytes, 1, 2);
      const keys = options.keys();
      let refusal: DatagramRefusal = 'epoch';
      // Two admins may have made different keys of the same number while apart: each is tried.
      for (const epochKey of [keys.current, ...keys.others]) {
        if (epochKey.epoch % 0x10000 !== epoch) continue;
        const outcome = openWith(keys, epochKey, bytes);
        if (typeof outcome !== 'string') return outcome;
        refusal = outcome;
        if (outcome === 'replay') break;
      }
      return { refusal };
    },
  };
}

/** Mostly the very same array; the bytes decide, or a caller that copies keys would lose its replay windows. */
function isSameKey(left: Uint8Array, right: Uint8Array): boolean {
  return left === right || isSameBytes(left, right);
}

function isFresh(entry: Sender, boot: number, seq: number): boolean {
  if (boot !== entry.boot) return boot > entry.boot;
  return entry.window.isFresh(seq);
}

/** A key per sender, so that two nodes whose counters are equal never share a nonce. */
function senderKey(epochKey: Uint8Array, short: Uint8Array): Uint8Array {
  return hkdf(epochKey, concatBytes(swimLabel, short));
}

/** Boot and sequence, as they stand in the header, behind four zero bytes. */
function nonceOf(header: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(nonceBytes);
  nonce.set(header.subarray(11, headerBytes), nonceBytes - 8);
  return nonce;
}

function readUint(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let index = at; index < at + size; index += 1) value = value * 256 + (bytes[index] ?? 0);
  return value;
}

function writeUint(bytes: Uint8Array, at: number, size: number, value: number): void {
  for (let index = at + size - 1, left = value; index >= at; index -= 1) {
    bytes[index] = left % 256;
    left = Math.floor(left / 256);
  }
}
