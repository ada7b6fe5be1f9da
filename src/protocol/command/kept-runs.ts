/** What a responder remembers of requests: who asked, what runs, and the results kept for repeats. */

import type { AscendingMap } from '../../kernel/ascending-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { IdWindow } from './id-window.ts';
import type { Inflow } from './inflow.ts';
import { pieceBytesMax } from '../../kernel/call.ts';
import type { ToResponder } from './messages.ts';
import type { Outflow } from './outflow.ts';

/** Replies kept for keys, and their bytes; the oldest goes. */
export const keptKeysMax = 1_024;
export const keptKeyBytesMax: number = 8 * 1024 * 1024;

/** The message that opens a call. */
export type Request = Extract<ToResponder, { kind: 'request' }>;

/** A node that asked, in one of its lives. */
export interface Caller {
  readonly id: NodeId;
  boot: number;
  seen: IdWindow;
  readonly exchanges: AscendingMap<Exchange>;
}

/** One handler at work, or its result. */
export interface Run {
  readonly run: number;
  /** Where it is kept when its caller chose its key. */
  readonly place: string | undefined;
  /** Who waits for it: one nearly always, and those that joined it. */
  first: Exchange | undefined;
  joined: Set<Exchange> | undefined;
  result: { readonly body: Uint8Array; readonly isError: boolean } | undefined;
  isAborted: boolean;
  keepUntil: Millis;
}

/** One request of one caller. */
export interface Exchange {
  readonly caller: Caller;
  readonly id: number;
  readonly request: Request;
  deadlineAt: Millis;
  up: Inflow | undefined;
  run: Run | undefined;
  down: Outflow | undefined;
  /** The handler of a stream waits for room. */
  isHeldBack: boolean;
  /** Bytes of the body it came with. */
  bodyBytes: number;
}

/** A request that has come. */
export function openExchange(caller: Caller, request: Request, deadlineAt: Millis): Exchange {
  return {
    caller,
    id: request.id,
    request,
    deadlineAt,
    up: undefined,
    run: undefined,
    down: undefined,
    isHeldBack: false,
    bodyBytes: 0,
  };
}

/** A handler that is about to begin, for one request at first. */
export function openRun(run: number, place: string | undefined, first: Exchange): Run {
  return {
    run,
    place,
    first,
    joined: undefined,
    result: undefined,
    isAborted: false,
    keepUntil: Infinity,
  };
}

/** Makes a request wait for a run. */
export function join(run: Run, one: Exchange): void {
  if (run.first === undefined) run.first = one;
  else (run.joined ??= new Set()).add(one);
}

/** A request waits for its run no longer. */
export function leave(run: Run, one: Exchange): void {
  if (run.first === one) run.first = undefined;
  else run.joined?.delete(one);
}

/** Whether any request waits for a run. */
export function isAwaited({ first, joined }: Run): boolean {
  return first !== undefined || (joined?.size ?? 0) > 0;
}

/** Goes through the requests that wait for a run. */
export function forWaiting({ first, joined }: Run, act: (one: Exchange) => void): void {
  if (first !== undefined) act(first);
  if (joined !== undefined) for (const one of joined) act(one);
}

/** Whether an answer is repeated unasked: a single piece is not, its caller asks again. */
export function isFlow({ request, run }: Exchange): boolean {
  return request.isStream || (run?.result?.body.length ?? 0) > pieceBytesMax;
}

/** The runs whose callers chose a key: a repeat finds them while they run, and for a while after. */
export interface KeptRuns {
  find(now: Millis, place: string): Run | undefined;
  keep(place: string, run: Run): void;
  /** A kept run has its result: keep it until then. */
  settled(run: Run, until: Millis): void;
  forget(place: string, run: Run): void;
  /** Forgets what was kept long enough; gives the next time to look. */
  expire(now: Millis): Millis;
  size(): number;
  bytes(): number;
}

/** Builds it, empty. */
export function createKeptRuns(): KeptRuns {
  const kept = new Map<string, Run>();
  let bytes = 0;

  function forget(place: string, run: Run): void {
    if (kept.get(place) !== run) return;
    kept.delete(place);
    bytes -= run.result?.body.length ?? 0;
  }

  function makeRoom(): void {
    for (const [place, run] of kept) {
      if (kept.size <= keptKeysMax && bytes <= keptKeyBytesMax) return;
      // What still runs is not forgotten: it would run twice.
      if (run.result !== undefined) forget(place, run);
    }
  }

  return {
    forget,
    find(now, place) {
      const run = kept.get(place);
      return run !== undefined && run.keepUntil > now ? run : undefined;
    },
    keep(place, run) {
      kept.set(place, run);
      makeRoom();
    },
    settled(run, until) {
      run.keepUntil = until;
      bytes += run.result?.body.length ?? 0;
      makeRoom();
    },
    expire(now) {
      let soonest = Infinity;
      for (const [place, run] of kept) {
        if (now >= run.keepUntil) forget(place, run);
        else soonest = Math.min(soonest, run.keepUntil);
      }
      return soonest;
    },
    size: () => kept.size,
    bytes: () => bytes,
  };
}
