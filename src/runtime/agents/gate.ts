/**
 * The gate between a node's agents and the world. A process that was frozen may have been replaced meanwhile: from the
 * instant it wakes no agent acts until the other members have said who holds what.
 */

import type { Millis } from '../../kernel/core.ts';
import type { Clock } from '../../ports/clock.ts';

/** How often the node notices that it runs, in ms. */
export const heartbeatMs: Millis = 200;

/** A silence of its own after which a node doubts what it holds, in ms: shorter than any verdict of membership. */
export const doubtMs: Millis = 1_000;

/** The gate. */
export interface Gate {
  /** Resolves when agents may act; at once while there is no doubt. */
  pass(): Promise<void> | undefined;
  stop(): void;
}

/** Builds it. @param recheck asks the others; the gate opens when it resolves */
export function createGate(clock: Clock, recheck: () => Promise<void>): Gate {
  let lastAt = clock.now();
  let checking: Promise<void> | undefined;
  let cancel = (): void => {};

  function look(): void {
    const now = clock.now();
    const silence = now - lastAt;
    lastAt = now;
    if (silence < doubtMs || checking !== undefined) return;
    checking = recheck()
      .catch(() => {})
      .then(() => void (checking = undefined));
  }

  function beat(): void {
    cancel = clock.alarm(clock.now() + heartbeatMs, () => {
      look();
      beat();
    });
  }
  beat();
  return {
    pass() {
      look();
      return checking;
    },
    stop: () => cancel(),
  };
}
