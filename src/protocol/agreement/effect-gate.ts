/**
 * The gate in front of a sink of effects: for each key it carries out one effect at a time, and none under a token below
 * the highest it has seen, also after a restart (Kleppmann 2016; Gray and Cheriton 1989 for the leases behind the tokens).
 */

import type { Core } from '../../kernel/core.ts';

/** Keys whose highest token one gate remembers. None is ever forgotten: a new one beyond it is refused. */
export const effectKeysMax = 1024;

/** Effects of one key that wait for their turn, and of all keys together; one more is refused. */
export const effectsWaitingMax = 64;
export const effectsOpenMax = 1024;

/** Facts. */
export type EffectGateInput =
  /** Somebody who says that it holds the key under this token wants an effect; `id` is the caller's own. */
  | { readonly type: 'asked'; readonly id: number; readonly key: string; readonly token: number }
  /** It is on disk that this token was seen. */
  | { readonly type: 'persisted'; readonly key: string; readonly token: number }
  /** It could not be written. */
  | { readonly type: 'persistFailed'; readonly key: string; readonly token: number }
  /** The effect is over, well or not. */
  | { readonly type: 'ended'; readonly id: number }
  /** Nobody waits for it any more. */
  | { readonly type: 'withdrawn'; readonly id: number };

/** `fenced`: a later holder was seen. `busy`, `full`: a bound. `disk`: the token cannot be kept. */
export type EffectRefusal = 'fenced' | 'busy' | 'full' | 'disk';

/** Orders. */
export type EffectGateEffect =
  /** A barrier for this key: nothing runs under the token before `persisted`. */
  | { readonly type: 'persist'; readonly key: string; readonly token: number }
  | { readonly type: 'run'; readonly id: number }
  /** A later holder is here: end soon. It waits until this one has ended. */
  | { readonly type: 'abort'; readonly id: number }
  | {
      readonly type: 'refuse';
      readonly id: number;
      readonly reason: EffectRefusal;
      readonly highest: number;
    };

/** A picture. */
export interface EffectGateView {
  readonly keys: readonly {
    readonly key: string;
    readonly highest: number;
    readonly running: number | undefined;
    readonly waiting: number;
  }[];
}

interface Turn {
  readonly id: number;
  readonly token: number;
}

interface Door {
  highest: number;
  /** The highest token that is on disk. */
  kept: number;
  /** The disk was asked for the highest and has not answered. */
  isPersisting: boolean;
  running: Turn | undefined;
  /** All of the highest token, in the order in which they came. */
  waiting: Turn[];
}

/** Builds a gate; `seen` are the tokens that are on disk. */
export function createEffectGate(
  seen: Iterable<readonly [string, number]>,
): Core<EffectGateInput, EffectGateEffect, EffectGateView> {
  const doors = new Map<string, Door>();
  const keyOf = new Map<number, string>();
  let effects: EffectGateEffect[] = [];
  for (const [key, token] of seen) doors.set(key, fresh(token));

  function refuse(id: number, reason: EffectRefusal, highest: number): void {
    keyOf.delete(id);
    effects.push({ type: 'refuse', id, reason, highest });
  }

  function refuseAll(door: Door, reason: EffectRefusal): void {
    for (const { id } of door.waiting) refuse(id, reason, door.highest);
    door.waiting = [];
  }

  function ask(id: number, key: string, token: number): void {
    if (keyOf.has(id)) return;
    const door = doors.get(key);
    const highest = door?.highest ?? 0;
    if (!Number.isSafeInteger(token) || token < 1 || token < highest) {
      return refuse(id, 'fenced', highest);
    }
    if (door === undefined && doors.size >= effectKeysMax) return refuse(id, 'full', 0);
    const isLater = token > highest;
    const queued = isLater ? 0 : (door?.waiting.length ?? 0);
    if (queued >= effectsWaitingMax || keyOf.size >= effectsOpenMax) {
      return refuse(id, 'busy', highest);
    }
    const open = door ?? fresh(0);
    doors.set(key, open);
    if (isLater) raise(open, token);
    if (open.kept < open.highest && !open.isPersisting) {
      open.isPersisting = true;
      effects.push({ type: 'persist', key, token });
    }
    keyOf.set(id, key);
    open.waiting.push({ id, token });
    advance(open);
  }

  function raise(door: Door, token: number): void {
    door.highest = token;
    door.isPersisting = false;
    refuseAll(door, 'fenced');
    if (door.running !== undefined) effects.push({ type: 'abort', id: door.running.id });
  }

  function advance(door: Door): void {
    if (door.running !== undefined || door.kept < door.highest) return;
    const next = door.waiting.shift();
    if (next === undefined) return;
    door.running = next;
    effects.push({ type: 'run', id: next.id });
  }

  function over(id: number, isWithdrawn: boolean): void {
    const key = keyOf.get(id);
    const door = key === undefined ? undefined : doors.get(key);
    if (door === undefined) return;
    if (door.running?.id === id) {
      // What runs is over when it says so: whoever withdraws it can only ask it to end.
      if (isWithdrawn) return void effects.push({ type: 'abort', id });
      door.running = undefined;
      keyOf.delete(id);
    } else if (isWithdrawn) {
      door.waiting = door.waiting.filter((one) => one.id !== id);
      keyOf.delete(id);
    }
    advance(door);
  }

  return {
    step(_, input) {
      effects = [];
      if (input.type === 'asked') ask(input.id, input.key, input.token);
      else if (input.type === 'ended') over(input.id, false);
      else if (input.type === 'withdrawn') over(input.id, true);
      else {
        const door = doors.get(input.key);
        // Only what this gate asked for: a word about a token that nobody showed changes nothing.
        if (door === undefined || input.token > door.highest || input.token <= door.kept) {
          return effects;
        }
        const isHighest = input.token === door.highest;
        if (isHighest) door.isPersisting = false;
        if (input.type === 'persisted') door.kept = input.token;
        else if (isHighest) refuseAll(door, 'disk');
        advance(door);
      }
      return effects;
    },
    deadline: () => Infinity,
    view: () => ({
      keys: [...doors].map(([key, { highest, running, waiting }]) => ({
        key,
        highest,
        running: running?.id,
        waiting: waiting.length,
      })),
    }),
  };
}

function fresh(token: number): Door {
  return { highest: token, kept: token, isPersisting: false, running: undefined, waiting: [] };
}
