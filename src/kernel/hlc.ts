/**
 * Hybrid logical clock: timestamps that respect cause and effect and stay near wall time
 * (Kulkarni, Demirbas et al., "Logical Physical Clocks", 2014; hazards: docs/divergences.md).
 * Used to order writes, never for timeouts and never for a security decision.
 */

/** Wall milliseconds and a counter that orders events inside one millisecond. */
export interface Hlc {
  readonly wallMs: number;
  readonly count: number;
}

/** Counter values above this carry into the next millisecond. */
const countMax = 0xffff;

/** What became of a timestamp that a peer sent. `malformed`: not whole numbers from 0 up. */
export type HlcVerdict = 'merged' | 'too-far-ahead' | 'malformed';

/** A node's own hybrid clock. Strictly monotone, also across `restore`. */
export interface HybridClock {
  /** A new timestamp for a local event or a message about to be sent. */
  tick(wallMs: number): Hlc;
  /** Learns a peer's timestamp. One that is too far ahead is refused: it would win every conflict for ever. */
  observe(wallMs: number, remote: Hlc): HlcVerdict;
  /** The highest timestamp given out or learned. */
  read(): Hlc;
}

/** Knobs of a hybrid clock. */
export interface HybridClockConfig {
  /**
   * How far ahead of the local wall clock a peer's timestamp may be, in ms.
   * @default 86_400_000 (a day: the local clock may be the wrong one)
   */
  readonly driftMsMax?: number;
  /** The persisted high-water mark of the last run; the clock starts above it. */
  readonly restored?: Hlc;
}

/** Builds a hybrid clock. */
export function createHybridClock(config: HybridClockConfig = {}): HybridClock {
  const driftMsMax = config.driftMsMax ?? 86_400_000;
  let latest: Hlc = config.restored ?? { wallMs: 0, count: 0 };

  function raise(wallMs: number, count: number): Hlc {
    latest = count > countMax ? { wallMs: wallMs + 1, count: 0 } : { wallMs, count };
    return latest;
  }

  return {
    read: () => latest,
    tick(wallMs) {
      return wallMs > latest.wallMs ? raise(wallMs, 0) : raise(latest.wallMs, latest.count + 1);
    },
    observe(wallMs, remote) {
      // One NaN merged would never compare as older again, and spread from here.
      if (!isWhole(remote.wallMs) || !isWhole(remote.count)) return 'malformed';
      if (remote.wallMs > wallMs + driftMsMax) return 'too-far-ahead';
      if (wallMs > latest.wallMs && wallMs > remote.wallMs) raise(wallMs, 0);
      else if (remote.wallMs > latest.wallMs) raise(remote.wallMs, remote.count + 1);
      else if (remote.wallMs === latest.wallMs) {
        raise(latest.wallMs, Math.max(latest.count, remote.count) + 1);
      } else raise(latest.wallMs, latest.count + 1);
      return 'merged';
    },
  };
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Orders two timestamps: negative when `left` is older. Ties are broken by the caller (by origin). */
export function compareHlc(left: Hlc, right: Hlc): number {
  return left.wallMs - right.wallMs || left.count - right.count;
}
