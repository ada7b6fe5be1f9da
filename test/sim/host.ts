/** One simulated machine: its clocks, its disk, its socket buffer, and the driver that steps its core. */

import type { Core, Millis } from '../../src/kernel/core.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { Counters } from './counters.ts';
import type { SimDisk } from './disk.ts';
import type { DiskFate } from './disk.ts';
import type { HostId } from './faults.ts';
import type { Via } from './network.ts';
import type { Trace } from './trace.ts';

/** What a core is built from each time its host starts. */
export interface Restart {
  /** 1 at the first start, one more at each restart. Kept by the world, so a lost disk does not lower it. */
  readonly boot: number;
  /** What `persist` left on the disk, minus what the disk suffered. */
  readonly disk: ReadonlyMap<string, unknown>;
  /** A stream of this start alone. */
  readonly random: Random;
  /** The host's own clocks at the start. */
  readonly now: Millis;
  readonly wallMs: Millis;
}

/** What an adapter may do with an effect. */
export interface Tools<Message, Input> {
  /** An unreliable datagram. */
  send(to: HostId, message: Message): void;
  /** A message on the TCP-like link to a host: in order; late, stalled or reset, but not lost in between. */
  sendReliable(to: HostId, message: Message): void;
  /** Writes to the disk. A barrier: later effects and inputs wait until the write is durable. */
  persist(name: string, value: unknown): void;
  /** Feeds the core once the current list of effects is done. */
  feed(input: Input): void;
  /** Something worth counting and hashing; `world.notes` holds the counts. */
  note(code: string, details?: unknown): void;
  /** The host's monotonic clock. */
  now(): Millis;
  /** The host's wall clock, in ms since 1970, as wrong as the host believes it. */
  wallMs(): Millis;
}

/** How a core meets the simulated world. */
export interface HostAdapter<Message, Input, Effect, View> {
  build(restart: Restart): Core<Input, Effect, View>;
  /** The input that says: your deadline has come. */
  readonly tick: Input;
  /** The input for a message that arrived. */
  receive(from: HostId, message: Message, via: Via): Input;
  run(effect: Effect, tools: Tools<Message, Input>): void;
  /** The input for a broken link; without it the core is not told. */
  linkReset?(peer: HostId): Input;
  /** The input for having slept; production sees it as wall time running ahead of monotonic time. */
  woke?(gapMs: Millis): Input;
}

/** Properties of the machine under a core. */
export interface HostOptions {
  /** The monotonic clock's reading when the world begins. @default 0 */
  readonly monotonicMs?: Millis;
  /** How fast the host's clocks run, in parts per million too fast. @default 0 */
  readonly driftPpm?: number;
  /** How far the wall clock is off at the start, in ms. @default 0 */
  readonly wallOffsetMs?: Millis;
  /**
   * After a pause or block libuv runs expired timers before it reads sockets: 'before-messages'.
   * A runtime that defers timer verdicts past one poll phase: 'after-messages'.
   * @default 'before-messages'
   */
  readonly lateTick?: 'before-messages' | 'after-messages';
  /** Datagrams that wait while the process does not read; more are dropped. @default 256 */
  readonly socketBufferMax?: number;
}

/** What the host needs from its world. */
export interface HostWorld<Message> {
  readonly seed: number;
  readonly random: Random;
  readonly trace: Trace;
  readonly counters: Counters;
  readonly stepsPerMsMax: number;
  now(): Millis;
  schedule(at: Millis, call: () => void): void;
  datagram(from: HostId, to: HostId, message: Message): void;
  segment(from: HostId, to: HostId, message: Message): void;
  kindOf(message: Message): string;
  noted(host: HostId, code: string, details: unknown): void;
  observed(host: HostId, effect: unknown): void;
}

/** What a host is doing. */
export type HostPhase = 'down' | 'running' | 'frozen' | 'suspended';

/** Why a host is stopped without being down. */
export type HoldReason = 'pause' | 'block' | 'suspend';

/** A host as tests and checkers see it. */
export interface Host<Input, View> {
  readonly id: HostId;
  readonly disk: SimDisk;
  phase(): HostPhase;
  /** The core's picture. @throws when the host is down. */
  view(): View;
  /** Hands the core a fact, as the host's own program would; waits when the host is frozen, void when it is down. */
  feed(input: Input): void;
  /** The host's own clocks. */
  now(): Millis;
  wallMs(): Millis;
  /** How often it has started. */
  boots(): number;
}

/** A host as the world moves it. */
export interface HostBody<Message> extends Host<unknown, unknown> {
  start(fate: DiskFate): void;
  crash(): void;
  /** Stops it for a reason until an instant (Infinity: until released). It runs again when no reason is left. */
  hold(reason: HoldReason, until: Millis): void;
  release(reason: HoldReason): void;
  /** Whatever it sends and receives waits until an instant, in order; its timers run on. */
  muffle(until: Millis): void;
  arrive(from: HostId, message: Message, via: Via): 'taken' | 'dropped' | 'silent' | 'refused';
  linkReset(peer: HostId): void;
  jumpWall(byMs: Millis): void;
  slowDisk(writeMsMin: Millis, writeMsMean: Millis): void;
  /** Whether peers see a powerless machine (no answer) instead of a closed port while it is down. */
  isDark: boolean;
}
