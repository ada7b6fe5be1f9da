/** A deterministic world: production cores on simulated hosts, in virtual time, with everything that goes wrong. */

import type { Millis } from '../../src/kernel/core.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import { Counters } from './counters.ts';
import { EventHeap } from './event-heap.ts';
import { conditions } from './faults.ts';
import type { Conditions, Fault, HostId, TimedFault } from './faults.ts';
import type { Host, HostAdapter, HostBody, HostOptions } from './host.ts';
import { SimHost } from './host-body.ts';
import { Network } from './network.ts';
import { Trace } from './trace.ts';

export { conditions } from './faults.ts';
export type { Conditions, Fault, HostId, TimedFault } from './faults.ts';
export type { Host, HostAdapter, HostOptions, Restart, Tools } from './host.ts';

/** Knobs of a world. */
export interface WorldOptions<Message> {
  readonly seed: number;
  /** How datagrams travel at first. @default conditions.lan */
  readonly network?: Conditions;
  /** A link that cannot deliver for this long is reset, in ms. @default 15_000 */
  readonly linkTimeoutMs?: Millis;
  /** Steps of one host within one virtual ms; more is a livelock. @default 10_000 */
  readonly stepsPerMsMax?: number;
  /** The kind under which a message is counted. @default its `type` when that is a string */
  kindOf?(message: Message): string;
  /** The size that is counted, in bytes. @default 0 */
  sizeOf?(message: Message): number;
}

/** Watches every effect right after the adapter ran it. */
export type Observer = (at: Millis, host: HostId, effect: unknown) => void;

/** A simulated world. Same options, same hosts, same calls: same trace hash. */
export class World<Message> {
  readonly seed: number;
  readonly counters: Counters = new Counters();
  readonly trace: Trace = new Trace();
  /** How often each note code was noted. */
  readonly notes: Map<string, number> = new Map();
  /** Chance for the scenario itself. */
  readonly random: Random;
  #now: Millis = 0;
  #agenda = new EventHeap();
  #ties: Random;
  #hosts = new Map<HostId, HostBody<Message>>();
  #hostChance: Random;
  #network: Network<Message>;
  #observers: Observer[] = [];
  #stepsPerMsMax: number;
  #kindOf: (message: Message) => string;

  constructor(options: WorldOptions<Message>) {
    const root = createRandom(options.seed);
    this.seed = options.seed;
    this.random = root.split();
    this.#ties = root.split();
    this.#hostChance = root.split();
    this.#stepsPerMsMax = options.stepsPerMsMax ?? 10_000;
    this.#kindOf = options.kindOf ?? kindOfTagged;
    this.#network = new Network<Message>(
      {
        random: root.split(),
        counters: this.counters,
        now: () => this.#now,
        schedule: (at, call) => this.#schedule(at, call),
        kindOf: this.#kindOf,
        sizeOf: options.sizeOf ?? (() => 0),
        deliver: (to, from, message, via) => {
          return this.#hosts.get(to)?.arrive(from, message, via) ?? 'refused';
        },
        linkReset: (host, peer) => this.#hosts.get(host)?.linkReset(peer),
      },
      options.network ?? conditions.lan,
      options.linkTimeoutMs ?? 15_000,
    );
  }

  /** Virtual ms since the world began. */
  get now(): Millis {
    return this.#now;
  }

  /** Adds a host and starts it at once (or at `startAt`). */
  addHost<Input, Effect, View>(
    id: HostId,
    adapter: HostAdapter<Message, Input, Effect, View>,
    options: HostOptions & { startAt?: Millis } = {},
  ): Host<Input, View> {
    const body = new SimHost<Message, Input, Effect, View>(id, adapter, options, {
      seed: this.seed,
      random: this.#hostChance.split(),
      trace: this.trace,
      counters: this.counters,
      stepsPerMsMax: this.#stepsPerMsMax,
      now: () => this.#now,
      schedule: (at, call) => this.#schedule(at, call),
      datagram: (from, to, message) => this.#network.datagram(from, to, message),
      segment: (from, to, message) => this.#network.segment(from, to, message),
      kindOf: this.#kindOf,
      noted: (host, code, details) => this.#noted(host, code, details),
      observed: (host, effect) => {
        for (const observer of this.#observers) observer(this.#now, host, effect);
      },
    });
    this.#hosts.set(id, body);
    if (options.startAt === undefined) body.start('kept');
    else this.#schedule(options.startAt, () => body.start('kept'));
    return body;
  }

  /** All hosts, in the order they were added. */
  hostIds(): HostId[] {
    return [...this.#hosts.keys()];
  }

  /** The hosts whose process runs and is neither paused nor asleep. */
  runningIds(): HostId[] {
    return this.hostIds().filter((id) => this.#body(id).phase() === 'running');
  }

  host(id: HostId): Host<unknown, unknown> {
    return this.#body(id);
  }

  observe(observer: Observer): void {
    this.#observers.push(observer);
  }

  /** Lets a fault happen now. */
  inject(fault: Fault): void {
    this.trace.add(this.#now, '', 'fault', fault);
    switch (fault.type) {
      case 'conditions':
        return this.#network.change(fault);
      case 'partition':
        return this.#network.partition(fault);
      case 'heal':
        return this.#network.heal(fault.name);
      case 'reset-link':
        return this.#network.reset(fault.left, fault.right);
      case 'stall-link':
        return this.#network.stall(fault.left, fault.right, this.#now + fault.forMs);
      case 'crash':
        return this.#crash(fault.host, fault.isPowerCut ?? false);
      case 'restart':
        return this.#restart(fault);
      case 'pause':
        return this.#body(fault.host).hold('pause', Infinity);
      case 'resume':
        return this.#body(fault.host).release('pause');
      case 'block':
        return this.#body(fault.host).hold('block', this.#now + fault.forMs);
      case 'muffle':
        return this.#body(fault.host).muffle(this.#now + fault.forMs);
      case 'suspend':
        return this.#body(fault.host).hold('suspend', this.#now + fault.forMs);
      case 'jump-wall':
        return this.#body(fault.host).jumpWall(fault.byMs);
      case 'slow-disk':
        return this.#body(fault.host).slowDisk(fault.writeMsMin, fault.writeMsMean);
    }
  }

  /** Lets something happen later. */
  at(at: Millis, what: Fault | (() => void)): void {
    this.#schedule(at, typeof what === 'function' ? what : () => this.inject(what));
  }

  /** Lets a list of faults happen at their instants. */
  plan(faults: readonly TimedFault[]): void {
    for (const { at, fault } of faults) this.at(at, fault);
  }

  /** Jumps from event to event until virtual time `end`. */
  runUntil(end: Millis): void {
    while (this.#agenda.nextAt() <= end) {
      this.#now = Math.max(this.#now, this.#agenda.nextAt());
      this.#agenda.pop()?.();
    }
    this.#now = Math.max(this.#now, end);
  }

  runFor(ms: Millis): void {
    this.runUntil(this.#now + ms);
  }

  /**
   * Runs until the condition holds, looking every `everyMs` (default 10), at most `withinMs`.
   * Returns the ms it took, or undefined when it never held.
   */
  waitFor(condition: () => boolean, withinMs: Millis, everyMs: Millis = 10): Millis | undefined {
    const began = this.#now;
    while (!condition()) {
      if (this.#now >= began + withinMs) return undefined;
      this.runFor(Math.min(everyMs, began + withinMs - this.#now));
    }
    return this.#now - began;
  }

  #crash(id: HostId, isPowerCut: boolean): void {
    const body = this.#body(id);
    if (body.phase() === 'down') return;
    body.crash();
    body.isDark = isPowerCut;
    if (!isPowerCut) this.#network.resetAll(id);
  }

  #restart(fault: Extract<Fault, { type: 'restart' }>): void {
    const body = this.#body(fault.host);
    if (body.phase() !== 'down') return;
    // The new process knows nothing of the old connections and answers their segments with a reset.
    this.#network.resetAll(fault.host);
    body.start(fault.disk ?? 'kept');
  }

  #noted(host: HostId, code: string, details: unknown): void {
    this.trace.add(this.#now, host, `note ${code}`, details);
    this.notes.set(code, (this.notes.get(code) ?? 0) + 1);
  }

  #schedule(at: Millis, call: () => void): void {
    if (Number.isNaN(at)) throw new Error(`an event has no time, seed ${this.seed}`);
    this.#agenda.push(Math.max(at, this.#now), this.#ties.below(0x40000000), call);
  }

  #body(id: HostId): HostBody<Message> {
    const body = this.#hosts.get(id);
    if (body === undefined) throw new Error(`no host ${id} in this world`);
    return body;
  }
}

/** Builds a world. */
export function createWorld<Message>(options: WorldOptions<Message>): World<Message> {
  return new World(options);
}

function kindOfTagged(message: unknown): string {
  const isTagged = typeof message === 'object' && message !== null && 'type' in message;
  return isTagged && typeof message.type === 'string' ? message.type : 'message';
}
