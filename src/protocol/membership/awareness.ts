/** Lifeguard's local health: a node that misses answers doubts itself first and slows down (arXiv 1707.00788, IV-A). */

/** Saturating counter 0..max-1; memberlist's range, so that the period is stretched at most `max` times. */
export class Awareness {
  readonly max: number;
  readonly isActive: boolean;
  #score = 0;

  constructor(max: number, isActive: boolean) {
    this.max = Math.max(1, max);
    this.isActive = isActive;
  }

  /** 0 is healthy. */
  get score(): number {
    return this.#score;
  }

  /** What the probe interval is multiplied with. */
  get factor(): number {
    return this.#score + 1;
  }

  apply(delta: number): void {
    if (!this.isActive) return;
    this.#score = Math.min(this.max - 1, Math.max(0, this.#score + delta));
  }

  /** As unwell as can be: after a suspend, everything this node believes is old. */
  saturate(): void {
    this.apply(this.max);
  }
}
