/** Warming up: what runs for days is measured as it runs after its first seconds, on both sides of a comparison. */

/** Rates within this share of each other count as the same. */
const sameShare = 0.05;

/** How often in a row there must be no new best before it is warm, and how many samples are taken at most. */
const calmSamples = 2;
const samplesMax = 12;

/**
 * Takes samples of a rate until it has stopped rising. V8 compiles what is hot while it runs: a path of ten packages takes a
 * second of both cores for that, and one of three a part of it.
 */
export async function warmUp(sample: () => Promise<number>): Promise<void> {
  let best = 0;
  let calm = 0;
  for (let at = 0; at < samplesMax && calm < calmSamples; at += 1) {
    const rate = await sample();
    calm = rate > best * (1 + sameShare) ? 0 : calm + 1;
    best = Math.max(best, rate);
  }
}
