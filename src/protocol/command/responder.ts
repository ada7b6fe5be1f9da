/**
 * The answering side of calls: carries each request out once, joins repeats to the running one, and keeps the answer
 * until its caller has it. At-most-once RPC after Birrell and Nelson (1984), with keys chosen by the caller.
 */

import { AscendingMap } from '../../kernel/ascending-map.ts';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Core, Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { unreachable } from '../../kernel/invariant.ts';
import { createIdWindow } from './id-window.ts';
import { createInflow } from './inflow.ts';
import {
  createKeptRuns,
  forWaiting,
  isAwaited,
  isFlow,
  join,
  keptKeysMax,
  leave,
  openExchange,
  openRun,
} from './kept-runs.ts';
import type { Caller, Exchange, Request, Run } from './kept-runs.ts';
import { callBodyBytesMax } from '../../kernel/call.ts';
import type { Credit, Piece, RefusalReason, ToResponder } from './messages.ts';
import { createOutflow, createSinglePiece } from './outflow.ts';
import type {
  ResponderConfig,
  ResponderEffect,
  ResponderInput,
  ResponderView,
} from './responder-types.ts';

/** Requests known at once: coming in, running, or answered and not confirmed. */
export const exchangesMax = 16_384;

/** Bodies held at once, coming in and going out, in bytes. */
export const exchangeBytesMax: number = 32 * 1024 * 1024;

/** Callers whose requests are told from repeats; the one unused the longest is forgotten. */
export const callersMax = 4_096;

/** The longest patience of a caller that is taken at its word, in ms: a day. */
export const patienceMsMax: Millis = 86_400_000;

/** Ticks come no faster than this, in ms. */
const tickMsMin: Millis = 10;

/** Bytes of a stream that may wait for credit before its handler has to. */
const streamWaitingBytesMax: number = 64 * 1024;

/** Builds a responder that knows no caller. */
export function createResponder(
  config: ResponderConfig,
): Core<ResponderInput, ResponderEffect, ResponderView> {
  const { boot } = config;
  const keepMs = config.keepMs ?? 300_000;
  const evicted: Caller[] = [];
  const callers = new BoundedMap<NodeId, Caller>(callersMax, (_, one) => evicted.push(one));
  const runs = new AscendingMap<Run>();
  const kept = createKeptRuns();
  let exchangeCount = 0;
  let nextRun = 1;
  let nextAt: Millis = Infinity;
  let joinedCount = 0;
  let refusedCount = 0;
  /** Bytes of bodies coming in, and of answers in flows. */
  let heldBytes = 0;

  const wake = (at: Millis): void => {
    if (at < nextAt) nextAt = at;
  };

  function refuse(to: NodeId, request: Request, reason: RefusalReason): ResponderEffect {
    refusedCount += 1;
    const { callerBoot, id } = request;
    return { type: 'send', to, message: { kind: 'refused', callerBoot, id, reason, boot } };
  }

  /** The caller of a life that has ended waits for nothing. */
  function callerOf(from: NodeId, life: number, effects: ResponderEffect[]): Caller | undefined {
    const known = callers.get(from);
    if (known === undefined) {
      const caller = {
        id: from,
        boot: life,
        seen: createIdWindow(),
        exchanges: new AscendingMap<Exchange>(),
      };
      callers.set(from, caller);
      for (const old of evicted.splice(0)) dropAll(old, effects);
      return caller;
    }
    if (life < known.boot) return undefined;
    if (life > known.boot) {
      dropAll(known, effects);
      known.boot = life;
      known.seen = createIdWindow();
    }
    return known;
  }

  function dropAll({ exchanges }: Caller, effects: ResponderEffect[]): void {
    for (const one of exchanges.values()) drop(one, effects);
  }

  function drop(one: Exchange, effects: ResponderEffect[]): void {
    if (!one.caller.exchanges.delete(one.id)) return;
    exchangeCount -= 1;
    heldBytes -= one.bodyBytes + (one.up?.heldBytes() ?? 0) + (one.down?.heldBytes() ?? 0);
    const { run } = one;
    if (run === undefined) return;
    leave(run, one);
    if (isAwaited(run)) return;
    if (run.result === undefined) {
      if (!run.isAborted) effects.push({ type: 'abort', run: run.run });
      run.isAborted = true;
    }
  }

  function send(one: Exchange, pieces: readonly Piece[], effects: ResponderEffect[]): void {
    const { caller, id } = one;
    for (const piece of pieces) {
      const message = { kind: 'reply' as const, callerBoot: caller.boot, id, piece };
      effects.push({ type: 'send', to: caller.id, message });
    }
  }

  /** Puts a body into the flow to the caller. */
  function answer(
    now: Millis,
    one: Exchange,
    what: { body: Uint8Array; isEnd: boolean; isError: boolean },
    effects: ResponderEffect[],
  ): void {
    one.down ??= what.isEnd && !isFlow(one) ? createSinglePiece() : createOutflow();
    const before = one.down.heldBytes();
    one.down.add(what.body, what.isEnd, what.isError);
    heldBytes += one.down.heldBytes() - before;
    send(one, one.down.take(now), effects);
    if (isFlow(one)) wake(one.down.resendAt());
  }

  function grant(one: Exchange, isAsking: boolean, effects: ResponderEffect[]): void {
    const { caller, id } = one;
    const credit = one.up?.credit();
    if (credit === undefined) return;
    const message = { kind: 'grant' as const, callerBoot: caller.boot, id, credit, isAsking };
    effects.push({ type: 'send', to: caller.id, message });
  }

  function working({ caller, id }: Exchange, effects: ResponderEffect[]): void {
    const message = { kind: 'working' as const, callerBoot: caller.boot, id };
    effects.push({ type: 'send', to: caller.id, message });
  }

  /** The request is whole: run it, or join the run that has its key. */
  function perform(now: Millis, one: Exchange, body: Uint8Array, effects: ResponderEffect[]): void {
    const { request, caller } = one;
    const { method, isStream, key } = request;
    const place = key === undefined ? undefined : `${caller.id} ${method} ${key}`;
    const same = place === undefined ? undefined : kept.find(now, place);
    one.bodyBytes = body.length;
    heldBytes += body.length;
    if (same !== undefined) {
      if (isStream) {
        effects.push(refuse(caller.id, request, 'lost'));
        return drop(one, effects);
      }
      joinedCount += 1;
      one.run = same;
      join(same, one);
      if (same.result !== undefined) answer(now, one, { ...same.result, isEnd: true }, effects);
      return;
    }
    const run = openRun(nextRun, place, one);
    nextRun += 1;
    one.run = run;
    runs.set(run.run, run);
    if (place !== undefined) kept.keep(place, run);
    effects.push({
      type: 'perform',
      run: run.run,
      from: caller.id,
      method,
      key: key ?? `${caller.boot}.${one.id}`,
      deadlineMs: Math.round(one.deadlineAt - now),
      isStream,
      body,
    });
  }

  function requested(
    now: Millis,
    from: NodeId,
    request: Request,
    effects: ResponderEffect[],
  ): void {
    const caller = callerOf(from, request.callerBoot, effects);
    if (caller === undefined) return;
    if (request.boot !== boot) return void effects.push(refuse(from, request, 'boot'));
    confirmed(caller, request.confirmed, effects);
    const known = caller.exchanges.get(request.id);
    const patienceMs = request.deadlineMs > 0 ? Math.min(patienceMsMax, request.deadlineMs) : 0;
    if (known !== undefined) {
      known.deadlineAt = Math.max(known.deadlineAt, now + patienceMs);
      return again(now, known, effects);
    }
    const isFull = exchangeCount >= exchangesMax || heldBytes >= exchangeBytesMax;
    if (isFull || kept.size() >= 2 * keptKeysMax) {
      return void effects.push(refuse(from, request, 'busy'));
    }
    if (!caller.seen.admit(request.id)) {
      return void effects.push(refuse(from, request, 'lost'));
    }
    const one = openExchange(caller, request, now + patienceMs);
    caller.exchanges.set(one.id, one);
    exchangeCount += 1;
    wake(one.deadlineAt);
    const { piece } = request;
    if (piece.seq === 0 && piece.isEnd) return perform(now, one, piece.bytes, effects);
    one.up = createInflow(callBodyBytesMax);
    one.up.take(piece);
    heldBytes += one.up.heldBytes();
    grant(one, false, effects);
  }

  function fed(now: Millis, one: Exchange, piece: Piece, effects: ResponderEffect[]): void {
    if (one.up === undefined) return;
    const before = one.up.heldBytes();
    const verdict = one.up.take(piece);
    heldBytes += one.up.heldBytes() - before;
    if (verdict.kind === 'credit') grant(one, verdict.isAsking, effects);
    else if (verdict.kind === 'too-large') {
      effects.push(refuse(one.caller.id, one.request, 'too-large'));
      drop(one, effects);
    } else if (verdict.kind === 'whole') {
      grant(one, false, effects);
      if (one.run === undefined) perform(now, one, verdict.arrival.bytes, effects);
    }
  }

  /** The caller heard nothing of it: say again what there is to say. */
  function again(now: Millis, one: Exchange, effects: ResponderEffect[]): void {
    if (one.run === undefined) return grant(one, true, effects);
    const pieces = one.down?.again(now) ?? [];
    if (pieces.length === 0) working(one, effects);
    else send(one, pieces, effects);
  }

  function accepted(
    now: Millis,
    one: Exchange,
    said: { credit: Credit; isAsking: boolean },
    effects: ResponderEffect[],
  ): void {
    const { down } = one;
    if (down !== undefined) {
      const before = down.heldBytes();
      down.credited(now, said.credit);
      heldBytes += down.heldBytes() - before;
      if (down.isDone()) return drop(one, effects);
      send(one, down.take(now), effects);
      if (one.isHeldBack && down.waitingBytes() < streamWaitingBytesMax && one.run !== undefined) {
        one.isHeldBack = false;
        effects.push({ type: 'more', run: one.run.run });
      }
      if (isFlow(one)) wake(down.resendAt());
    }
    if (said.isAsking) again(now, one, effects);
  }

  function confirmed(caller: Caller, ids: readonly number[], effects: ResponderEffect[]): void {
    for (const id of ids) {
      const one = caller.exchanges.get(id);
      if (one !== undefined) drop(one, effects);
    }
  }

  function received(
    now: Millis,
    from: NodeId,
    message: ToResponder,
    effects: ResponderEffect[],
  ): void {
    const { kind, callerBoot } = message;
    if (kind === 'who') {
      effects.push({ type: 'send', to: from, message: { kind: 'here', callerBoot, boot } });
      return;
    }
    if (kind === 'request') return requested(now, from, message, effects);
    const caller = callers.get(from);
    if (kind === 'confirm') {
      if (caller?.boot === callerBoot) confirmed(caller, message.confirmed, effects);
      return;
    }
    const { id } = message;
    const one = caller?.boot === callerBoot ? caller.exchanges.get(id) : undefined;
    if (one === undefined) {
      if (kind === 'cancel' || (kind === 'accept' && !message.isAsking)) return;
      const reason = 'lost';
      const refusal = { kind: 'refused' as const, callerBoot, id, reason, boot } as const;
      effects.push({ type: 'send', to: from, message: refusal });
      return;
    }
    if (kind === 'feed') fed(now, one, message.piece, effects);
    else if (kind === 'accept') accepted(now, one, message, effects);
    else drop(one, effects);
  }

  function finished(
    now: Millis,
    run: Run,
    what: { isError: boolean; body: Uint8Array },
    effects: ResponderEffect[],
  ): void {
    if (run.result !== undefined) return;
    const result = { body: what.body, isError: what.isError };
    run.result = result;
    runs.delete(run.run);
    if (run.place !== undefined) {
      kept.settled(run, now + keepMs);
      wake(run.keepUntil);
      // Cancelled and not carried out: a repeat may try again.
      if (run.isAborted && run.result.isError) kept.forget(run.place, run);
    }
    const last = { body: what.body, isError: what.isError, isEnd: true };
    forWaiting(run, (one) => answer(now, one, last, effects));
  }

  function yielded(now: Millis, run: Run, body: Uint8Array, effects: ResponderEffect[]): void {
    forWaiting(run, (one) => {
      answer(now, one, { body, isEnd: false, isError: false }, effects);
      if ((one.down?.waitingBytes() ?? 0) < streamWaitingBytesMax) {
        effects.push({ type: 'more', run: run.run });
      } else one.isHeldBack = true;
    });
  }

  function runDue(now: Millis, effects: ResponderEffect[]): void {
    let soonest = Infinity;
    for (const caller of callers.values()) {
      for (const one of caller.exchanges.values()) {
        if (now >= one.deadlineAt) {
          drop(one, effects);
          continue;
        }
        soonest = Math.min(soonest, one.deadlineAt);
        if (one.down === undefined || !isFlow(one)) continue;
        send(one, one.down.resend(now), effects);
        soonest = Math.min(soonest, one.down.resendAt());
      }
    }
    nextAt = Math.max(Math.min(soonest, kept.expire(now)), now + tickMsMin);
  }

  function take(now: Millis, input: ResponderInput, effects: ResponderEffect[]): void {
    switch (input.type) {
      case 'tick':
        return;
      case 'received':
        return received(now, input.from, input.message, effects);
      case 'finished': {
        const run = runs.get(input.run);
        if (run !== undefined) finished(now, run, input, effects);
        return;
      }
      case 'yielded': {
        const run = runs.get(input.run);
        if (run !== undefined) yielded(now, run, input.body, effects);
        return;
      }
      case 'peerDown': {
        const caller = callers.get(input.peer);
        if (caller !== undefined) dropAll(caller, effects);
        return;
      }
      default:
        return unreachable(input);
    }
  }

  return {
    step(now, input) {
      const effects: ResponderEffect[] = [];
      take(now, input, effects);
      if (now >= nextAt) runDue(now, effects);
      return effects;
    },
    deadline: () => nextAt,
    view: () => ({
      runningCount: runs.size,
      keptCount: exchangeCount + kept.size(),
      keptBytes: kept.bytes() + heldBytes,
      joinedCount,
      refusedCount,
    }),
  };
}
