/** How much room a publication takes. */

import type { Publication } from './router-world.ts';

/** Bytes of an encoded event beside topic and payload, for the quota only. */
export const overheadBytes = 64;

/** What a publication counts against the outbox, in bytes. */
export function sizeOf({ topic, payload }: Publication): number {
  return overheadBytes + topic.length + payload.byteLength;
}
