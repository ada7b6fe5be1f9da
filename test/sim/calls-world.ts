/** Callers and responders on a network that loses, doubles, delays and parts, in virtual time, from the production cores. */

import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { createCaller } from '../../src/protocol/command/caller.ts';
import type { CallerEffect, CallerInput } from '../../src/protocol/command/caller-types.ts';
import { isToResponder } from '../../src/protocol/command/messages.ts';
import type { CommandMessage } from '../../src/protocol/command/messages.ts';
import { createResponder } from '../../src/protocol/command/responder.ts';
import type {
  ResponderEffect,
  ResponderInput,
} from '../../src/protocol/command/responder-types.ts';
import { decodeCommand, encodeCommand } from '../../src/wire/command-codec.ts';
import { simNodeId } from './routing-mesh.ts';

/** How bad the network is, as shares of messages, and how long a handler takes. */
export interface CallFaults {
  readonly loss: number;
  readonly duplication: number;
  readonly delayMsMax: number;
  readonly handlerMsMax: number;
  /** The network parts at these instants and heals at those, in ms. */
  readonly parted: readonly (readonly [from: number, to: number])[];
}

/** What became of one call. */
export interface Outcome {
  readonly call: number;
  readonly at: number;
  readonly how: string;
  readonly bytes: number;
  readonly items: number;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

interface Host {
  readonly id: NodeId;
  boot: number;
  caller: ReturnType<typeof createCaller>;
  responder: ReturnType<typeof createResponder>;
  readonly items: Map<number, number>;
}

/** A world of `count` hosts that can all call each other. */
export class CallsWorld {
  now = 0;
  /** How often each `host key` was carried out. */
  readonly performed = new Map<string, number>();
  readonly outcomes = new Map<number, Outcome>();
  messageCount = 0;
  readonly #random;
  readonly #faults: CallFaults;
  readonly #hosts: Host[];
  #events: Event[] = [];
  #order = 0;
  #nextCall = 1;

  constructor(count: number, seed: number, faults: CallFaults) {
    this.#random = createRandom(seed);
    this.#faults = faults;
    this.#hosts = Array.from({ length: count }, (_, at) => this.#hostOf(simNodeId(at), 1));
  }

  /** Makes a call at an instant; returns its number. */
  call(
    at: number,
    from: number,
    to: number,
    how: { key?: string; deadlineMs: number; bytes: number; isStream?: boolean },
  ): number {
    const call = this.#nextCall;
    this.#nextCall += 1;
    const { key, deadlineMs, bytes, isStream = false } = how;
    this.#at(at, () => {
      const host = this.#host(from);
      this.#caller(host, {
        type: 'called',
        call,
        to: this.#host(to).id,
        method: 'work',
        key,
        deadlineMs,
        isStream,
        body: new Uint8Array(bytes),
      });
    });
    return call;
  }

  /** The host loses everything it knew and comes back in its next life. */
  restart(at: number, which: number): void {
    this.#at(at, () => {
      const old = this.#host(which);
      this.#hosts[which] = this.#hostOf(old.id, old.boot + 1);
    });
  }

  /** Runs until nothing is left to do before `until`. */
  run(until: number): void {
    for (;;) {
      const event = this.#soonest();
      const tickAt = Math.min(
        ...this.#hosts.map(({ caller, responder }) =>
          Math.min(caller.deadline(), responder.deadline()),
        ),
      );
      const at = Math.min(event?.at ?? Infinity, tickAt);
      if (at > until) return;
      this.now = Math.max(this.now, at);
      if (event !== undefined && event.at <= tickAt) {
        this.#events.splice(this.#events.indexOf(event), 1);
        event.run();
      } else {
        for (const host of this.#hosts) {
          if (host.caller.deadline() <= this.now) this.#caller(host, { type: 'tick' });
          if (host.responder.deadline() <= this.now) this.#responder(host, { type: 'tick' });
        }
      }
    }
  }

  #soonest(): Event | undefined {
    let best: Event | undefined;
    for (const one of this.#events) {
      if (best === undefined || one.at < best.at || (one.at === best.at && one.order < best.order))
        best = one;
    }
    return best;
  }

  #at(at: number, run: () => void): void {
    this.#order += 1;
    this.#events.push({ at, order: this.#order, run });
  }

  #host(at: number): Host {
    return this.#hosts[at] as Host;
  }

  #hostOf(id: NodeId, boot: number): Host {
    return {
      id,
      boot,
      caller: createCaller({ boot }, this.#random.split()),
      responder: createResponder({ boot }),
      items: new Map(),
    };
  }

  #isCurrent(host: Host): boolean {
    return this.#hosts.includes(host);
  }

  #caller(host: Host, input: CallerInput): void {
    if (!this.#isCurrent(host)) return;
    for (const effect of host.caller.step(this.now, input)) this.#callerEffect(host, effect);
  }

  #callerEffect(host: Host, effect: CallerEffect): void {
    if (effect.type === 'send') return this.#send(host, effect.to, effect.message);
    const { call } = effect;
    if (effect.type === 'item') {
      host.items.set(call, (host.items.get(call) ?? 0) + 1);
      this.#caller(host, { type: 'read', call });
      return;
    }
    const how = effect.type === 'fail' ? effect.reason : effect.type;
    const bytes = effect.type === 'answer' ? effect.body.length : 0;
    const items = host.items.get(call) ?? 0;
    if (this.outcomes.has(call)) throw new Error(`call ${call} ended twice`);
    this.outcomes.set(call, { call, at: this.now, how, bytes, items });
  }

  #responder(host: Host, input: ResponderInput): void {
    if (!this.#isCurrent(host)) return;
    for (const effect of host.responder.step(this.now, input)) this.#responderEffect(host, effect);
  }

  #responderEffect(host: Host, effect: ResponderEffect): void {
    if (effect.type === 'send') return this.#send(host, effect.to, effect.message);
    if (effect.type === 'abort') return;
    const takes = (): number => this.now + this.#random.below(this.#faults.handlerMsMax + 1);
    const { run } = effect;
    if (effect.type === 'more') {
      this.#at(this.now + (takes() - this.now) / 30, () => this.#yield(host, run));
      return;
    }
    const place = `${host.id} ${effect.from} ${effect.key}`;
    this.performed.set(place, (this.performed.get(place) ?? 0) + 1);
    const { body } = effect;
    if (effect.isStream) {
      this.#left.set(`${host.id} ${run}`, 30);
      this.#at(takes(), () => this.#yield(host, run));
    } else {
      this.#at(takes(), () =>
        this.#responder(host, { type: 'finished', run, isError: false, body }),
      );
    }
  }

  readonly #left = new Map<string, number>();

  #yield(host: Host, run: number): void {
    const place = `${host.id} ${run}`;
    const left = this.#left.get(place) ?? 0;
    this.#left.set(place, left - 1);
    if (left > 0) this.#responder(host, { type: 'yielded', run, body: new Uint8Array(20_000) });
    else this.#responder(host, { type: 'finished', run, isError: false, body: new Uint8Array(0) });
  }

  #send(from: Host, to: NodeId, message: CommandMessage): void {
    this.messageCount += 1;
    const { loss, duplication, delayMsMax, parted } = this.#faults;
    const bytes = encodeCommand(message).slice();
    const copies = this.#random.unit() < duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.#random.unit() < loss) continue;
      this.#at(this.now + 0.1 + this.#random.unit() * delayMsMax, () => {
        if (parted.some(([start, end]) => this.now >= start && this.now < end)) return;
        const host = this.#hosts.find(({ id }) => id === to);
        const read = decodeCommand(bytes);
        if (host === undefined || read === undefined) throw new Error('it was written by us');
        if (isToResponder(read))
          this.#responder(host, { type: 'received', from: from.id, message: read });
        else this.#caller(host, { type: 'received', from: from.id, message: read });
      });
    }
  }
}
