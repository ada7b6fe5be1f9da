/**
 * How suspicious a silence is, from how regular the heartbeats before it were (Hayashibara et al. 2004). A grade for early
 * warnings and choices, never a verdict: one lost heartbeat defeats every threshold without a pause (protocols 8.1).
 */

import type { Millis } from '../../kernel/core.ts';

/** What to make of heartbeats. */
export interface PhiConfig {
  /** Gaps remembered. @default 1000 */
  readonly window?: number;
  /** The least that heartbeats are taken to vary by, in ms. */
  readonly deviationMsMin: Millis;
  /** A silence this much longer than usual is nothing at all, in ms. */
  readonly pauseMs: Millis;
}

/** The heartbeats of one source. */
export class PhiAccrual {
  readonly #window: number;
  readonly #deviationMsMin: Millis;
  readonly #pauseMs: Millis;
  readonly #gaps: number[] = [];
  #next = 0;
  #sum = 0;
  #squares = 0;

  constructor({ window = 1000, deviationMsMin, pauseMs }: PhiConfig) {
    this.#window = window;
    this.#deviationMsMin = deviationMsMin;
    this.#pauseMs = pauseMs;
  }

  /** Time between two heartbeats, in ms. */
  heard(gapMs: Millis): void {
    const gone = this.#gaps[this.#next] ?? 0;
    this.#gaps[this.#next] = gapMs;
    this.#next = (this.#next + 1) % this.#window;
    this.#sum += gapMs - gone;
    this.#squares += gapMs * gapMs - gone * gone;
    if (this.#next > 0) return;
    // What rounding has added up goes once a round.
    this.#sum = this.#gaps.reduce((sum, gap) => sum + gap, 0);
    this.#squares = this.#gaps.reduce((sum, gap) => sum + gap * gap, 0);
  }

  /**
   * The suspicion of a silence of this length: -log10 of the chance that the next heartbeat is still to come, if gaps are
   * normal. 0 before there are two gaps.
   */
  phi(silenceMs: Millis): number {
    const count = this.#gaps.length;
    if (count < 2) return 0;
    const mean = this.#sum / count;
    const deviation = Math.sqrt(Math.max(0, this.#squares / count - mean * mean));
    const unit = Math.max(deviation, this.#deviationMsMin);
    return Math.max(0, -log10OfTail((silenceMs - this.#pauseMs - mean) / unit));
  }

  /** The gap that so large a share of the remembered ones does not exceed; 0 when there is none. */
  quantile(share: number): Millis {
    const sorted = this.#gaps.toSorted((left, right) => left - right);
    return sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  }
}

/**
 * log10 of the upper tail of the normal distribution, also where the tail itself is too small for a number (Chebyshev
 * fit of the complementary error function, Press et al., Numerical Recipes 6.2: relative error below 1.2e-7).
 */
function log10OfTail(deviations: number): number {
  const z = Math.abs(deviations) / Math.SQRT2;
  const t = 1 / (1 + z / 2);
  let fit = 0;
  for (const coefficient of tailFit) fit = fit * t + coefficient;
  const lnErfc = Math.log(t) - z * z + fit;
  if (deviations >= 0) return (lnErfc - Math.LN2) / Math.LN10;
  return Math.log10(1 - Math.exp(lnErfc) / 2);
}

/** From the ninth power down. */
const tailFit = [
  0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
  1.00002368, -1.26551223,
];
