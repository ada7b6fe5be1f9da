/** How often this node has started: the part of every packet's nonce that makes a restart safe. */

import { MycelError } from '../../kernel/errors.ts';
import type { Store } from '../../ports/store.ts';

/** The counter is kept in two records, so that no single damaged file can take it back or lose it. */
const copies = ['boot', 'boot-copy'] as const;

/** Written when every copy was found damaged, so that the next start does not count from 1 either. */
const lostMark = 'boot-lost';

/** Highest boot counter: 24 bits of a nonce. */
const bootMax = 0xff_ffff;

/**
 * Counts this start, durably, and returns its number (1 for the first). Call it before the first packet leaves.
 * @throws {MycelError} MYCEL_BOOT_COUNTER_LOST when every copy is damaged or 2^24 starts are used up, and what
 *   `Store.write` throws.
 */
export async function nextBoot(store: Store): Promise<number> {
  if ((await store.read(lostMark)) !== undefined) throw new MycelError('MYCEL_BOOT_COUNTER_LOST');
  const boots = await readBoots(store);
  if (boots.length === 0 && store.damage().some(({ name }) => name.startsWith('boot'))) {
    await store.write(lostMark, Uint8Array.of(1));
    throw new MycelError('MYCEL_BOOT_COUNTER_LOST');
  }
  const next = Math.max(0, ...boots) + 1;
  if (next > bootMax) throw new MycelError('MYCEL_BOOT_COUNTER_LOST', { boots: next });
  await writeBoot(store, next);
  return next;
}

/**
 * Raises the counter to at least this much, durably: peers remember a later life of this node, so the data directory was
 * restored from an old image. The next start counts on from there.
 */
export async function raiseBoot(store: Store, boot: number): Promise<void> {
  const known = await readBoots(store);
  if (boot > Math.max(0, ...known)) await writeBoot(store, Math.min(boot, bootMax));
}

async function readBoots(store: Store): Promise<number[]> {
  const boots: number[] = [];
  for (const name of copies) {
    const bytes = await store.read(name);
    if (bytes !== undefined && bytes.length === 4) boots.push(Buffer.from(bytes).readUInt32BE());
  }
  return boots;
}

async function writeBoot(store: Store, boot: number): Promise<void> {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(boot);
  for (const name of copies) {
    // Twice: a store that finds the newest content damaged falls back to the one before, and that must not be older.
    await store.write(name, bytes);
    await store.write(name, bytes);
  }
}
