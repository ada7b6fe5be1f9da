/**
 * Restarts what fails, as in Erlang/OTP: one-for-one, one-for-all, rest-for-one; more than so many restarts in a period
 * and the supervisor gives up, ends its children in reverse order and tells its own supervisor. Exponential back-off is
 * ours (docs/divergences.md).
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { Random } from '../../kernel/random.ts';

/** Children of one supervisor; more are refused. */
export const childrenMax = 4096;

/** Restarts remembered to measure the intensity. */
export const restartsRememberedMax = 1024;

/** How a supervisor treats its children. */
export interface SupervisorConfig {
  /** Who is restarted when one fails: it alone, all, or it and those that were added after it. @default 'one-for-one' */
  readonly strategy?: 'one-for-one' | 'one-for-all' | 'rest-for-one';
  /** More restarts than this within `periodMs` end the supervisor. @default 5 */
  readonly intensity?: number;
  /** @default 30_000 */
  readonly periodMs?: Millis;
  /** Pause before the first restart of a child, doubling with each, with up to a quarter more at random; in ms. @default 100 */
  readonly backoffMs?: Millis;
  /** Longest pause, in ms. @default 10_000 */
  readonly backoffMsMax?: Millis;
  /** A child that ran for this long starts with the first pause again, in ms. @default 60_000 */
  readonly healthyMs?: Millis;
}

/** Whether a child that ended is started again: always, only after a failure, or never. */
export type Restart = 'permanent' | 'transient' | 'temporary';

/** Facts for a supervisor. `run` numbers the runs of a child: a word about an earlier run is void. */
export type SupervisorInput =
  | { readonly type: 'tick' }
  | { readonly type: 'added'; readonly child: string; readonly restart: Restart }
  | { readonly type: 'removed'; readonly child: string }
  | { readonly type: 'started'; readonly child: string; readonly run: number }
  | {
      readonly type: 'ended';
      readonly child: string;
      readonly run: number;
      readonly how: 'normal' | 'failure';
    };

/** Orders of a supervisor. */
export type SupervisorEffect =
  | { readonly type: 'start'; readonly child: string; readonly run: number }
  | { readonly type: 'stop'; readonly child: string; readonly run: number }
  | { readonly type: 'refuse'; readonly child: string; readonly reason: 'known' | 'full' | 'ended' }
  /** The child ended and will not be started again. */
  | { readonly type: 'release'; readonly child: string; readonly how: 'normal' | 'failure' }
  /** Too many restarts: this supervisor is over, and whoever supervises it decides. */
  | { readonly type: 'escalate'; readonly child: string; readonly restarts: number };

/** What a child is at. */
export interface ChildView {
  readonly child: string;
  readonly run: number;
  readonly state: 'starting' | 'running' | 'stopping' | 'waiting';
  readonly restarts: number;
}

/** What a supervisor holds. */
export interface SupervisorView {
  readonly children: readonly ChildView[];
  readonly isOver: boolean;
}

interface Child {
  readonly name: string;
  readonly restart: Restart;
  run: number;
  state: ChildView['state'];
  restarts: number;
  /** Restarts since it last ran for long: sets the pause. */
  strikes: number;
  startedAt: Millis;
  startAt: Millis;
  /** After stopping: start again, or be gone. */
  afterStop: 'restart' | 'release';
}

/** Builds a supervisor without children. */
export function createSupervisor(
  config: SupervisorConfig,
  random: Random,
): Core<SupervisorInput, SupervisorEffect, SupervisorView> {
  const strategy = config.strategy ?? 'one-for-one';
  const intensity = Math.min(restartsRememberedMax, Math.max(0, config.intensity ?? 5));
  const periodMs = Math.max(1, config.periodMs ?? 30_000);
  const backoffMs = Math.max(1, config.backoffMs ?? 100);
  const backoffMsMax = Math.max(backoffMs, config.backoffMsMax ?? 10_000);
  const healthyMs = Math.max(1, config.healthyMs ?? 60_000);
  /** In the order they were added, which is the order they start in. */
  const children = new Map<string, Child>();
  let restartedAt: Millis[] = [];
  let isOver = false;

  function start(now: Millis, child: Child): SupervisorEffect {
    child.run += 1;
    child.state = 'starting';
    child.startedAt = now;
    child.startAt = Infinity;
    return { type: 'start', child: child.name, run: child.run };
  }

  function stop(child: Child, afterStop: Child['afterStop']): SupervisorEffect[] {
    child.afterStop = afterStop;
    if (child.state === 'waiting') {
      if (afterStop === 'release') return release(child, 'normal');
      return [];
    }
    if (child.state === 'stopping') return [];
    child.state = 'stopping';
    return [{ type: 'stop', child: child.name, run: child.run }];
  }

  function release(child: Child, how: 'normal' | 'failure'): SupervisorEffect[] {
    children.delete(child.name);
    return [{ type: 'release', child: child.name, how }];
  }

  function wait(now: Millis, child: Child): void {
    child.state = 'waiting';
    const pause = Math.min(backoffMsMax, backoffMs * 2 ** Math.min(30, child.strikes));
    child.strikes += 1;
    child.restarts += 1;
    // At random, so that what failed together does not come back together.
    child.startAt = now + pause * (1 + random.unit() / 4);
  }

  function fail(now: Millis, failed: Child): SupervisorEffect[] {
    if (now - failed.startedAt >= healthyMs) failed.strikes = 0;
    restartedAt = restartedAt.filter((at) => at > now - periodMs);
    restartedAt.push(now);
    if (restartedAt.length > intensity) return escalate(failed);
    const all = [...children.values()];
    const hit =
      strategy === 'one-for-one'
        ? [failed]
        : strategy === 'one-for-all'
          ? all
          : all.slice(all.indexOf(failed));
    wait(now, failed);
    // Those that depend on the failed one are ended in reverse order, and all come back in order.
    return hit.toReversed().flatMap((child) => {
      if (child === failed) return [];
      if (child.restart === 'temporary') return stop(child, 'release');
      if (child.state === 'waiting') return [];
      return stop(child, 'restart');
    });
  }

  function escalate(failed: Child): SupervisorEffect[] {
    isOver = true;
    const restarts = restartedAt.length;
    children.delete(failed.name);
    const ended = [...children.values()].toReversed().flatMap((child) => stop(child, 'release'));
    return [
      ...ended,
      { type: 'release', child: failed.name, how: 'failure' },
      { type: 'escalate', child: failed.name, restarts },
    ];
  }

  function hearEnd(now: Millis, child: Child, how: 'normal' | 'failure'): SupervisorEffect[] {
    if (child.state === 'stopping') {
      if (child.afterStop === 'release' || isOver) return release(child, 'normal');
      child.state = 'waiting';
      child.startAt = now;
      return [];
    }
    const isWanted =
      child.restart === 'permanent' || (child.restart === 'transient' && how === 'failure');
    if (!isWanted) return release(child, how);
    return fail(now, child);
  }

  /** Starts whose pause is over, in order; with dependents nobody starts before those it depends on. */
  function startDue(now: Millis): SupervisorEffect[] {
    if (isOver) return [];
    const all = [...children.values()];
    const isBusy = strategy !== 'one-for-one' && all.some(({ state }) => state === 'stopping');
    if (isBusy) return [];
    const effects: SupervisorEffect[] = [];
    for (const child of all) {
      if (child.state !== 'waiting') continue;
      if (child.startAt > now) {
        if (strategy === 'one-for-one') continue;
        break;
      }
      effects.push(start(now, child));
    }
    return effects;
  }

  function add(now: Millis, name: string, restart: Restart): SupervisorEffect[] {
    const refuse = (reason: 'known' | 'full' | 'ended'): SupervisorEffect[] => [
      { type: 'refuse', child: name, reason },
    ];
    if (isOver) return refuse('ended');
    if (children.has(name)) return refuse('known');
    if (children.size >= childrenMax) return refuse('full');
    const child: Child = {
      name,
      restart,
      run: 0,
      state: 'waiting',
      restarts: 0,
      strikes: 0,
      startedAt: now,
      startAt: now,
      afterStop: 'restart',
    };
    children.set(name, child);
    return [start(now, child)];
  }

  function take(now: Millis, input: SupervisorInput): SupervisorEffect[] {
    if (input.type === 'tick') return [];
    if (input.type === 'added') return add(now, input.child, input.restart);
    const child = children.get(input.child);
    if (child === undefined) return [];
    switch (input.type) {
      case 'removed':
        return stop(child, 'release');
      case 'started':
        if (input.run === child.run && child.state === 'starting') child.state = 'running';
        return [];
      case 'ended':
        if (input.run !== child.run || child.state === 'waiting') return [];
        return hearEnd(now, child, input.how);
      default:
        return unreachable(input);
    }
  }

  return {
    step(now, input) {
      const effects = take(now, input);
      return [...effects, ...startDue(now)];
    },
    deadline() {
      if (isOver) return Infinity;
      const isOrdered = strategy !== 'one-for-one';
      const all = [...children.values()];
      // Ordered, nobody starts while one is still stopping, and who waits behind another starts with it at the earliest.
      if (isOrdered && all.some(({ state }) => state === 'stopping')) return Infinity;
      let soonest = Infinity;
      for (const { state, startAt } of all) {
        if (state !== 'waiting') continue;
        if (isOrdered) return startAt;
        soonest = Math.min(soonest, startAt);
      }
      return soonest;
    },
    view: () => ({
      isOver,
      children: [...children.values()].map(({ name, run, state, restarts }) => {
        return { child: name, run, state, restarts };
      }),
    }),
  };
}
