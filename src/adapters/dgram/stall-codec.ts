/**
 * The two sealed packets by which a node asks another "are you there?" past its blocked event loop.
 *
 * Both are 55 bytes: kind 1 ‖ epoch 2 ‖ sender 8 ‖ nonce 12 ‖ ChaCha20-Poly1305 of 16 bytes ‖ tag 16, the first 23 as
 * associated data. Keys are derived from the epoch key under labels of their own and nonces are random, so neither
 * shares a key and nonce with the membership datagrams, whatever their counters do.
 */

import type nodeCrypto from 'node:crypto';

/** What opening a packet gives. */
interface OpenedStall {
  /** The first 8 bytes of the sender's node id, in hex. */
  readonly sender: string;
  /** 16 bytes. */
  readonly plain: Buffer;
}

/** Seals and opens the packets. */
export interface StallCodec {
  /** @param plain 16 bytes. */
  seal(
    kind: number,
    epoch: number,
    epochKey: Uint8Array,
    sender: Uint8Array,
    plain: Buffer,
  ): Buffer;
  /** Undefined for anything that is not a packet of this kind by a holder of the key. Never throws. */
  open(kind: number, epoch: number, epochKey: Uint8Array, packet: Buffer): OpenedStall | undefined;
}

/** First byte of a question; no membership datagram starts with it (theirs is a version, 1). */
export const stallAsk = 0x53;

/** First byte of an answer. */
export const stallAnswer = 0x73;

/** Size of both packets, so that a forged sender address gains an attacker nothing. */
export const stallPacketBytes = 55;

/**
 * Builds the codec from the crypto module it is given. The function refers to nothing outside of itself: its text is
 * also the code of the worker thread.
 */
export function createStallCodec(crypto: typeof nodeCrypto, label: string): StallCodec {
  const derived = new Map<string, Buffer>();

  function keyOf(kind: number, epochKey: Uint8Array, sender: Uint8Array): Buffer {
    const info = Buffer.concat([Buffer.from(`${label}/${kind}/`), sender]);
    const name = `${Buffer.from(epochKey).toString('base64')}${info.toString('base64')}`;
    const known = derived.get(name);
    if (known !== undefined) return known;
    // Forgetting all at 256 is cheap and needs no bookkeeping.
    if (derived.size >= 256) derived.clear();
    const key = Buffer.from(crypto.hkdfSync('sha256', epochKey, Buffer.alloc(32), info, 32));
    derived.set(name, key);
    return key;
  }

  return {
    seal(kind, epoch, epochKey, sender, plain) {
      const header = Buffer.alloc(23);
      header.writeUInt8(kind, 0);
      header.writeUInt16BE(epoch % 65_536, 1);
      header.set(sender.subarray(0, 8), 3);
      crypto.randomFillSync(header, 11, 12);
      const key = keyOf(kind, epochKey, header.subarray(3, 11));
      const nonce = header.subarray(11, 23);
      const cipher = crypto.createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
      cipher.setAAD(header, { plaintextLength: 16 });
      const body = cipher.update(plain);
      cipher.final();
      return Buffer.concat([header, body, cipher.getAuthTag()]);
    },
    open(kind, epoch, epochKey, packet) {
      if (packet.length !== 55 || packet[0] !== kind) return undefined;
      if (packet.readUInt16BE(1) !== epoch % 65_536) return undefined;
      const sender = packet.subarray(3, 11);
      try {
        const key = keyOf(kind, epochKey, sender);
        const nonce = packet.subarray(11, 23);
        const open = crypto.createDecipheriv('chacha20-poly1305', key, nonce, {
          authTagLength: 16,
        });
        open.setAAD(packet.subarray(0, 23), { plaintextLength: 16 });
        open.setAuthTag(packet.subarray(39, 55));
        const plain = open.update(packet.subarray(23, 39));
        open.final();
        return { sender: sender.toString('hex'), plain };
      } catch {
        return undefined;
      }
    },
  };
}
