/**
 * A message as a backlog keeps it: length of all (4 bytes), flags (1), number in the broker (6), length of the topic (2), topic,
 * payload. Big endian.
 */

import type { BrokerPacket } from './aedes-types.ts';

/** A message and whether it is delivered at QoS 0. */
export interface KeptPacket {
  readonly packet: BrokerPacket;
  readonly isPlain: boolean;
}

const headBytes = 13;
const flag = { qos: 3, retain: 4, dup: 8, plain: 16, own: 32 } as const;

/** How many bytes it takes. */
export function sizeOfPacket({ packet }: KeptPacket): number {
  return headBytes + Buffer.byteLength(packet.topic) + packet.payload.length;
}

/** Writes it; there is room. @returns where it ends */
export function writePacket(into: Buffer, at: number, { packet, isPlain }: KeptPacket): number {
  const { topic, payload, qos, retain, dup, brokerId, brokerCounter } = packet;
  const isOwn = brokerId !== undefined && brokerId !== null && brokerCounter !== undefined;
  const topicBytes = into.write(topic, at + headBytes);
  const end = at + headBytes + topicBytes + payload.length;
  into.writeUInt32BE(end - at, at);
  into[at + 4] =
    qos |
    (retain ? flag.retain : 0) |
    (dup ? flag.dup : 0) |
    (isPlain ? flag.plain : 0) |
    (isOwn ? flag.own : 0);
  into.writeUIntBE(isOwn ? brokerCounter : 0, at + 5, 6);
  into.writeUInt16BE(topicBytes, at + 11);
  payload.copy(into, at + headBytes + topicBytes);
  return end;
}

/** Reads what was written; the payload is a view of `from`. @param brokerId of the broker that numbered it */
export function readPacket(
  from: Buffer,
  at: number,
  brokerId: string,
): { readonly kept: KeptPacket; readonly end: number } {
  const end = at + from.readUInt32BE(at);
  const flags = from[at + 4] ?? 0;
  const topicEnd = at + headBytes + from.readUInt16BE(at + 11);
  const packet: BrokerPacket = {
    cmd: 'publish',
    topic: from.toString('utf8', at + headBytes, topicEnd),
    payload: from.subarray(topicEnd, end),
    qos: (flags & flag.qos) as 0 | 1 | 2,
    retain: (flags & flag.retain) !== 0,
    dup: (flags & flag.dup) !== 0,
    ...((flags & flag.own) === 0 ? {} : { brokerId, brokerCounter: from.readUIntBE(at + 5, 6) }),
  };
  return { kept: { packet, isPlain: (flags & flag.plain) !== 0 }, end };
}
