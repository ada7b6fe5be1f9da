/** The shape of every protocol state machine: facts in, orders out, no clock and no chance of its own. */

/** A point on the node's monotonic clock, in milliseconds. Never wall time. */
export type Millis = number;

/**
 * A protocol core decides; it never does.
 *
 * Given the same config, seed and (now, input) sequence it returns the same effects.
 * It owns no clock, timer, socket, file, promise or logger.
 */
export interface Core<Input, Effect, View> {
  /** Feeds one input. The driver runs the effects in order. Total: no input makes it throw. */
  step(now: Millis, input: Input): readonly Effect[];
  /** When the core next wants a tick. Infinity: it waits for input alone. Always later than the last `now`. */
  deadline(): Millis;
  /** A read-only picture of the state for tests, metrics and people. */
  view(): View;
}
