/**
 * Memory for large records that are copied on at once. Made anew for each it is filled with zeros first, and the engine
 * collects after each 32 MB of it, in a pause that whoever is served at that moment waits through.
 */

import { carve } from './carve.ts';

/** Records up to this are given memory of their own: that is cheap, and they may be kept. */
const ownBytesMax: number = 4 * 1024;

/** Builds a lender; what is larger than `bytesMax` gets memory of its own as well. */
export function createLender(bytesMax: number): (size: number) => Uint8Array {
  let memory: Uint8Array | undefined;
  return (size) => {
    if (size <= ownBytesMax || size > bytesMax) return carve(size);
    memory ??= new Uint8Array(bytesMax);
    return memory.subarray(0, size);
  };
}
