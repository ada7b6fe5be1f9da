/** Tells a first copy from a later one, per (origin, boot), in 160 bytes each (docs/protocols/routing.md, "Dedup"). */

import type { NodeId } from '../../kernel/ids.ts';

/** `stale`: too old to tell, or from a life of the origin that has ended. Only `new` may be acted upon. */
export type DedupVerdict = 'new' | 'duplicate' | 'stale';

/** Sequence numbers below the highest one seen that are still told apart. */
const dedupWindowSeqs = 1024;

/** Remembers which sequence numbers it has let in. */
export interface DedupWindow {
  admit(origin: NodeId, boot: number, seq: number): DedupVerdict;
  /** Whether it has let this one in, or is past the time when it could tell. */
  has(origin: NodeId, boot: number, seq: number): boolean;
  /** Origins remembered. */
  size(): number;
  /** Origins forgotten because there were too many: above 0 a late copy may pass as new. */
  evictedCount(): number;
}

interface Seen {
  boot: number;
  high: number;
  readonly bits: Uint32Array;
  usedAt: number;
}

/** Builds a window for at most `originsMax` origins (default 4096); the one unused the longest makes room. */
export function createDedupWindow(originsMax = 4096): DedupWindow {
  const origins = new Map<NodeId, Seen>();
  let useCount = 0;
  let evicted = 0;

  function makeRoom(): void {
    if (origins.size < Math.max(1, originsMax)) return;
    let oldest: [NodeId, Seen] | undefined;
    for (const entry of origins) {
      if (oldest === undefined || entry[1].usedAt < oldest[1].usedAt) oldest = entry;
    }
    if (oldest !== undefined) origins.delete(oldest[0]);
    evicted += 1;
  }

  return {
    admit(origin, boot, seq) {
      useCount += 1;
      let seen = origins.get(origin);
      if (seen === undefined) {
        makeRoom();
        seen = { boot, high: 0, bits: new Uint32Array(dedupWindowSeqs / 32), usedAt: useCount };
        origins.set(origin, seen);
      }
      seen.usedAt = useCount;
      if (boot < seen.boot) return 'stale';
      if (boot > seen.boot) {
        seen.boot = boot;
        seen.high = 0;
        seen.bits.fill(0);
      }
      return mark(seen, seq);
    },
    has(origin, boot, seq) {
      const seen = origins.get(origin);
      if (seen === undefined || boot > seen.boot || seq > seen.high) {
        return seen !== undefined && boot < seen.boot;
      }
      if (boot < seen.boot || seen.high - seq >= dedupWindowSeqs) return true;
      const slot = seq % dedupWindowSeqs;
      return ((seen.bits[slot >>> 5] ?? 0) & (1 << (slot & 31))) !== 0;
    },
    size: () => origins.size,
    evictedCount: () => evicted,
  };
}

function mark(seen: Seen, seq: number): DedupVerdict {
  if (seq > seen.high) {
    forget(seen, seq);
    seen.high = seq;
  } else if (seen.high - seq >= dedupWindowSeqs) return 'stale';
  const slot = seq % dedupWindowSeqs;
  const word = seen.bits[slot >>> 5] ?? 0;
  const bit = 1 << (slot & 31);
  if ((word & bit) !== 0) return 'duplicate';
  seen.bits[slot >>> 5] = word | bit;
  return 'new';
}

/** Clears the slots that the window slides over. */
function forget(seen: Seen, seq: number): void {
  const passed = seq - seen.high;
  if (passed >= dedupWindowSeqs) {
    seen.bits.fill(0);
    return;
  }
  for (let next = seen.high + 1; next <= seq; next += 1) {
    const slot = next % dedupWindowSeqs;
    seen.bits[slot >>> 5] = (seen.bits[slot >>> 5] ?? 0) & ~(1 << (slot & 31));
  }
}
