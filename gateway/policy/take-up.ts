/** Takes up the requests that waited for a target when the gateway ended: whoever asks with the same id finds the answer. */

import { setTimeout as sleep } from 'node:timers/promises';

import type { PrincipalConfig } from '../config/load.ts';
import { LlmFailure } from '../failure.ts';
import type { Ask } from './ask.ts';
import type { Engine } from './engine.ts';
import type { WaitingAsk, WaitingLog } from './waiting-log.ts';

/** Between two looks at whether a target is known that has the model, in ms. */
const lookMs = 1_000;

/** What it works with. */
export interface TakeUpFrame {
  readonly engine: Engine;
  readonly waiting: WaitingLog;
  readonly signal: AbortSignal;
  /** How long the mesh is given to say who answers a request already, in ms. */
  readonly settleMs: number;
  /** Undefined: it is in the configuration no more, and so are its requests. */
  principalNamed(name: string): PrincipalConfig | undefined;
}

/** Lets every one of them wait on. Nothing throws from here. Gives how many may have been paid for already. */
export function takeUp(frame: TakeUpFrame): number {
  for (const one of frame.waiting.before) void waitOn(one, frame);
  return frame.waiting.before.filter(({ isDoubtful }) => isDoubtful).length;
}

async function waitOn(one: WaitingAsk, frame: TakeUpFrame): Promise<void> {
  const { engine, waiting, signal, settleMs, principalNamed } = frame;
  const until = performance.now() + one.ttlMs;
  const principal = principalNamed(one.principal);
  const nobody = { name: one.principal } as PrincipalConfig;
  const { isDoubtful: _, ...rest } = one;
  const ask: Ask = { ...rest, principal: principal ?? nobody, isIdGiven: true };
  if (principal === undefined) return waiting.drop(ask);
  let pauseMs = settleMs;
  for (;;) {
    try {
      await sleep(pauseMs, undefined, { signal, ref: false });
      const answer = engine.waitOn({ ...ask, ttlMs: Math.max(1, until - performance.now()) });
      // Read to its end, it is kept for who asks again.
      for await (const _ of answer.batches);
      return;
    } catch (error) {
      // The gateway ends, and it waits on.
      if (signal.aborted) return;
      const isUnknown = error instanceof LlmFailure && error.code === 'model_not_found';
      // A target that does not state its models has said nothing yet.
      if (!isUnknown || performance.now() + lookMs >= until) return waiting.drop(ask);
      pauseMs = lookMs;
    }
  }
}
