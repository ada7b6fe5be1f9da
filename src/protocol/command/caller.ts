/**
 * The asking side of calls: sends a request until its answer comes or the deadline has passed, and puts the answer together.
 * At-most-once RPC after Birrell and Nelson (1984): the reply is the acknowledgement, a probe asks after a slow call.
 */

import { AscendingMap } from '../../kernel/ascending-map.ts';
import type { Core, Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { Random } from '../../kernel/random.ts';
import type {
  CallerConfig,
  CallerEffect,
  CallerInput,
  CallerView,
  CallFailure,
} from './caller-types.ts';
import { createInflow } from './inflow.ts';
import type { Call, Peer } from './open-calls.ts';
import { callBodyBytesMax, confirmsMax, pieceBytesMax, pieceWindow } from '../../kernel/call.ts';
import type { Piece, ToCaller, ToResponder } from './messages.ts';
import { createOutflow, flowResendMs, resendMs, resendMsMax } from './outflow.ts';
import type { Outflow } from './outflow.ts';

/** Calls open at once, all peers together. */
export const openCallsMax = 16_384;

/** Peers whose life is remembered. */
export const calledPeersMax = 4_096;

/** Messages that one tick sends again; the rest follows with the next. */
const resendsPerTickMax = 256;

/** Ticks come no faster than this, in ms. */
const tickMsMin: Millis = 10;

/** How long a call that is known to run is left alone before it is asked after, in ms. */
const probeMs: Millis = 2_000;

/** How long pieces of an answer may stay unacknowledged, in ms: half of what the other end waits before it repeats them. */
const tellMs: Millis = flowResendMs / 2;

const noIds: readonly number[] = [];

/** Builds a caller with no call open. */
export function createCaller(
  config: CallerConfig,
  random: Random,
): Core<CallerInput, CallerEffect, CallerView> {
  const callerBoot = config.boot;
  const peers = new Map<NodeId, Peer>();
  const calls = new AscendingMap<Call>();
  /** Above every id given to a peer that was forgotten since. */
  let idFloor = 1;
  let nextAt: Millis = Infinity;
  let resentCount = 0;

  const wake = (at: Millis): void => {
    if (at < nextAt) nextAt = at;
  };
  /** Repeats are spread: a healed partition must not be answered by everybody at once. */
  const spread = (pauseMs: Millis): Millis => pauseMs * (0.75 + random.unit() / 2);

  function peerOf(id: NodeId): Peer {
    let peer = peers.get(id);
    if (peer !== undefined) return peer;
    if (peers.size >= calledPeersMax) forgetOne();
    const fresh = { boot: undefined, askAt: Infinity, askPauseMs: resendMs, confirms: [] };
    peer = { id, open: new AscendingMap<Call>(), nextId: idFloor, ...fresh };
    peers.set(id, peer);
    return peer;
  }

  function forgetOne(): void {
    for (const peer of peers.values()) {
      if (peer.open.size > 0) continue;
      idFloor = Math.max(idFloor, peer.nextId);
      peers.delete(peer.id);
      return;
    }
  }

  function close(one: Call): void {
    calls.delete(one.call);
    one.peer.open.delete(one.id);
  }

  function fail(one: Call, reason: CallFailure, effects: CallerEffect[]): void {
    close(one);
    effects.push({ type: 'fail', call: one.call, reason });
  }

  function cancel({ peer, id, sentCount }: Call, effects: CallerEffect[]): void {
    if (sentCount === 0) return;
    effects.push({ type: 'send', to: peer.id, message: { kind: 'cancel', callerBoot, id } });
  }

  function ask(now: Millis, peer: Peer, effects: CallerEffect[]): void {
    peer.askAt = now + spread(peer.askPauseMs);
    peer.askPauseMs = Math.min(resendMsMax, peer.askPauseMs * 2);
    wake(peer.askAt);
    effects.push({ type: 'send', to: peer.id, message: { kind: 'who', callerBoot } });
  }

  function request(now: Millis, one: Call, boot: number, effects: CallerEffect[]): void {
    const { peer, id, method, key, isStream } = one;
    one.sentTo = boot;
    one.sentCount += 1;
    one.dueAt = now + spread(one.pauseMs);
    one.pauseMs = Math.min(resendMsMax, one.pauseMs * 2);
    wake(one.dueAt);
    const confirmed = peer.confirms.length === 0 ? noIds : peer.confirms.splice(0, confirmsMax);
    const message: ToResponder = {
      kind: 'request',
      callerBoot,
      id,
      boot,
      method,
      key,
      deadlineMs: Math.max(1, one.deadlineAt - now),
      isStream,
      piece: one.first,
      confirmed,
    };
    effects.push({ type: 'send', to: peer.id, message });
  }

  function feed(one: Call, pieces: readonly Piece[], effects: CallerEffect[]): void {
    for (const piece of pieces) {
      if (piece.seq === 0) continue;
      const message: ToResponder = { kind: 'feed', callerBoot, id: one.id, piece };
      effects.push({ type: 'send', to: one.peer.id, message });
    }
  }

  function accept(one: Call, isAsking: boolean, effects: CallerEffect[]): void {
    one.tellAt = Infinity;
    const credit = one.down?.credit() ?? { next: 0, upTo: pieceWindow };
    const message: ToResponder = { kind: 'accept', callerBoot, id: one.id, credit, isAsking };
    effects.push({ type: 'send', to: one.peer.id, message });
  }

  function called(
    now: Millis,
    input: Extract<CallerInput, { type: 'called' }>,
    effects: CallerEffect[],
  ): void {
    const { call, method, key, isStream, body } = input;
    if (calls.has(call)) return;
    const isTooLarge = body.length > callBodyBytesMax;
    if (isTooLarge || calls.size >= openCallsMax || !(input.deadlineMs > 0)) {
      const reason = isTooLarge ? 'too-large' : input.deadlineMs > 0 ? 'busy' : 'deadline';
      effects.push({ type: 'fail', call, reason });
      return;
    }
    const peer = peerOf(input.to);
    let first: Piece = { seq: 0, bytes: body, isItemEnd: true, isEnd: true, isError: false };
    let up: Outflow | undefined;
    if (body.length > pieceBytesMax) {
      // Only the first piece leaves before the other end has said that it takes the rest.
      up = createOutflow(1);
      up.add(body, true, false);
      first = up.take(now)[0] ?? first;
    }
    const one: Call = {
      call,
      id: peer.nextId,
      peer,
      method,
      key,
      isStream,
      deadlineAt: now + input.deadlineMs,
      first,
      up,
      down: undefined,
      sentTo: undefined,
      sentCount: 0,
      isKnown: false,
      dueAt: Infinity,
      pauseMs: resendMs,
      tellAt: Infinity,
    };
    peer.nextId += 1;
    peer.open.set(one.id, one);
    calls.set(call, one);
    wake(one.deadlineAt);
    if (peer.boot !== undefined) request(now, one, peer.boot, effects);
    else if (peer.askAt === Infinity) ask(now, peer, effects);
  }

  function replied(now: Millis, one: Call, piece: Piece, effects: CallerEffect[]): void {
    one.isKnown = true;
    one.up = undefined;
    one.pauseMs = probeMs;
    one.dueAt = now + spread(probeMs);
    if (!one.isStream && piece.seq === 0 && piece.isEnd && one.down === undefined) {
      finish(one, piece.bytes, piece.isError, effects);
      return;
    }
    one.down ??= createInflow(callBodyBytesMax);
    const verdict = one.down.take(piece);
    if (verdict.kind === 'credit') accept(one, verdict.isAsking, effects);
    else if (verdict.kind === 'too-large') {
      cancel(one, effects);
      fail(one, 'too-large', effects);
    } else if (verdict.kind === 'whole') {
      const { bytes, isEnd, isError } = verdict.arrival;
      if (isEnd) accept(one, false, effects);
      if (isEnd && (isError || !one.isStream)) finish(one, bytes, isError, effects);
      else if (isEnd) {
        // The end of a stream carries no item.
        close(one);
        effects.push({ type: 'end', call: one.call });
      } else if (one.isStream) {
        effects.push({ type: 'item', call: one.call, body: bytes });
        if (one.down.isDue()) accept(one, false, effects);
      }
    }
    if (one.down.isUntold() && one.tellAt === Infinity) {
      one.tellAt = now + tellMs;
      wake(one.tellAt);
    }
  }

  function finish(one: Call, body: Uint8Array, isError: boolean, effects: CallerEffect[]): void {
    const { peer, call } = one;
    close(one);
    peer.confirms.push(one.id);
    effects.push({ type: isError ? 'error' : 'answer', call, body });
    // What was large is not kept at the other end until the next call happens to go there.
    if (peer.confirms.length < confirmsMax && one.first.isEnd) return;
    const confirmed = peer.confirms.splice(0, confirmsMax);
    const message: ToResponder = { kind: 'confirm', callerBoot, confirmed };
    effects.push({ type: 'send', to: peer.id, message });
  }

  /** The peer leads another life than the one a call was sent to. Sent once and refused, it was certainly not carried out. */
  function rebound(now: Millis, one: Call, boot: number, effects: CallerEffect[]): void {
    if (one.sentTo === boot) return;
    if (one.sentCount > 1 || one.isKnown) return fail(one, 'lost', effects);
    one.sentCount = 0;
    one.pauseMs = resendMs;
    request(now, one, boot, effects);
  }

  function learnBoot(now: Millis, peer: Peer, boot: number, effects: CallerEffect[]): void {
    if (peer.boot !== undefined && boot <= peer.boot) return;
    peer.boot = boot;
    peer.askAt = Infinity;
    peer.askPauseMs = resendMs;
    for (const one of peer.open.values()) {
      if (one.sentTo === undefined) request(now, one, boot, effects);
    }
  }

  function received(now: Millis, from: NodeId, message: ToCaller, effects: CallerEffect[]): void {
    if (message.callerBoot !== callerBoot) return;
    const peer = peers.get(from);
    if (message.kind === 'here') {
      if (peer !== undefined) learnBoot(now, peer, message.boot, effects);
      return;
    }
    const { id } = message;
    const one = peer?.open.get(id);
    if (one === undefined) {
      // Whoever still sends an answer does not know that it came, or that nobody waits any more.
      if (message.kind === 'reply') {
        effects.push({ type: 'send', to: from, message: { kind: 'cancel', callerBoot, id } });
      }
      return;
    }
    switch (message.kind) {
      case 'reply':
        return replied(now, one, message.piece, effects);
      case 'grant':
        if (one.up === undefined) return;
        one.up.credited(now, message.credit);
        if (message.isAsking) {
          resentCount += 1;
          feed(one, one.up.again(now), effects);
        }
        feed(one, one.up.take(now), effects);
        one.isKnown = true;
        if (one.up.isDone()) one.up = undefined;
        one.pauseMs = one.up === undefined ? probeMs : resendMs;
        one.dueAt = now + spread(one.pauseMs);
        return wake(one.dueAt);
      case 'working':
        one.isKnown = true;
        one.pauseMs = probeMs;
        one.dueAt = now + spread(probeMs);
        return wake(one.dueAt);
      case 'refused':
        if (message.reason !== 'boot') return fail(one, message.reason, effects);
        learnBoot(now, one.peer, message.boot, effects);
        if (message.boot === one.peer.boot) rebound(now, one, message.boot, effects);
        return;
      default:
        return unreachable(message);
    }
  }

  /** Says again what got no answer: the request, the rest of its body, or the question how it goes. */
  function repeat(now: Millis, one: Call, effects: CallerEffect[]): void {
    resentCount += 1;
    if (one.sentTo === undefined) one.dueAt = Infinity;
    else if (!one.isKnown) request(now, one, one.sentTo, effects);
    else {
      if (one.up !== undefined) feed(one, one.up.again(now), effects);
      else accept(one, true, effects);
      one.dueAt = now + spread(one.pauseMs);
      one.pauseMs = Math.min(resendMsMax, one.pauseMs * 2);
    }
  }

  function runDue(now: Millis, effects: CallerEffect[]): void {
    let soonest = Infinity;
    let left = resendsPerTickMax;
    for (const peer of peers.values()) {
      for (const one of peer.open.values()) {
        if (now >= one.deadlineAt) {
          cancel(one, effects);
          fail(one, 'deadline', effects);
          continue;
        }
        if (now >= one.dueAt && left > 0) {
          left -= 1;
          repeat(now, one, effects);
        }
        if (now >= one.tellAt) accept(one, false, effects);
        soonest = Math.min(soonest, one.dueAt, one.deadlineAt, one.tellAt);
      }
      if (peer.open.size === 0) peer.askAt = Infinity;
      if (now >= peer.askAt) ask(now, peer, effects);
      soonest = Math.min(soonest, peer.askAt);
    }
    nextAt = Math.max(soonest, now + tickMsMin);
  }

  function take(now: Millis, input: CallerInput, effects: CallerEffect[]): void {
    switch (input.type) {
      case 'tick':
        return;
      case 'called':
        return called(now, input, effects);
      case 'received':
        return received(now, input.from, input.message, effects);
      case 'read': {
        const one = calls.get(input.call);
        one?.down?.read();
        if (one?.down?.isDue() === true) accept(one, false, effects);
        return;
      }
      case 'cancelled': {
        const one = calls.get(input.call);
        if (one === undefined) return;
        cancel(one, effects);
        return close(one);
      }
      case 'peerDown': {
        const peer = peers.get(input.peer);
        if (peer === undefined) return;
        peer.askAt = Infinity;
        for (const one of peer.open.values()) fail(one, 'unreachable', effects);
        return;
      }
      case 'peerLinked': {
        const peer = peers.get(input.peer);
        if (peer === undefined || peer.open.size === 0) return;
        for (const one of peer.open.values()) if (one.sentTo !== undefined) one.dueAt = now;
        if (peer.askAt < Infinity) peer.askAt = now;
        return runDue(now, effects);
      }
      default:
        return unreachable(input);
    }
  }

  return {
    step(now, input) {
      const effects: CallerEffect[] = [];
      take(now, input, effects);
      if (now >= nextAt) runDue(now, effects);
      return effects;
    },
    deadline: () => nextAt,
    view: () => ({ openCount: calls.size, peerCount: peers.size, resentCount }),
  };
}
