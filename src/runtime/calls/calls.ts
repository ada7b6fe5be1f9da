/** Calls at work: the two cores of `src/protocol/command` between the programs of this node and the mesh. */

import { AscendingMap } from '../../kernel/ascending-map.ts';
import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { bulkSuffix } from '../../kernel/parcel.ts';
import type { Random } from '../../kernel/random.ts';
import type { CallOptions, Calls } from '../../ports/calls.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { MeshPort } from '../../ports/mesh.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { createCaller } from '../../protocol/command/caller.ts';
import type { CallerEffect, CallFailure } from '../../protocol/command/caller-types.ts';
import { callBodyBytesMax, callNameMax } from '../../kernel/call.ts';
import { isToResponder } from '../../protocol/command/messages.ts';
import type { CommandMessage } from '../../protocol/command/messages.ts';
import { createResponder } from '../../protocol/command/responder.ts';
import type { ResponderEffect } from '../../protocol/command/responder-types.ts';
import { decodeCommand, encodeCommand } from '../../wire/command-codec.ts';
import { decodeFailure } from '../../wire/error-codec.ts';
import { createItemQueue } from './item-queue.ts';
import { createServing } from './serving.ts';

/** The protocols of calls on the mesh: the second one for bodies in pieces, which must not overtake each other. */
const callProtocol = 'call';
const flowProtocol = `call${bulkSuffix}`;

/**
 * Messages of one turn that leave together: both ends work at once then, instead of each waiting for all that the other one
 * has to say (docs/decisions/0045).
 */
const gatheredMax = 24;

/** Where the answers of one call go. */
interface Asker {
  answer(body: Uint8Array): void;
  item(body: Uint8Array): void;
  end(): void;
  fail(error: Error): void;
}

/** What calls need of the world. */
export interface CallsWorld {
  readonly mesh: MeshPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Calls that can be ended. */
export interface RunningCalls extends Calls {
  /** Fails what is open and gives the protocol back. */
  stop(): void;
}

/** Builds the calls of one node. */
export function createCalls(world: CallsWorld): RunningCalls {
  const { mesh, clock, random, metrics } = world;
  const askers = new AscendingMap<Asker>();
  const up = new Set<NodeId>(mesh.peers());
  let nextCall = 1;
  let caller = createCaller({ boot: mesh.boot() }, random.split());
  let responder = createResponder({ boot: mesh.boot() });
  let boot = mesh.boot();
  let isStopped = false;
  let cancelAlarm = (): void => {};
  /** Messages sent in this turn of the loop. */
  let gathered = 0;
  let alarmAt: Millis = Infinity;

  const serving = createServing({
    log: world.log,
    feed: (input) => toResponder(() => responder.step(clock.now(), input)),
  });

  function transmit(to: NodeId, message: CommandMessage): void {
    const protocol = isOfFlow(message) ? flowProtocol : callProtocol;
    if (!mesh.send(to, protocol, encodeCommand(message))) metrics.drop('call', 'not sent');
    gathered += 1;
    if (gathered === 1) setImmediate(turned);
    if (gathered % gatheredMax === 0) mesh.hurry();
  }

  function turned(): void {
    gathered = 0;
  }

  /** One alarm for all calls, moved only when something is due earlier. */
  function arm(): void {
    const at = Math.min(caller.deadline(), responder.deadline());
    if (isStopped || at >= alarmAt) return;
    cancelAlarm();
    alarmAt = at;
    cancelAlarm = clock.alarm(at, () => {
      alarmAt = Infinity;
      toCaller(() => caller.step(clock.now(), { type: 'tick' }));
      toResponder(() => responder.step(clock.now(), { type: 'tick' }));
    });
  }

  function toCaller(step: () => readonly CallerEffect[]): void {
    refresh();
    for (const effect of step()) {
      if (effect.type === 'send') transmit(effect.to, effect.message);
      else tell(effect);
    }
    arm();
  }

  function tell(effect: Exclude<CallerEffect, { type: 'send' }>): void {
    const asker = askers.get(effect.call);
    if (asker === undefined) return;
    if (effect.type === 'item') return asker.item(effect.body);
    askers.delete(effect.call);
    if (effect.type === 'answer') asker.answer(effect.body);
    else if (effect.type === 'end') asker.end();
    else if (effect.type === 'error') asker.fail(decodeFailure(effect.body));
    else asker.fail(failureOf(effect.reason));
  }

  function toResponder(step: () => readonly ResponderEffect[]): void {
    refresh();
    for (const effect of step()) {
      if (effect.type === 'send') transmit(effect.to, effect.message);
      else serving.run(effect);
    }
    arm();
  }

  /** Another life (the node joined another mesh): nothing of the last one counts. */
  function refresh(): void {
    const current = mesh.boot();
    if (current === boot) return;
    boot = current;
    caller = createCaller({ boot }, random.split());
    responder = createResponder({ boot });
    serving.abortAll();
    for (const asker of askers.values()) asker.fail(new MycelError('MYCEL_CALL_LOST'));
    askers.clear();
  }

  function received(from: NodeId, bytes: Uint8Array): void {
    const message = decodeCommand(bytes);
    if (message === undefined) return metrics.drop('call', 'malformed');
    if (isToResponder(message)) {
      toResponder(() => responder.step(clock.now(), { type: 'received', from, message }));
    } else toCaller(() => caller.step(clock.now(), { type: 'received', from, message }));
  }

  const protocols = [callProtocol, flowProtocol].map((name) => mesh.handle(name, received));

  const unlisten = mesh.onChange((change) => {
    if (change.kind === 'moved') {
      up.clear();
      return refresh();
    }
    const { node: peer } = change;
    if (change.kind === 'up') up.add(peer);
    else if (change.kind === 'down') {
      up.delete(peer);
      toCaller(() => caller.step(clock.now(), { type: 'peerDown', peer }));
      toResponder(() => responder.step(clock.now(), { type: 'peerDown', peer }));
    } else if (change.kind === 'linked') {
      toCaller(() => caller.step(clock.now(), { type: 'peerLinked', peer }));
    }
  });

  /** Begins a call; returns its number, or throws why there is none. */
  function begin(
    request: { to: NodeId; method: string; body: Uint8Array; isStream: boolean },
    options: CallOptions,
    asker: Asker,
  ): number {
    const { to, method, body, isStream } = request;
    const { deadlineMs, key, signal } = options;
    signal?.throwIfAborted();
    if (isStopped) throw new MycelError('MYCEL_NOT_RUNNING');
    refresh();
    checkName('method', method);
    if (key !== undefined) checkName('key', key);
    if (to !== mesh.self && !up.has(to)) {
      throw new MycelError('MYCEL_UNREACHABLE', { node: to, reason: `${to} is not up.` });
    }
    const call = nextCall;
    nextCall += 1;
    askers.set(call, asker);
    metrics.count('call.out');
    toCaller(() =>
      caller.step(clock.now(), {
        type: 'called',
        call,
        to,
        method,
        key,
        deadlineMs,
        isStream,
        body,
      }),
    );
    return call;
  }

  function cancel(call: number): void {
    if (!askers.delete(call)) return;
    toCaller(() => caller.step(clock.now(), { type: 'cancelled', call }));
  }

  function call(
    to: NodeId,
    method: string,
    body: Uint8Array,
    options: CallOptions,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      let number = 0;
      const abort = (): void => {
        cancel(number);
        reject(signal?.reason as Error);
      };
      const asker: Asker = {
        answer(reply) {
          signal?.removeEventListener('abort', abort);
          resolve(reply);
        },
        fail(error) {
          signal?.removeEventListener('abort', abort);
          reject(error);
        },
        item: () => {},
        end: () => {},
      };
      number = begin({ to, method, body, isStream: false }, options, asker);
      if (askers.has(number)) signal?.addEventListener('abort', abort, { once: true });
    });
  }

  async function* stream(
    to: NodeId,
    method: string,
    body: Uint8Array,
    options: CallOptions,
  ): AsyncGenerator<Uint8Array> {
    const queue = createItemQueue();
    const { signal } = options;
    const abort = (): void => queue.fail(signal?.reason as Error);
    const asker: Asker = { ...queue, answer: queue.end };
    const number = begin({ to, method, body, isStream: true }, options, asker);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      for (;;) {
        const item = await queue.next();
        if (item === undefined) return;
        toCaller(() => caller.step(clock.now(), { type: 'read', call: number }));
        yield item;
      }
    } finally {
      signal?.removeEventListener('abort', abort);
      cancel(number);
    }
  }

  return {
    serve: serving.serve,
    serveStream: serving.serveStream,
    call,
    stream,
    stop() {
      if (isStopped) return;
      isStopped = true;
      cancelAlarm();
      unlisten();
      for (const giveBack of protocols) giveBack();
      serving.abortAll();
      for (const asker of askers.values()) asker.fail(new MycelError('MYCEL_NOT_RUNNING'));
      askers.clear();
    },
  };
}

/** Whether the message is one of several that carry a body, or the items of a stream. */
function isOfFlow(message: CommandMessage): boolean {
  if (message.kind === 'feed') return true;
  return message.kind === 'reply' && (message.piece.seq > 0 || !message.piece.isEnd);
}

function checkName(what: string, name: string): void {
  if (name.length > 0 && name.length <= callNameMax) return;
  throw new MycelError('MYCEL_BAD_OPTION', {
    reason: `A ${what} of a call has 1 to ${callNameMax} characters.`,
  });
}

function failureOf(reason: CallFailure): MycelError {
  switch (reason) {
    case 'deadline':
      return new MycelError('MYCEL_DEADLINE');
    case 'unreachable':
      return new MycelError('MYCEL_UNREACHABLE', { reason: 'The member went down.' });
    case 'lost':
      return new MycelError('MYCEL_CALL_LOST');
    case 'busy':
      return new MycelError('MYCEL_CALL_BUSY');
    default:
      return new MycelError('MYCEL_TOO_LARGE', {
        reason: `The body of a call has at most ${callBodyBytesMax} bytes.`,
        fix: 'Use a stream, or a blob.',
      });
  }
}
