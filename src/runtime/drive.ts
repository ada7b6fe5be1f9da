/** The whole bridge between a core and the world: one input at a time, its effects in order, one alarm. */

import type { Core } from '../kernel/core.ts';
import type { Clock } from '../ports/clock.ts';

/** Facts that may wait behind a barrier (a slow disk) before the newest are dropped and counted. */
export const driveInboxMax = 10_000;

/** What a driver needs besides the core. */
export interface DriveWorld<Input, Effect> {
  readonly clock: Clock;
  /** The input that tells the core that its deadline has come. */
  readonly tick: Input;
  /**
   * Carries one effect out. A returned promise is a barrier: the effects after it, and every later input, wait for it
   * (a vote may leave only after it is on disk).
   */
  run(effect: Effect): void | Promise<void>;
  /** An adapter threw or a barrier was rejected. The core goes on; the effect counts as not done. */
  failed(effect: Effect, error: unknown): void;
  /** A fact was dropped because `driveInboxMax` others wait. */
  overflowed(input: Input): void;
}

/** A driven core. */
export interface Driver<Input> {
  /** Hands in a fact. Facts that arrive while effects are running wait their turn. */
  feed(input: Input): void;
  /** Stops the alarm and ignores everything from now on. Idempotent. */
  stop(): void;
}

/** Drives a core until it is stopped. The first tick is given at once. */
export function drive<Input, Effect>(
  core: Core<Input, Effect, unknown>,
  world: DriveWorld<Input, Effect>,
): Driver<Input> {
  const inbox: Input[] = [];
  let pending: readonly Effect[] = [];
  let pendingAt = 0;
  let isBusy = false;
  let isStopped = false;
  let cancelAlarm = (): void => {};

  /** Runs what is pending; false when a barrier has to be awaited first. */
  function runPending(): boolean {
    while (pendingAt < pending.length && !isStopped) {
      const effect = pending[pendingAt] as Effect;
      pendingAt += 1;
      try {
        const barrier = world.run(effect);
        if (barrier !== undefined) {
          barrier.then(
            () => pump(),
            (error: unknown) => {
              world.failed(effect, error);
              pump();
            },
          );
          return false;
        }
      } catch (error) {
        world.failed(effect, error);
      }
    }
    return true;
  }

  function pump(): void {
    while (!isStopped) {
      if (!runPending()) return;
      const next = inbox.shift();
      if (next === undefined) break;
      pending = core.step(world.clock.now(), next);
      pendingAt = 0;
    }
    isBusy = false;
    cancelAlarm();
    const at = core.deadline();
    if (at < Infinity && !isStopped) {
      cancelAlarm = world.clock.alarm(at, () => feed(world.tick));
    }
  }

  function feed(input: Input): void {
    if (isStopped) return;
    if (inbox.length >= driveInboxMax) {
      world.overflowed(input);
      return;
    }
    inbox.push(input);
    if (isBusy) return;
    isBusy = true;
    pump();
  }

  feed(world.tick);
  return {
    feed,
    stop() {
      isStopped = true;
      inbox.length = 0;
      cancelAlarm();
    },
  };
}
