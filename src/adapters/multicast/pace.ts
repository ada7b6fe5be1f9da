/** How often to say hello: quickly at first and when someone new appears, calmly later. */

/** A burst is over after this long, in ms. */
export const burstMs = 10_000;

/** Pause within a burst of a small LAN, in ms. */
const burstPauseMs = 500;

/** Pause in the minute after a burst, in ms. */
const warmPauseMs = 5_000;

/** When the calm begins, in ms since the burst began. */
const warmMs = 60_000;

/** Pause when nothing happens, in ms. */
const calmPauseMs = 30_000;

/** A node unheard for this long is reported lost, in ms: three calm pauses with their jitter. */
export const helloHoldMs = 110_000;

/** Hellos per second that the burst of a whole LAN may add up to. */
const lanHellosPerSecond = 20;

/** Each pause is stretched or shortened by up to this share. */
const jitterShare = 0.2;

/**
 * The pause before the next hello, in ms.
 * @param sinceBurstMs time since the current burst began
 * @param neighbourCount nodes heard of: when many burst together each slows down, so the LAN's sum stays bounded
 * @param chance uniform in [0, 1)
 */
export function helloPauseMs(sinceBurstMs: number, neighbourCount: number, chance: number): number {
  const fairPauseMs = ((neighbourCount + 1) * 1000) / lanHellosPerSecond;
  let pauseMs = calmPauseMs;
  if (sinceBurstMs < burstMs) pauseMs = Math.max(burstPauseMs, fairPauseMs);
  else if (sinceBurstMs < warmMs) pauseMs = Math.max(warmPauseMs, fairPauseMs);
  return Math.min(pauseMs, calmPauseMs) * (1 + (chance * 2 - 1) * jitterShare);
}
