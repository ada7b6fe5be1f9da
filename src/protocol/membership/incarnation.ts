/** A member's incarnation: which start of the process, and how often that start has spoken for itself. */

/**
 * Ordered lexicographically. `boot` is a counter persisted before the first packet of every start, so a restarted
 * member outranks everything said about its former life; `n` is raised by the member alone, to refute or to change.
 */
export interface Incarnation {
  readonly boot: number;
  readonly n: number;
}

/** Negative when `left` is older, 0 when equal, positive when newer. */
export function compareIncarnation(left: Incarnation, right: Incarnation): number {
  return left.boot - right.boot || left.n - right.n;
}
