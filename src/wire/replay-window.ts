/** Which numbered messages of one sender were seen: a sliding window over a counter (RFC 4303, appendix A2, with 1024 bits). */

/** How far behind the newest number a late message may be and still be told from a replay. */
export const replayWindowBits = 1024;

/** The numbers of one sender. */
export interface ReplayWindow {
  /** Whether the number is new: neither seen nor too old to know. */
  isFresh(seq: number): boolean;
  /** Remembers a number, once its message has proved genuine. */
  accept(seq: number): void;
}

/** Builds a window that has seen nothing. Numbers are whole, from 0 to 2^53. */
export function createReplayWindow(): ReplayWindow {
  const words = new Uint32Array(replayWindowBits / 32);
  let newest = -1;
  const wordAt = (seq: number): number => Math.floor(seq / 32) % words.length;
  const maskAt = (seq: number): number => 1 << (seq % 32);

  return {
    isFresh(seq) {
      if (seq > newest) return true;
      if (newest - seq >= replayWindowBits) return false;
      return ((words[wordAt(seq)] ?? 0) & maskAt(seq)) === 0;
    },
    accept(seq) {
      if (seq > newest) {
        if (seq - newest >= replayWindowBits) words.fill(0);
        else {
          for (let skipped = newest + 1; skipped < seq; skipped += 1) {
            words[wordAt(skipped)] = (words[wordAt(skipped)] ?? 0) & ~maskAt(skipped);
          }
        }
        newest = seq;
      } else if (newest - seq >= replayWindowBits) return;
      words[wordAt(seq)] = (words[wordAt(seq)] ?? 0) | maskAt(seq);
    },
  };
}
