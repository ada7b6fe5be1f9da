/** How much room a publication takes. */

import { isLarge, partBytes } from '../../kernel/large-message.ts';
import type { Publication } from './router-world.ts';

/** Bytes of an encoded event beside topic and payload, for the quota only. */
export const overheadBytes = 64;

/**
 * What a publication counts against the outbox, in bytes. A large one is let in when there is room for a part, or it would
 * never be: so the outbox holds at most one message more than its bound. Several copies of it are let in into an empty one.
 */
export function sizeOf({ topic, payload }: Publication, copies = 1): number {
  const isAlone = copies === 1 && isLarge(payload);
  return copies * (overheadBytes + topic.length + (isAlone ? partBytes : payload.byteLength));
}
