/** Keeps mqtt-packet, which mqtt.js and aedes write with, from holding memory for numbers. */

import { packetLength } from './packet-lengths.ts';

/** The part of mqtt-packet's numbers that is changed. */
interface NumbersModule {
  readonly default: { genBufVariableByteInt: (length: number) => Buffer };
}

/**
 * For the whole process, and to be awaited before mqtt.js or aedes is loaded: what writes packets takes the functions for
 * numbers over when it is. A program that has loaded them itself before keeps mqtt-packet's way with lengths.
 *
 * The table of every two-byte number is turned off: 7.5 MB, 0.15 us of 1.8 us a packet without it; a frame holds many
 * messages (docs/decisions/0009).
 */
export async function writeNumbersLightly(): Promise<void> {
  // @ts-expect-error mqtt-packet has no types for this file
  const { default: numbers } = (await import('mqtt-packet/numbers.js')) as NumbersModule;
  numbers.genBufVariableByteInt = packetLength;
  const { default: mqttPacket } = await import('mqtt-packet');
  mqttPacket.writeToStream.cacheNumbers = false;
}
