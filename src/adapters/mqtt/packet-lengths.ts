/** The remaining length of a packet, in little memory: for mqtt-packet, which keeps every length it has written. */

/** Lengths below this are kept by mqtt-packet for ever, each in a buffer (`varByteIntCache`). */
const keptLengths = 16_384;

/** All kept lengths, two bytes each; made when the first packet is written. */
let slab: Buffer | undefined;

/**
 * A packet's remaining length (MQTT 3.1.1, 2.2.3). mqtt-packet's own function takes four bytes of Node's pool for each:
 * a length kept for ever then holds the 8 KiB of its neighbours, 134 MB for all of them.
 */
export function packetLength(length: number): Buffer {
  if (length >= keptLengths) return encode(Buffer.alloc(4), length);
  // Not of the pool, which is what this is about.
  slab ??= Buffer.from(new ArrayBuffer(keptLengths * 2));
  return encode(slab.subarray(length * 2, length * 2 + 2), length);
}

function encode(into: Buffer, length: number): Buffer {
  let rest = length;
  let at = 0;
  do {
    const digit = rest % 128;
    rest = Math.floor(rest / 128);
    into[at] = rest > 0 ? digit + 128 : digit;
    at += 1;
  } while (rest > 0 && at < into.length);
  return into.subarray(0, at);
}
