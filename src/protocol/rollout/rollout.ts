/**
 * The roll-out of one version over many nodes: some canaries first, then the rest a few at a time, and everybody back as
 * soon as one fails. It orders and listens; whether a version is well is for the node that runs it to say.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { reasonLengthMax, targetsMax } from './messages.ts';
import type { InstallReport, OrderKind } from './messages.ts';

/** Between two orders to one node: each is repeated until its report shows that it was obeyed, in ms. */
export const askEveryMs = 1_000;

/** The same for a node that has not gone back in time: it may be off for days, in ms. */
export const slowAskEveryMs = 30_000;

/** How a version is to be spread. */
export interface RolloutPlan {
  readonly number: number;
  readonly version: string;
  /** In the order in which they are taken; whoever rolls out comes last. */
  readonly targets: readonly NodeId[];
  /** How many must keep it before anybody else tries it. */
  readonly canary: number;
  /** How many may be on their way at a time. */
  readonly batch: number;
  /** How long one node may take from order to kept, in ms. It must exceed the node's own trial. */
  readonly patienceMs: Millis;
  /** How long a roll-out that goes back waits for its nodes before it says so, in ms; it goes on asking. */
  readonly revertPatienceMs: Millis;
}

/** One node in a roll-out. */
export type TargetState = 'waiting' | 'trying' | 'kept' | 'reverting' | 'reverted';

/** `done`: everybody keeps it. `rolled-back`: nobody does, save those that could not be reached, who are still asked. */
export type Outcome = 'done' | 'rolled-back';

/** What is on disk of a roll-out. */
export interface KeptRollout {
  readonly plan: RolloutPlan;
  readonly targets: readonly TargetRow[];
  /** Why it goes back; empty while it goes forward. */
  readonly reason: string;
  readonly outcome: Outcome | undefined;
}

/** A node with what is known of it. */
export interface TargetRow {
  readonly node: NodeId;
  readonly state: TargetState;
  /** What it last said of itself when that was not well; empty otherwise. */
  readonly reason: string;
}

/** Facts for the core. */
export type RolloutInput =
  | { readonly type: 'begun'; readonly plan: RolloutPlan }
  /** What the disk holds, once, before anything else. */
  | { readonly type: 'restored'; readonly kept: KeptRollout }
  | { readonly type: 'reported'; readonly node: NodeId; readonly report: InstallReport }
  | { readonly type: 'cancelled' }
  | { readonly type: 'tick' };

/** Orders of the core, to be carried out in order. */
export type RolloutEffect =
  /** A barrier: nobody is ordered anything that would be forgotten. */
  | { readonly type: 'persist'; readonly kept: KeptRollout }
  /** Send it; the answer is a `reported`, or nothing. */
  | { readonly type: 'order'; readonly node: NodeId; readonly kind: OrderKind }
  | { readonly type: 'finished'; readonly outcome: Outcome; readonly reason: string };

/** Undefined: there never was one. */
export type RolloutView = KeptRollout | undefined;

interface Target {
  state: TargetState;
  reason: string;
  since: Millis;
  askAt: Millis;
}

/** Builds the core. */
export function createRollout(): Core<RolloutInput, RolloutEffect, RolloutView> {
  let plan: RolloutPlan | undefined;
  let targets = new Map<NodeId, Target>();
  let reason = '';
  let outcome: Outcome | undefined;

  const count = (...states: readonly TargetState[]): number =>
    [...targets.values()].filter(({ state }) => states.includes(state)).length;

  function picture(): RolloutView {
    if (plan === undefined) return undefined;
    const rows = [...targets].map(([node, target]) => ({
      node,
      state: target.state,
      reason: target.reason,
    }));
    return { plan, targets: rows, reason, outcome };
  }

  function persist(): RolloutEffect {
    return { type: 'persist', kept: picture() as KeptRollout };
  }

  function put(target: Target, state: TargetState, now: Millis): void {
    target.state = state;
    target.since = now;
    target.askAt = now;
  }

  function load(now: Millis, given: RolloutPlan, rows: readonly TargetRow[]): void {
    plan = given;
    targets = new Map(
      rows
        .slice(0, targetsMax)
        .map(({ node, state, reason: why }) => [
          node,
          { state, reason: why, since: now, askAt: now },
        ]),
    );
  }

  /** Whom the plan lets try next. */
  function next(): Target[] {
    const { canary, batch } = plan as RolloutPlan;
    const all = [...targets.values()];
    const first = Math.max(1, Math.min(canary, all.length));
    const isCanary = all.slice(0, first).some(({ state }) => state !== 'kept');
    const open = isCanary ? all.slice(0, first) : all;
    // Whoever rolls out restarts alone: it has everybody else to look after.
    const last = all.at(-1);
    const room = Math.max(1, isCanary ? first : batch) - count('trying');
    return open
      .filter(({ state }) => state === 'waiting')
      .slice(0, Math.max(0, room))
      .filter((target) => target !== last || count('kept') === all.length - 1);
  }

  /** Whatever follows from the states as they are now. `isNews`: one of them has changed already. */
  function settle(now: Millis, isNews: boolean): RolloutEffect[] {
    let isChanged = isNews;
    if (reason === '') {
      for (const target of next()) {
        put(target, 'trying', now);
        isChanged = true;
      }
    }
    const end = ending(now);
    if (end !== undefined) outcome = end;
    const effects: RolloutEffect[] = isChanged || end !== undefined ? [persist()] : [];
    effects.push(...dueOrders(now));
    if (end !== undefined) effects.push({ type: 'finished', outcome: end, reason });
    return effects;
  }

  function ending(now: Millis): Outcome | undefined {
    if (outcome !== undefined) return undefined;
    if (reason === '') return count('kept') === targets.size ? 'done' : undefined;
    const { revertPatienceMs } = plan as RolloutPlan;
    const isAwaited = [...targets.values()].some(
      ({ state, since }) => state === 'reverting' && now - since < revertPatienceMs,
    );
    return isAwaited ? undefined : 'rolled-back';
  }

  function dueOrders(now: Millis): RolloutEffect[] {
    const orders: RolloutEffect[] = [];
    for (const [node, target] of targets) {
      if (target.askAt > now) continue;
      if (target.state !== 'trying' && target.state !== 'reverting') continue;
      target.askAt = now + (outcome === undefined ? askEveryMs : slowAskEveryMs);
      orders.push({ type: 'order', node, kind: target.state === 'trying' ? 'try' : 'revert' });
    }
    return orders;
  }

  function goBack(now: Millis, why: string): RolloutEffect[] {
    reason = why.slice(0, reasonLengthMax);
    for (const target of targets.values()) {
      if (target.state === 'trying' || target.state === 'kept') put(target, 'reverting', now);
    }
    return settle(now, true);
  }

  function reported(now: Millis, node: NodeId, report: InstallReport): RolloutEffect[] {
    const target = targets.get(node);
    if (plan === undefined || target === undefined) return quiet(now);
    const isMine = report.number === plan.number;
    const isOver = report.number > plan.number;
    if (target.state === 'trying') {
      target.reason = isMine ? report.reason.slice(0, reasonLengthMax) : '';
      if (isMine && report.phase === 'kept') {
        put(target, 'kept', now);
        target.reason = '';
        return settle(now, true);
      }
      const isFailed = isMine && (report.phase === 'failed' || report.phase === 'reverted');
      if (isFailed) {
        return goBack(now, `${node}: ${target.reason === '' ? 'it went back' : target.reason}`);
      }
      if (isOver) return goBack(now, `${node}: another roll-out has taken over`);
      return quiet(now);
    }
    const isBack = isMine && (report.phase === 'reverted' || report.phase === 'failed');
    if (target.state !== 'reverting' || (!isBack && !isOver)) return quiet(now);
    put(target, 'reverted', now);
    return settle(now, true);
  }

  function quiet(now: Millis): RolloutEffect[] {
    return plan === undefined ? [] : settle(now, false);
  }

  function ticked(now: Millis): RolloutEffect[] {
    if (plan === undefined) return [];
    const { patienceMs } = plan;
    for (const [node, { state, since, reason: why }] of targets) {
      if (state !== 'trying' || now - since < patienceMs) continue;
      return goBack(now, `${node}: not well in time${why === '' ? '' : `: ${why}`}`);
    }
    return settle(now, false);
  }

  function deadline(): Millis {
    if (plan === undefined) return Infinity;
    let at = Infinity;
    for (const { state, askAt } of targets.values()) {
      if (state === 'trying' || state === 'reverting') at = Math.min(at, askAt);
    }
    return at;
  }

  return {
    step(now, input) {
      switch (input.type) {
        case 'begun': {
          if (plan !== undefined && outcome === undefined) return quiet(now);
          const rows = input.plan.targets.map((node) => ({
            node,
            state: 'waiting' as const,
            reason: '',
          }));
          load(now, input.plan, rows);
          reason = '';
          outcome = undefined;
          return settle(now, true);
        }
        case 'restored':
          ({ reason, outcome } = input.kept);
          load(now, input.kept.plan, input.kept.targets);
          return settle(now, false);
        case 'reported':
          return reported(now, input.node, input.report);
        case 'cancelled':
          if (outcome !== undefined || reason !== '') return quiet(now);
          if (plan === undefined) return [];
          return goBack(now, 'it was cancelled');
        case 'tick':
          return ticked(now);
      }
    },
    deadline,
    view: picture,
  };
}
