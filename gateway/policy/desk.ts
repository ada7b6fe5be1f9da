/** One target as the policy sees it: who waits, how it has been doing, and whether to try it now. */

import { createBreaker, createFairQueue, createTokenBucket } from 'mycel/flow';
import type { Breaker, BreakerState, FairQueueEffect, QueueClass } from 'mycel/flow';

import type { ModelConfig, TargetConfig } from '../config/load.ts';
import { LlmFailure } from '../failure.ts';
import type { Halt } from '../halt.ts';
import type { Target } from '../targets/target.ts';

/** Breakers of one target. */
const breakersMax = 256;

/** Weight of the newest measurement in a mean. */
const smoothing = 0.2;

/** Who wants a place. */
export interface PlaceRequest {
  readonly principal: string;
  readonly class: QueueClass;
  /** How long it may wait, in ms. */
  readonly patienceMs: number;
  readonly halt: Halt;
}

/** A place at a target; give it back once. */
export interface Place {
  readonly waitedMs: number;
  leave(): void;
}

/** One target at work. */
export interface Desk {
  readonly config: TargetConfig;
  readonly target: Target;
  /** The models it offers now. */
  models(): readonly ModelConfig[];
  setModels(models: readonly ModelConfig[]): void;
  breaker(model: string): Breaker;
  /** @throws {LlmFailure} queue, deadline, or why the halt was called. */
  enter(request: PlaceRequest): Promise<Place>;
  /** Takes from the target's rate; gives how long to wait instead, in ms. */
  takeRate(tokens: number): number;
  correctRate(tokens: number): void;
  /** First piece after so many ms. */
  began(ttftMs: number): void;
  ended(ms: number): void;
  /** How long a request of now would wait for its first piece, in ms. */
  expectedMs(): number;
  view(): DeskView;
  close(): void;
}

/** A picture of a target. */
export interface DeskView {
  readonly target: string;
  readonly kind: TargetConfig['kind'];
  readonly models: readonly string[];
  readonly inflight: number;
  readonly waiting: readonly [number, number, number];
  readonly ttftMs: number | undefined;
  /** Breakers that are not closed. */
  readonly open: readonly {
    readonly model: string;
    readonly phase: string;
    readonly forMs: number;
  }[];
}

/** Opens a desk for a target. */
export function createDesk(config: TargetConfig, target: Target, waitingMax: number): Desk {
  const now = (): number => performance.now();
  let models: readonly ModelConfig[] = config.models ?? [];
  const breakers = new Map<string, Breaker>();
  const queue = createFairQueue({ servedMax: config.maxInflight, waitingMax });
  const entering = new Map<
    number,
    { serve(waitedMs: number): void; refuse(failure: LlmFailure): void }
  >();
  const { requestsPerMinute, tokensPerMinute } = config.rate;
  const requests =
    requestsPerMinute === undefined
      ? undefined
      : createTokenBucket({ perMinute: requestsPerMinute });
  const tokens =
    tokensPerMinute === undefined ? undefined : createTokenBucket({ perMinute: tokensPerMinute });
  let alarm: NodeJS.Timeout | undefined;
  let lastId = 0;
  let ttftMs: number | undefined;
  let answerMs: number | undefined;

  function run(effects: readonly FairQueueEffect[]): void {
    for (const effect of effects) {
      const waiter = entering.get(effect.id);
      entering.delete(effect.id);
      if (effect.type === 'serve') waiter?.serve(effect.waitedMs);
      else waiter?.refuse(turnedAway(effect.reason));
    }
    const at = queue.deadline();
    clearTimeout(alarm);
    if (at < Infinity) {
      alarm = setTimeout(() => run(queue.step(now(), { type: 'tick' })), Math.max(1, at - now()));
    }
  }

  function turnedAway(reason: 'full' | 'expired'): LlmFailure {
    const retryAfterMs = Math.max(1000, Math.round(waitMs()));
    return reason === 'full'
      ? new LlmFailure(
          'queue',
          `The queue of target '${config.name}' is full. Ask again in ${Math.ceil(retryAfterMs / 1000)} s, or raise queue.max.`,
          { retryAfterMs },
        )
      : new LlmFailure(
          'deadline',
          `No place at target '${config.name}' became free in time. Allow more time, or ask later.`,
          { retryAfterMs },
        );
  }

  function waitMs(): number {
    const { served, waiting } = queue.view();
    const ahead = waiting.reduce((sum, count) => sum + count, 0);
    if (served < config.maxInflight) return 0;
    return ((ahead + 1) / config.maxInflight) * (answerMs ?? 1000);
  }

  return {
    config,
    target,
    models: () => models,
    setModels(next) {
      models = next;
    },
    breaker(model) {
      let breaker = breakers.get(model);
      if (breaker === undefined) {
        if (breakers.size >= breakersMax) breakers.clear();
        breaker = createBreaker();
        breakers.set(model, breaker);
      }
      return breaker;
    },
    enter({ principal, class: queueClass, patienceMs, halt }) {
      lastId += 1;
      const id = lastId;
      const leave = (): void => run(queue.step(now(), { type: 'left', id }));
      return new Promise((resolve, reject) => {
        const onCall = (): void => {
          entering.delete(id);
          leave();
          reject(halt.reason);
        };
        let isWaiting = true;
        entering.set(id, {
          serve(waitedMs) {
            isWaiting = false;
            halt.off(onCall);
            let isGone = false;
            resolve({
              waitedMs,
              leave() {
                if (!isGone) leave();
                isGone = true;
              },
            });
          },
          refuse(failure) {
            isWaiting = false;
            halt.off(onCall);
            reject(failure);
          },
        });
        const at = now();
        run(
          queue.step(at, {
            type: 'came',
            id,
            principal,
            class: queueClass,
            expiresAt: at + patienceMs,
          }),
        );
        if (isWaiting) halt.onCall(onCall);
      });
    },
    takeRate(amount) {
      const at = now();
      const wait = requests?.take(at, 1) ?? 0;
      if (wait > 0) return wait;
      const tokenWait = tokens?.take(at, amount) ?? 0;
      if (tokenWait > 0) requests?.correct(at, -1);
      return tokenWait;
    },
    correctRate: (amount) => tokens?.correct(now(), amount),
    began(ms) {
      ttftMs = ttftMs === undefined ? ms : ttftMs + smoothing * (ms - ttftMs);
    },
    ended(ms) {
      answerMs = answerMs === undefined ? ms : answerMs + smoothing * (ms - answerMs);
    },
    expectedMs: () => waitMs() + (ttftMs ?? 300),
    view() {
      const at = now();
      const { served, waiting } = queue.view();
      const open = [...breakers].flatMap(([model, breaker]) => {
        const state = breaker.state(at);
        return state.phase === 'closed'
          ? []
          : [{ model, phase: state.phase, forMs: remaining(state, at) }];
      });
      return {
        target: config.name,
        kind: config.kind,
        models: models.map(({ name }) => name),
        inflight: served,
        waiting,
        ttftMs: ttftMs === undefined ? undefined : Math.round(ttftMs),
        open,
      };
    },
    close() {
      clearTimeout(alarm);
      target.close();
    },
  };
}

function remaining(state: BreakerState, at: number): number {
  return state.phase === 'open' ? Math.max(0, Math.round(state.until - at)) : 0;
}
