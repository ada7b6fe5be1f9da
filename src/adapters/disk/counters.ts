/** How often this node has started: the part of every packet's nonce that makes a restart safe. */

import { MycelError } from '../../kernel/errors.ts';
import type { Store } from '../../ports/store.ts';

/**
 * The counter is kept twice, because a counter that fell back to an older value would repeat nonces, and a store falls
 * back to the previous content when the newest is damaged.
 */
const copies = ['boot', 'boot-copy'] as const;

/** Highest boot counter: 24 bits of a nonce. */
const bootMax = 0xff_ffff;

/**
 * Counts this start, durably, and returns its number (1 for the first). Call it before the first packet leaves.
 * @throws {MycelError} MYCEL_BOOT_COUNTER_LOST when both copies are damaged or 2^24 starts are used up, and what
 *   `Store.write` throws.
 */
export async function nextBoot(store: Store): Promise<number> {
  const boots: number[] = [];
  for (const name of copies) {
    const bytes = await store.read(name);
    if (bytes !== undefined && bytes.length === 4) boots.push(Buffer.from(bytes).readUInt32BE());
  }
  const isDamaged = store.damage().some(({ name }) => copies.some((copy) => copy === name));
  if (boots.length === 0 && isDamaged) throw new MycelError('MYCEL_BOOT_COUNTER_LOST');
  // A copy that survived damage may be one generation old: skip the number that may have been used.
  const next = Math.max(0, ...boots) + (isDamaged ? 2 : 1);
  if (next > bootMax) throw new MycelError('MYCEL_BOOT_COUNTER_LOST', { boots: next });
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(next);
  for (const name of copies) await store.write(name, bytes);
  return next;
}
