/**
 * Hands numbered items to whoever asks for work: workers pull, so that a fast one takes more; an item is leased, and goes
 * to another worker when its holder is gone, silent, or so slow that an idle one may overtake it. The first result of an
 * item counts. No more items are begun than `windowMax` beyond what the reader has consumed.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';

/** Items given in one answer. */
export const givenMax = 256;

/** Workers of one board; the asking of one more is answered with nothing. */
export const boardWorkersMax = 1_024;

/** How a board gives and takes back. */
export interface WorkBoardConfig {
  /** Items begun and not consumed. @default 1024 */
  readonly windowMax?: number;
  /** A worker that is not heard of for so long loses its items, in ms. @default 10_000 */
  readonly leaseMs?: Millis;
  /** How long an asking waits for work, in ms. @default 2_000 */
  readonly waitMs?: Millis;
  /** Runs of one item that failed by its own fault before it is given up. @default 1 */
  readonly attemptsMax?: number;
  /** Holders of one item that were lost before it is given up: it may be what kills them. @default 5 */
  readonly lossesMax?: number;
  /** An item takes so many times the mean before an idle worker gets a copy of it. @default 3 */
  readonly stragglerFactor?: number;
  /** And at least so long, in ms. @default 200 */
  readonly stragglerMs?: Millis;
  /** Workers that do one item at the same time. @default 2 */
  readonly copiesMax?: number;
}

/** Facts for a board. */
export type WorkBoardInput =
  | { readonly type: 'tick' }
  /** So many more items are there, numbered on from the last. */
  | { readonly type: 'offered'; readonly count: number }
  /** There are no more. */
  | { readonly type: 'ended' }
  /** `holds`: what it is at. What the board thinks it holds besides is lost on the way. */
  | {
      readonly type: 'asked';
      readonly worker: string;
      readonly count: number;
      readonly holds: readonly number[];
    }
  | {
      readonly type: 'finished';
      readonly worker: string;
      readonly item: number;
      readonly outcome: 'done' | 'failed';
    }
  | { readonly type: 'gone'; readonly worker: string }
  /** The reader took so many results. */
  | { readonly type: 'consumed'; readonly count: number };

/** Orders of a board. */
export type WorkBoardEffect =
  /** Have so many more items fetched. */
  | { readonly type: 'pull'; readonly count: number }
  /** Answers an asking; empty: ask again. */
  | { readonly type: 'give'; readonly to: string; readonly items: readonly number[] }
  /** Settled for good: by its first result, or given up. */
  | {
      readonly type: 'settle';
      readonly item: number;
      readonly outcome: 'done' | 'failed' | 'lost';
    }
  /** Every item is settled and there are no more. */
  | { readonly type: 'finish' };

/** What a board holds. */
export interface WorkBoardView {
  readonly offered: number;
  readonly waiting: number;
  readonly leased: number;
  readonly settled: number;
  readonly workers: number;
  /** Items given again: their holder was lost, or slow. */
  readonly regiven: number;
  readonly copies: number;
  readonly meanMs: number | undefined;
}

interface Item {
  readonly holders: Map<string, Millis>;
  failures: number;
  losses: number;
}

interface Worker {
  heardAt: Millis;
  wanted: number;
  waitsUntil: Millis;
  readonly items: Set<number>;
}

/** Builds a board without items. */
export function createWorkBoard(
  config: WorkBoardConfig = {},
): Core<WorkBoardInput, WorkBoardEffect, WorkBoardView> {
  const windowMax = Math.max(1, config.windowMax ?? 1_024);
  const leaseMs = Math.max(1, config.leaseMs ?? 10_000);
  const waitMs = Math.max(1, config.waitMs ?? 2_000);
  const attemptsMax = Math.max(1, config.attemptsMax ?? 1);
  const lossesMax = Math.max(1, config.lossesMax ?? 5);
  const stragglerFactor = Math.max(1, config.stragglerFactor ?? 3);
  const stragglerMs = Math.max(1, config.stragglerMs ?? 200);
  const copiesMax = Math.max(1, config.copiesMax ?? 2);
  const items = new Map<number, Item>();
  const waiting: number[] = [];
  const workers = new Map<string, Worker>();
  let offered = 0;
  let pulled = 0;
  let consumed = 0;
  let settled = 0;
  let regiven = 0;
  let copies = 0;
  let hasEnded = false;
  let isFinished = false;
  let mean: Millis | undefined;

  type Effects = WorkBoardEffect[];

  function settle(item: number, outcome: 'done' | 'failed' | 'lost'): Effects {
    const one = items.get(item);
    if (one === undefined) return [];
    for (const worker of one.holders.keys()) workers.get(worker)?.items.delete(item);
    items.delete(item);
    settled += 1;
    return [{ type: 'settle', item, outcome }];
  }

  /** Takes an item from a worker that is gone, silent, or has failed at it. */
  function release(worker: string, item: number, why: 'lost' | 'failed'): Effects {
    const one = items.get(item);
    if (one === undefined || !one.holders.delete(worker)) return [];
    workers.get(worker)?.items.delete(item);
    if (why === 'lost') one.losses += 1;
    else one.failures += 1;
    if (one.failures >= attemptsMax) return settle(item, 'failed');
    if (one.losses >= lossesMax) return settle(item, 'lost');
    if (one.holders.size === 0) {
      regiven += 1;
      // What was begun goes first: whoever reads in order waits for it.
      waiting.unshift(item);
    }
    return [];
  }

  function dismiss(name: string, worker: Worker): Effects {
    workers.delete(name);
    return [...worker.items].toReversed().flatMap((item) => release(name, item, 'lost'));
  }

  function lease(now: Millis, name: string, worker: Worker, item: number): void {
    items.get(item)?.holders.set(name, now);
    worker.items.add(item);
  }

  /** When an item is so long in work that a copy of it may be made; Infinity: it is not in work, or in enough. */
  function slowAt(holders: ReadonlyMap<string, Millis>): Millis {
    if (holders.size === 0 || holders.size >= copiesMax) return Infinity;
    const since = Math.min(...holders.values());
    return since + Math.max(stragglerMs, (mean ?? 0) * stragglerFactor);
  }

  /** Nothing new will be there before what is in work has come back. */
  const isDry = (): boolean => pulled === offered && (hasEnded || pulled - consumed >= windowMax);

  /** The item that is longest in work and long enough, for somebody who does not hold it. */
  function straggler(now: Millis, name: string): number | undefined {
    let found: number | undefined;
    let dueAt = Infinity;
    for (const [item, { holders }] of items) {
      if (holders.has(name)) continue;
      const due = slowAt(holders);
      if (due > now || due >= dueAt) continue;
      dueAt = due;
      found = item;
    }
    return found;
  }

  function give(now: Millis, name: string, worker: Worker, given: readonly number[]): Effects {
    for (const item of given) lease(now, name, worker, item);
    worker.wanted = 0;
    return [{ type: 'give', to: name, items: given }];
  }

  function assign(now: Millis): Effects {
    const effects: Effects = [];
    const asking = [...workers].filter(([, { wanted }]) => wanted > 0);
    let left = asking.length;
    for (const [name, worker] of asking) {
      // Nobody takes all while others wait.
      const share = Math.min(worker.wanted, givenMax, Math.ceil(waiting.length / left));
      left -= 1;
      if (share > 0) {
        effects.push(...give(now, name, worker, waiting.splice(0, share)));
        continue;
      }
      const slow = isDry() ? straggler(now, name) : undefined;
      if (slow !== undefined) {
        copies += 1;
        effects.push(...give(now, name, worker, [slow]));
      } else if (isFinished || worker.waitsUntil <= now) {
        effects.push(...give(now, name, worker, []));
      }
    }
    return effects;
  }

  /** Fetches what may be begun: while somebody asks for it. */
  function pull(): Effects {
    if (hasEnded) return [];
    let wanted = 0;
    for (const worker of workers.values()) wanted += worker.wanted;
    const count = Math.min(
      wanted - waiting.length - (pulled - offered),
      windowMax - (pulled - consumed),
    );
    if (count <= 0) return [];
    pulled += count;
    return [{ type: 'pull', count }];
  }

  function elapse(now: Millis): Effects {
    const effects: Effects = [];
    for (const [name, worker] of workers) {
      if (now - worker.heardAt >= leaseMs) effects.push(...dismiss(name, worker));
    }
    return effects;
  }

  function ask(now: Millis, name: string, count: number, holds: readonly number[]): Effects {
    let worker = workers.get(name);
    if (worker === undefined) {
      if (workers.size >= boardWorkersMax) return [{ type: 'give', to: name, items: [] }];
      worker = { heardAt: now, wanted: 0, waitsUntil: now, items: new Set() };
      workers.set(name, worker);
    }
    worker.heardAt = now;
    worker.wanted = Math.min(givenMax, Math.max(0, Math.floor(count) || 0));
    worker.waitsUntil = now + waitMs;
    const held = new Set(holds);
    const missing = [...worker.items].filter((item) => !held.has(item));
    return missing.toReversed().flatMap((item) => release(name, item, 'lost'));
  }

  function finish(now: Millis, name: string, item: number, outcome: 'done' | 'failed'): Effects {
    const worker = workers.get(name);
    if (worker !== undefined) worker.heardAt = now;
    const since = items.get(item)?.holders.get(name);
    if (outcome === 'failed') return since === undefined ? [] : release(name, item, 'failed');
    if (since !== undefined)
      mean = mean === undefined ? now - since : mean * 0.8 + (now - since) * 0.2;
    // The result of somebody who lost the item is as good as any.
    const at = waiting.indexOf(item);
    if (at >= 0 && items.has(item)) waiting.splice(at, 1);
    return settle(item, 'done');
  }

  function take(now: Millis, input: WorkBoardInput): Effects {
    switch (input.type) {
      case 'tick':
        return [];
      case 'offered': {
        const count = Math.min(Math.max(0, Math.floor(input.count) || 0), pulled - offered);
        for (let at = 0; at < count; at += 1) {
          items.set(offered, { holders: new Map(), failures: 0, losses: 0 });
          waiting.push(offered);
          offered += 1;
        }
        return [];
      }
      case 'ended':
        hasEnded = true;
        pulled = offered;
        return [];
      case 'asked':
        return ask(now, input.worker, input.count, input.holds);
      case 'finished':
        return finish(now, input.worker, input.item, input.outcome);
      case 'gone': {
        const worker = workers.get(input.worker);
        return worker === undefined ? [] : dismiss(input.worker, worker);
      }
      case 'consumed':
        consumed = Math.min(settled, consumed + Math.max(0, Math.floor(input.count) || 0));
        return [];
      default:
        return unreachable(input);
    }
  }

  function close(): Effects {
    if (isFinished || !hasEnded || settled < offered) return [];
    isFinished = true;
    return [{ type: 'finish' }];
  }

  return {
    step(now, input) {
      const effects = [...elapse(now), ...take(now, input), ...close()];
      return [...effects, ...assign(now), ...pull()];
    },
    deadline() {
      let soonest = Infinity;
      let isAsking = false;
      for (const { heardAt, wanted, waitsUntil } of workers.values()) {
        soonest = Math.min(soonest, heardAt + leaseMs);
        if (wanted === 0) continue;
        isAsking = true;
        soonest = Math.min(soonest, waitsUntil);
      }
      if (!isAsking || !isDry()) return soonest;
      for (const { holders } of items.values()) {
        const isWanted = [...workers].some(
          ([name, { wanted }]) => wanted > 0 && !holders.has(name),
        );
        if (isWanted) soonest = Math.min(soonest, slowAt(holders));
      }
      return soonest;
    },
    view: () => ({
      offered,
      waiting: waiting.length,
      leased: items.size - waiting.length,
      settled,
      workers: workers.size,
      regiven,
      copies,
      meanMs: mean,
    }),
  };
}
