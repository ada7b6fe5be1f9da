/** `node.effects`: what only the holder of a lock or a role may do, refused at the sink to whoever is late. */

import type { NodeId } from '../kernel/ids.ts';
import type { Effects } from '../runtime/effects/effects.ts';
import type { Held } from './lock.ts';

/** How long an effect may take in all, in ms, when nobody says otherwise. */
const deadlineMsDefault = 30_000;

/** An effect as its sink sees it. */
export interface EffectRequest {
  /** The lock or role that its sender holds (a role's begins with `role/`), and the token of this holding. */
  readonly key: string;
  readonly token: number;
  readonly payload: Uint8Array;
  readonly from: NodeId;
  /** Aborts when a later holder waits for this one to end, or nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** How to have an effect done. */
export interface EffectOptions {
  /** @default 30_000 */
  readonly deadlineMs?: number;
  /** The same key is the same effect: a repeat gets the answer of the first. @default drawn per call */
  readonly key?: string;
  readonly signal?: AbortSignal;
}

/** Effects: the sink checks the fencing token that `lock`, `elect` and `singleton` give. Not for semaphores of several. */
export interface EffectsHandle {
  /**
   * Opens a sink on this node; returns the function that closes it. For each key one effect runs at a time, and none under
   * a token below the highest that was seen, which is on disk before anything is done under it.
   * @throws {MycelError} MYCEL_BAD_OPTION
   */
  sink(
    name: string,
    handler: (effect: EffectRequest) => Promise<Uint8Array | string | void>,
  ): () => void;
  /**
   * Has an effect done at the sink of a member, or of this node, as the holder of a lock.
   * @throws {MycelError} MYCEL_FENCED when a later holder was there, MYCEL_SINK_FULL, and what a call throws.
   */
  apply(
    to: NodeId,
    sink: string,
    held: Pick<Held, 'name' | 'token'>,
    payload: Uint8Array | string,
    options?: EffectOptions,
  ): Promise<Uint8Array>;
}

const bytesOf = (given: Uint8Array | string): Uint8Array =>
  typeof given === 'string' ? new TextEncoder().encode(given) : given;

/** Builds the handle. */
export function createEffectsHandle(effects: Effects): EffectsHandle {
  return {
    sink: (name, handler) =>
      effects.sink(name, async (turn) => bytesOf((await handler(turn)) ?? '')),
    apply(to, sink, { name, token }, payload, { deadlineMs, ...rest } = {}) {
      const message = { key: name, token, payload: bytesOf(payload) };
      return effects.apply(to, sink, message, {
        ...rest,
        deadlineMs: deadlineMs ?? deadlineMsDefault,
      });
    },
  };
}
