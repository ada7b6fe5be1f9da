/**
 * One node's side of an update: fetch, start on trial, watch, then keep or go back. Every decision is on disk before it is
 * acted on, and every act may be repeated, so that power may be cut anywhere.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { reasonLengthMax } from './messages.ts';
import type { InstallPhase, InstallReport, Order } from './messages.ts';

/** Between two looks at the health of a version on trial, in ms. */
export const probeEveryMs = 1_000;

/** How often one version is put on trial when the power goes just between two steps; then it has failed. */
export const attemptsMax = 3;

/** How often going back is tried in all, the trials before counted; then it has failed and somebody has to look. */
export const revertsMax: number = 2 * attemptsMax;

/** What is on disk of the last order. */
export interface KeptOrder {
  readonly order: Order;
  readonly phase: Exclude<InstallPhase, 'idle' | 'trial'>;
  readonly reason: string;
  /** Trials that were begun for it. */
  readonly attempts: number;
  /** Whether this order changed what runs: an order for what runs already has nothing to take back. */
  readonly isChange: boolean;
}

/** Facts for the core. */
export type InstallationInput =
  /** The process has started, once, before anything else. */
  | {
      readonly type: 'started';
      readonly running: string;
      /** Whether this start is a trial. */
      readonly isTrial: boolean;
      /** A version whose trial the launcher gave up: it never lived long enough to speak for itself. */
      readonly givenUp: string | undefined;
      readonly kept: KeptOrder | undefined;
    }
  | { readonly type: 'ordered'; readonly order: Order }
  /** The package is here, checked and in its place. */
  | { readonly type: 'installed'; readonly number: number }
  | { readonly type: 'refused'; readonly number: number; readonly reason: string }
  /** How the version on trial is; undefined: well. */
  | { readonly type: 'probed'; readonly trouble: string | undefined }
  | { readonly type: 'tick' };

/** Orders of the core, to be carried out in order. */
export type InstallationEffect =
  /** A barrier. */
  | { readonly type: 'persist'; readonly kept: KeptOrder }
  /** Fetch, check and put into place; done at once when it is there. Answered by `installed` or `refused`. */
  | { readonly type: 'install'; readonly order: Order }
  /** Stop fetching. */
  | { readonly type: 'abandon' }
  /** The next start is a trial of this version. A barrier. */
  | { readonly type: 'try'; readonly version: string }
  | { readonly type: 'probe' }
  /** The version on trial is the one from now on, and the one before stays at hand. A barrier. */
  | { readonly type: 'keep'; readonly version: string }
  /** No trial any more: the next start is of the version before. A barrier. */
  | { readonly type: 'drop' }
  /** The version before this one is the one from now on. A barrier. */
  | { readonly type: 'revert'; readonly version: string }
  /** Stop in good order and start anew. */
  | { readonly type: 'restart' };

/** Builds the core. */
export function createInstallation(): Core<InstallationInput, InstallationEffect, InstallReport> {
  let running = 'installed';
  let kept: KeptOrder | undefined;
  let isTrial = false;
  let trialSince: Millis = 0;
  let wellSince: Millis | undefined;
  let trouble = '';
  let probeAt = Infinity;
  /** The process is on its way out: whatever comes now waits for the next start. */
  let isLeaving = false;

  function turn(phase: KeptOrder['phase'], change: Partial<KeptOrder> = {}): InstallationEffect {
    kept = { ...(kept as KeptOrder), phase, ...change };
    return { type: 'persist', kept };
  }

  function leave(...effects: readonly InstallationEffect[]): InstallationEffect[] {
    isLeaving = true;
    probeAt = Infinity;
    return [...effects, { type: 'restart' }];
  }

  function failed(reason: string): InstallationEffect {
    return turn('failed', { reason: reason.slice(0, reasonLengthMax) });
  }

  function started(
    now: Millis,
    input: Extract<InstallationInput, { type: 'started' }>,
  ): InstallationEffect[] {
    ({ running, kept, isTrial } = input);
    const isIts = kept !== undefined && kept.order.version === running;
    if (isTrial && !(isIts && kept?.phase === 'restarting')) {
      // The order of this trial is gone or taken back: so is the trial.
      return leave({ type: 'drop' });
    }
    switch (kept?.phase) {
      case 'fetching':
        return [{ type: 'install', order: kept.order }];
      case 'restarting': {
        if (isTrial) {
          trialSince = now;
          trouble = 'not probed yet';
          probeAt = now + probeEveryMs;
          return [{ type: 'probe' }];
        }
        // It was kept, and the power went before that was written down.
        if (isIts) return [turn('kept')];
        if (input.givenUp === kept.order.version) {
          return [failed('it did not start, or ended before it was well')];
        }
        if (kept.attempts >= attemptsMax) return [failed('its trial never began')];
        return [turn('fetching'), { type: 'install', order: kept.order }];
      }
      case 'reverting': {
        if (!isIts) return [turn('reverted')];
        const attempts = kept.attempts + 1;
        if (attempts > revertsMax) return [failed('it could not go back')];
        return leave(turn('reverting', { attempts }), { type: 'revert', version: running });
      }
      default:
        return [];
    }
  }

  function ordered(order: Order): InstallationEffect[] {
    const last = kept?.order.number ?? 0;
    if (isLeaving || order.number < last) return [];
    if (order.number === last && kept !== undefined) {
      return order.kind === 'revert' && order.version === kept.order.version ? takeBack() : [];
    }
    const phase = kept?.phase;
    // What is half done is brought to its end first; whoever ordered asks again.
    if (phase === 'restarting' || phase === 'reverting') return [];
    const stop: InstallationEffect[] = phase === 'fetching' ? [{ type: 'abandon' }] : [];
    const isChange = order.version !== running;
    kept = { order, phase: 'reverted', reason: '', attempts: 0, isChange };
    if (order.kind === 'revert') return [...stop, turn('reverted')];
    if (!isChange) return [...stop, turn('kept')];
    return [...stop, turn('fetching'), { type: 'install', order }];
  }

  function takeBack(): InstallationEffect[] {
    const { phase, isChange, order } = kept as KeptOrder;
    switch (phase) {
      case 'fetching':
        return [{ type: 'abandon' }, turn('reverted')];
      case 'restarting':
        // Only a trial is still here: before it the process is leaving.
        return leave(turn('reverting'), { type: 'drop' });
      case 'kept':
        if (!isChange) return [turn('reverted')];
        return leave(turn('reverting'), { type: 'revert', version: order.version });
      default:
        return [];
    }
  }

  function probed(now: Millis, found: string | undefined): InstallationEffect[] {
    if (!isTrial || isLeaving || kept?.phase !== 'restarting') return [];
    const { healthyForMs, trialMs, version } = kept.order;
    trouble = (found ?? '').slice(0, reasonLengthMax);
    wellSince = found === undefined ? (wellSince ?? now) : undefined;
    if (wellSince !== undefined && now - wellSince >= healthyForMs) {
      probeAt = Infinity;
      isTrial = false;
      return [{ type: 'keep', version }, turn('kept')];
    }
    if (now - trialSince < trialMs) return [];
    return leave(failed(trouble === '' ? 'it was not well for long enough' : trouble), {
      type: 'drop',
    });
  }

  function arrived(number: number, refusal: string | undefined): InstallationEffect[] {
    if (kept?.phase !== 'fetching' || kept.order.number !== number || isLeaving) return [];
    if (refusal !== undefined) return [failed(refusal)];
    const { version } = kept.order;
    const attempts = kept.attempts + 1;
    return leave(turn('restarting', { attempts }), { type: 'try', version });
  }

  function take(now: Millis, input: InstallationInput): InstallationEffect[] {
    switch (input.type) {
      case 'started':
        return started(now, input);
      case 'ordered':
        return ordered(input.order);
      case 'installed':
        return arrived(input.number, undefined);
      case 'refused':
        return arrived(input.number, input.reason);
      case 'probed':
        return probed(now, input.trouble);
      case 'tick':
        return [];
    }
  }

  return {
    step(now, input) {
      const effects = take(now, input);
      if (now < probeAt) return effects;
      probeAt = now + probeEveryMs;
      return [...effects, { type: 'probe' }];
    },
    deadline: () => probeAt,
    view() {
      const phase = kept?.phase ?? 'idle';
      const isOnTrial = isTrial && phase === 'restarting';
      return {
        number: kept?.order.number ?? 0,
        phase: isOnTrial ? 'trial' : phase,
        running,
        reason: isOnTrial ? trouble : (kept?.reason ?? ''),
      };
    },
  };
}
