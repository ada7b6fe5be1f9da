/** The join window of an admin: open for a while of uptime, with the newcomers on probation that wait for approval. */

import type { Core, Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { KeyText, Subject } from './messages.ts';

/** Newcomers that may wait; more are refused until one is approved or forgotten. */
export const pendingNewcomersMax = 32;

/** Longest a window stays open, in ms: a day. */
export const windowMsMax = 86_400_000;

/** Someone who knocked. `code`: the six digits to compare. */
export interface PendingNewcomer extends Subject {
  readonly name: string;
  readonly code: string;
}

/** Facts for the window. */
export type JoinWindowInput =
  /** 0 closes it. Opening again restarts the time. */
  | { readonly type: 'opened'; readonly forMs: Millis }
  | { readonly type: 'policyChanged'; readonly autoApprove: boolean }
  | ({ readonly type: 'knocked' } & PendingNewcomer)
  /** A person compared the digits. */
  | { readonly type: 'confirmed'; readonly node: NodeId }
  /** It was approved elsewhere, revoked, or is gone. */
  | { readonly type: 'settled'; readonly key: KeyText }
  | { readonly type: 'tick' };

/** Orders of the window. */
export type JoinWindowEffect =
  /** Let it in on probation. */
  | { readonly type: 'admit'; readonly key: KeyText }
  | { readonly type: 'refuse'; readonly key: KeyText; readonly code: 'MYCEL_WINDOW_CLOSED' }
  /** Write it into the log and give it a full certificate. */
  | ({ readonly type: 'approve' } & Subject)
  | { readonly type: 'unknown'; readonly node: NodeId }
  | { readonly type: 'announce'; readonly isOpen: boolean };

/** A picture of the window. */
export interface JoinWindowView {
  /** On the monotonic clock; undefined when closed. */
  readonly closesAt: Millis | undefined;
  readonly pending: readonly PendingNewcomer[];
}

/** Builds a closed window. */
export function createJoinWindow(): Core<JoinWindowInput, JoinWindowEffect, JoinWindowView> {
  const pending = new Map<KeyText, PendingNewcomer>();
  let closesAt: Millis | undefined;
  let isAutoApproving = false;

  function opened(now: Millis, forMs: Millis): JoinWindowEffect[] {
    const wasOpen = closesAt !== undefined;
    // Negated, so that a NaN closes.
    closesAt = !(forMs > 0) ? undefined : now + Math.min(forMs, windowMsMax);
    const isOpen = closesAt !== undefined;
    return isOpen === wasOpen ? [] : [{ type: 'announce', isOpen }];
  }

  function knocked(newcomer: PendingNewcomer): JoinWindowEffect[] {
    const { node, key, name, code } = newcomer;
    const isFull = pending.size >= pendingNewcomersMax && !pending.has(key);
    if (closesAt === undefined || isFull) {
      return [{ type: 'refuse', key, code: 'MYCEL_WINDOW_CLOSED' }];
    }
    if (isAutoApproving)
      return [
        { type: 'admit', key },
        { type: 'approve', node, key },
      ];
    pending.set(key, { node, key, name, code });
    return [{ type: 'admit', key }];
  }

  function confirmed(node: NodeId): JoinWindowEffect[] {
    const newcomer = [...pending.values()].find((one) => one.node === node);
    if (newcomer === undefined) return [{ type: 'unknown', node }];
    pending.delete(newcomer.key);
    return [{ type: 'approve', node, key: newcomer.key }];
  }

  function answer(now: Millis, input: JoinWindowInput): JoinWindowEffect[] {
    switch (input.type) {
      case 'opened':
        return opened(now, input.forMs);
      case 'policyChanged':
        isAutoApproving = input.autoApprove;
        return [];
      case 'knocked':
        return knocked(input);
      case 'confirmed':
        return confirmed(input.node);
      case 'settled':
        pending.delete(input.key);
        return [];
      case 'tick':
        return [];
    }
  }

  return {
    step(now, input) {
      const effects: JoinWindowEffect[] = [];
      if (closesAt !== undefined && closesAt <= now) {
        closesAt = undefined;
        effects.push({ type: 'announce', isOpen: false });
      }
      return [...effects, ...answer(now, input)];
    },
    deadline: () => closesAt ?? Infinity,
    view: () => ({ closesAt, pending: [...pending.values()] }),
  };
}
