/** Drives one core as production does: one input at a time, effects in order, barriers, one alarm. */

import type { Core, Millis } from '../../src/kernel/core.ts';
import { SimDisk } from './disk.ts';
import type { DiskFate } from './disk.ts';
import type { HostId } from './faults.ts';
import type {
  HoldReason,
  HostAdapter,
  HostBody,
  HostOptions,
  HostPhase,
  HostWorld,
  Tools,
} from './host.ts';
import { exponential } from './network.ts';
import type { Via } from './network.ts';

/** Wall time when the world begins: 1 January 2026. */
const worldBeganAt = 1_767_225_600_000;

/** A machine with a core on it. Build it through `World.addHost`. */
export class SimHost<Message, Input, Effect, View> implements HostBody<Message> {
  readonly id: HostId;
  readonly disk: SimDisk = new SimDisk();
  isDark = false;
  #world: HostWorld<Message>;
  #adapter: HostAdapter<Message, Input, Effect, View>;
  #options: HostOptions;
  #tools: Tools<Message, Input>;
  #phase: HostPhase = 'down';
  #core: Core<Input, Effect, View> | undefined;
  #boots = 0;

  #rate: number;
  #clockSetAt: Millis = 0;
  #clockRead: Millis;
  #lastRead: Millis = 0;
  #wallOffsetMs: Millis;
  #suspendedAt: Millis = 0;

  #inbox: Input[] = [];
  #effects: readonly Effect[] = [];
  #effectAt = 0;
  #isBusy = false;
  #openWrites = new Set<{ name: string; value: unknown }>();
  #lastWriteAt: Millis = 0;
  #holds = new Map<HoldReason, Millis>();
  #alarmAt: Millis = Infinity;
  #kernelQueue: { from: HostId; message: Message; via: Via }[] = [];
  #datagramsQueued = 0;
  #muffledUntil: Millis = 0;
  #unsent: (() => void)[] = [];
  #bucket = -1;
  #stepsInBucket = 0;
  #writeMsMin = 0;
  #writeMsMean = 0;

  constructor(
    id: HostId,
    adapter: HostAdapter<Message, Input, Effect, View>,
    options: HostOptions,
    world: HostWorld<Message>,
  ) {
    this.id = id;
    this.#adapter = adapter;
    this.#options = options;
    this.#world = world;
    this.#rate = 1 + (options.driftPpm ?? 0) / 1e6;
    this.#clockRead = options.monotonicMs ?? 0;
    this.#wallOffsetMs = options.wallOffsetMs ?? 0;
    this.#tools = this.#createTools();
  }

  phase(): HostPhase {
    return this.#phase;
  }

  boots(): number {
    return this.#boots;
  }

  view(): View {
    if (this.#core === undefined) throw new Error(`host ${this.id} is down`);
    return this.#core.view();
  }

  now(): Millis {
    const elapsed = this.#phase === 'suspended' ? 0 : this.#world.now() - this.#clockSetAt;
    this.#lastRead = Math.max(this.#lastRead, this.#clockRead + elapsed * this.#rate);
    return this.#lastRead;
  }

  wallMs(): Millis {
    return Math.floor(worldBeganAt + this.#world.now() * this.#rate + this.#wallOffsetMs);
  }

  feed(input: unknown): void {
    if (this.#core === undefined) return;
    this.#inbox.push(input as Input);
    if (this.#phase === 'running') this.#pump();
  }

  start(fate: DiskFate): void {
    if (this.#phase !== 'down') return;
    this.disk.suffer(fate, this.#world.random.unit());
    this.#boots += 1;
    this.#phase = 'running';
    this.isDark = false;
    this.#core = this.#adapter.build({
      boot: this.#boots,
      disk: this.disk.read(),
      random: this.#world.random.split(),
      now: this.now(),
      wallMs: this.wallMs(),
    });
    this.#world.trace.add(this.#world.now(), this.id, 'start', this.#boots);
    this.feed(this.#adapter.tick);
  }

  crash(): void {
    this.#setClock();
    this.#phase = 'down';
    this.#core = undefined;
    this.#inbox = [];
    this.#effects = [];
    this.#effectAt = 0;
    this.#isBusy = false;
    this.#alarmAt = Infinity;
    this.#holds.clear();
    this.#muffledUntil = 0;
    this.#unsent = [];
    this.#loseOpenWrites();
    this.#emptyKernelQueue();
    this.#world.trace.add(this.#world.now(), this.id, 'crash', undefined);
  }

  hold(reason: HoldReason, until: Millis): void {
    if (this.#phase === 'down') return;
    if (reason === 'suspend' && this.#phase !== 'suspended') {
      this.#setClock();
      this.#suspendedAt = this.#world.now();
    }
    this.#holds.set(reason, Math.max(until, this.#holds.get(reason) ?? 0));
    this.#phase = this.#holds.has('suspend') ? 'suspended' : 'frozen';
    this.#world.trace.add(this.#world.now(), this.id, 'hold', reason);
    if (until < Infinity) this.#world.schedule(until, () => this.#releaseWhenOver(reason));
  }

  release(reason: HoldReason): void {
    if (!this.#holds.delete(reason)) return;
    this.#world.trace.add(this.#world.now(), this.id, 'release', reason);
    if (reason === 'suspend') this.#wake();
    if (this.#holds.size > 0) return;
    this.#phase = 'running';
    this.#catchUp();
  }

  muffle(until: Millis): void {
    if (this.#phase === 'down') return;
    this.#muffledUntil = Math.max(this.#muffledUntil, until);
    this.#world.trace.add(this.#world.now(), this.id, 'muffle', undefined);
    this.#world.schedule(until, () => {
      if (this.#isMuffled()) return;
      for (const send of this.#unsent.splice(0)) send();
      if (this.#phase === 'running') this.#catchUp();
    });
  }

  #isMuffled(): boolean {
    return this.#muffledUntil > this.#world.now();
  }

  #releaseWhenOver(reason: HoldReason): void {
    if ((this.#holds.get(reason) ?? Infinity) <= this.#world.now()) this.release(reason);
  }

  #wake(): void {
    this.#clockSetAt = this.#world.now();
    this.#phase = 'frozen';
    const gapMs = this.#world.now() - this.#suspendedAt;
    if (this.#adapter.woke !== undefined) this.#inbox.unshift(this.#adapter.woke(gapMs));
  }

  /** Runs what waited: expired timers and socket contents, in the order of the event loop. */
  #catchUp(): void {
    const isTickLate = this.#isDue();
    const isTickFirst = this.#options.lateTick !== 'after-messages';
    if (isTickLate && isTickFirst) this.#inbox.push(this.#adapter.tick);
    const letters = this.#kernelQueue;
    this.#emptyKernelQueue();
    for (const { from, message, via } of letters) {
      this.#inbox.push(this.#adapter.receive(from, message, via));
    }
    if (isTickLate && !isTickFirst) this.#inbox.push(this.#adapter.tick);
    this.#pump();
  }

  arrive(from: HostId, message: Message, via: Via): 'taken' | 'dropped' | 'silent' | 'refused' {
    if (this.#phase === 'running' && !this.#isMuffled()) {
      this.#world.trace.add(this.#world.now(), this.id, `receive from ${from}`, message);
      this.feed(this.#adapter.receive(from, message, via));
      return 'taken';
    }
    if (via === 'link') {
      if (this.#phase === 'down') return this.isDark ? 'silent' : 'refused';
      if (this.#phase === 'suspended') return 'silent';
    } else if (this.#phase === 'down' || this.#phase === 'suspended') {
      const reason = this.#phase === 'down' ? 'down' : 'suspended';
      this.#world.counters.dropped(this.#world.kindOf(message), reason);
      return 'dropped';
    } else if (this.#datagramsQueued >= (this.#options.socketBufferMax ?? 256)) {
      this.#world.counters.dropped(this.#world.kindOf(message), 'buffer');
      return 'dropped';
    } else this.#datagramsQueued += 1;
    this.#kernelQueue.push({ from, message, via });
    return 'taken';
  }

  linkReset(peer: HostId): void {
    if (this.#adapter.linkReset !== undefined) this.feed(this.#adapter.linkReset(peer));
  }

  jumpWall(byMs: Millis): void {
    this.#wallOffsetMs += byMs;
    this.#world.trace.add(this.#world.now(), this.id, 'jump-wall', byMs);
  }

  slowDisk(writeMsMin: Millis, writeMsMean: Millis): void {
    this.#writeMsMin = writeMsMin;
    this.#writeMsMean = writeMsMean;
  }

  #pump(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (;;) {
      while (this.#effectAt < this.#effects.length) {
        if (this.#openWrites.size > 0 || this.#phase !== 'running') return this.#rest();
        const effect = this.#effects[this.#effectAt] as Effect;
        this.#effectAt += 1;
        this.#world.trace.add(this.#world.now(), this.id, 'effect', effect);
        this.#adapter.run(effect, this.#tools);
        this.#world.observed(this.id, effect);
      }
      if (this.#openWrites.size > 0 || this.#phase !== 'running') return this.#rest();
      const input = this.#inbox.shift();
      if (input === undefined || this.#core === undefined) break;
      this.#guardLivelock();
      this.#effects = this.#core.step(this.now(), input);
      this.#effectAt = 0;
    }
    this.#isBusy = false;
    this.#setAlarm();
  }

  /** Stops pumping: a barrier is open, or an effect stopped the host. Whoever ends that pumps again. */
  #rest(): void {
    this.#isBusy = false;
  }

  #guardLivelock(): void {
    const bucket = Math.floor(this.#world.now());
    this.#stepsInBucket = bucket === this.#bucket ? this.#stepsInBucket + 1 : 1;
    this.#bucket = bucket;
    if (this.#stepsInBucket <= this.#world.stepsPerMsMax) return;
    const where = `${this.#world.now().toFixed(3)} ms on host ${this.id}`;
    throw new Error(`livelock at ${where}, seed ${this.#world.seed}`);
  }

  #isDue(): boolean {
    return (
      this.#core !== undefined && this.#worldTimeOf(this.#core.deadline()) <= this.#world.now()
    );
  }

  #worldTimeOf(local: Millis): Millis {
    return this.#clockSetAt + (local - this.#clockRead) / this.#rate;
  }

  /** Keeps exactly one useful alarm: an earlier one that is already set moves itself when it rings. */
  #setAlarm(): void {
    if (this.#core === undefined) return;
    const deadline = this.#core.deadline();
    if (Number.isNaN(deadline)) throw new Error(`host ${this.id}: its deadline is not a number`);
    if (deadline === Infinity) return;
    const at = Math.max(this.#world.now(), this.#worldTimeOf(deadline));
    if (at >= this.#alarmAt) return;
    this.#alarmAt = at;
    const boot = this.#boots;
    this.#world.schedule(at, () => {
      if (this.#boots === boot && this.#alarmAt === at) this.#ring();
    });
  }

  #ring(): void {
    this.#alarmAt = Infinity;
    if (this.#phase !== 'running' || this.#openWrites.size > 0 || this.#core === undefined) return;
    if (!this.#isDue()) return this.#setAlarm();
    // Rounding in the clock arithmetic must not ring a moment early: the core would only ask again.
    this.#lastRead = Math.max(this.#lastRead, this.#core.deadline());
    this.feed(this.#adapter.tick);
  }

  #setClock(): void {
    this.#clockRead = this.now();
    this.#clockSetAt = this.#world.now();
  }

  #emptyKernelQueue(): void {
    this.#kernelQueue = [];
    this.#datagramsQueued = 0;
  }

  #persist(name: string, value: unknown): void {
    const write = { name, value: structuredClone(value) };
    const mean = this.#writeMsMean;
    const wait = this.#writeMsMin + (mean > 0 ? exponential(this.#world.random, mean) : 0);
    if (wait === 0 && this.#openWrites.size === 0) return this.disk.commit(name, write.value);
    this.#openWrites.add(write);
    this.#lastWriteAt = Math.max(this.#lastWriteAt, this.#world.now() + wait);
    this.#world.schedule(this.#lastWriteAt, () => {
      if (!this.#openWrites.delete(write)) return;
      this.disk.commit(name, write.value);
      if (this.#openWrites.size === 0 && this.#phase === 'running') this.#pump();
    });
  }

  /** A crash amid writes: some prefix of them reached the disk, each whole (the store writes atomically). */
  #loseOpenWrites(): void {
    for (const { name, value } of this.#openWrites) {
      if (this.#world.random.below(2) === 0) break;
      this.disk.commit(name, value);
    }
    this.#openWrites.clear();
  }

  #sendOrWait(send: () => void): void {
    if (this.#isMuffled()) this.#unsent.push(send);
    else send();
  }

  #createTools(): Tools<Message, Input> {
    const world = this.#world;
    return {
      send: (to, message) => this.#sendOrWait(() => world.datagram(this.id, to, message)),
      sendReliable: (to, message) => this.#sendOrWait(() => world.segment(this.id, to, message)),
      persist: (name, value) => this.#persist(name, value),
      feed: (input) => this.feed(input),
      note: (code, details) => world.noted(this.id, code, details),
      now: () => this.now(),
      wallMs: () => this.wallMs(),
    };
  }
}
