/** A publish at QoS 0 as its bytes (MQTT 3.1.1, 3.3): for a link, whose frames wait for no turn of a broker. */

const topicLengthBytes = 2;
const remainingLengthBytesMax = 4;

/** Makes the packet; the payload is copied into it. */
export function publishPacket(topic: string, payload: Uint8Array): Buffer {
  const remaining = topicLengthBytes + Buffer.byteLength(topic) + payload.byteLength;
  const packet = Buffer.allocUnsafe(1 + remainingLengthBytesMax + remaining);
  let at = packet.writeUInt8(0x30, 0);
  for (let rest = remaining; ; rest >>>= 7) {
    at = packet.writeUInt8(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest, at);
    if (rest <= 0x7f) break;
  }
  at = packet.writeUInt16BE(remaining - topicLengthBytes - payload.byteLength, at);
  at += packet.write(topic, at);
  packet.set(payload, at);
  return packet.subarray(0, at + payload.byteLength);
}
