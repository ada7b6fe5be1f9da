/** Everything that can go wrong in a simulated world, as data: it can be written down, drawn and replayed. */

import type { Millis } from '../../src/kernel/core.ts';
import type { Random } from '../../src/kernel/random.ts';
import { shuffle } from '../../src/kernel/random.ts';
import type { DiskFate } from './disk.ts';

/** A host of the simulated world. */
export type HostId = string;

/** How datagrams travel. Rates are in [0, 1], durations in ms. */
export interface Conditions {
  readonly lossRate: number;
  readonly duplicateRate: number;
  /** Share of datagrams held back by up to `reorderMsMax` on top of their delay. */
  readonly reorderRate: number;
  readonly reorderMsMax: number;
  /** A delay is the minimum, plus an exponential of this mean, plus rarely an exponential tail. */
  readonly delayMsMin: number;
  readonly delayMsMean: number;
  readonly tailRate: number;
  readonly tailMsMean: number;
  /** Datagrams in flight from one host to one other; more are dropped. */
  readonly pathCapacity: number;
}

const ideal: Conditions = {
  lossRate: 0,
  duplicateRate: 0,
  reorderRate: 0,
  reorderMsMax: 0,
  delayMsMin: 0.2,
  delayMsMean: 0,
  tailRate: 0,
  tailMsMean: 0,
  pathCapacity: Infinity,
};

/** Networks to start from. `wifi` has the rare long waits of power saving and retries. */
export const conditions: {
  readonly ideal: Conditions;
  readonly lan: Conditions;
  readonly wifi: Conditions;
} = {
  ideal,
  lan: { ...ideal, delayMsMean: 0.6 },
  wifi: { ...ideal, delayMsMin: 1, delayMsMean: 4, tailRate: 0.02, tailMsMean: 80 },
};

/** One thing that goes wrong, or right again. */
export type Fault =
  /** Changes how datagrams travel: everywhere, or on one directed path when `from` and `to` are given. */
  | { type: 'conditions'; change: Partial<Conditions>; from?: HostId; to?: HostId }
  /** Cuts every path between two groups; only from → to when one-way. `name` is for healing it. */
  | {
      type: 'partition';
      name: string;
      from: readonly HostId[];
      to: readonly HostId[];
      isOneWay?: boolean;
    }
  /** Ends one partition, or all. */
  | { type: 'heal'; name?: string }
  /** The process dies: its peers' links are reset. After a power cut nobody is told. */
  | { type: 'crash'; host: HostId; isPowerCut?: boolean }
  | { type: 'restart'; host: HostId; disk?: DiskFate }
  /** SIGSTOP: the monotonic clock runs on, timers and messages wait. */
  | { type: 'pause'; host: HostId }
  | { type: 'resume'; host: HostId }
  /** The event loop is busy for a while: a pause that ends by itself. */
  | { type: 'block'; host: HostId; forMs: Millis }
  /** Sending and receiving hang for a while, and timers run on: a process of many threads whose sockets starve. */
  | { type: 'muffle'; host: HostId; forMs: Millis }
  /** The machine sleeps: its monotonic clock stands still, datagrams to it are lost, links stall. */
  | { type: 'suspend'; host: HostId; forMs: Millis }
  | { type: 'jump-wall'; host: HostId; byMs: Millis }
  | { type: 'reset-link'; left: HostId; right: HostId }
  | { type: 'stall-link'; left: HostId; right: HostId; forMs: Millis }
  /** How long a write takes from now on: the minimum plus an exponential. */
  | { type: 'slow-disk'; host: HostId; writeMsMin: Millis; writeMsMean: Millis };

/** A fault with its instant on the world's clock. */
export interface TimedFault {
  readonly at: Millis;
  readonly fault: Fault;
}

/** A partition that leaves one host alone. */
export function isolate(name: string, hosts: readonly HostId[], alone: HostId): Fault {
  return { type: 'partition', name, from: [alone], to: hosts.filter((host) => host !== alone) };
}

/** A partition into two random groups, each with at least one host. */
export function halves(name: string, hosts: readonly HostId[], random: Random): Fault {
  const order = shuffle(random, [...hosts]);
  const cut = 1 + random.below(Math.max(1, order.length - 1));
  return { type: 'partition', name, from: order.slice(0, cut), to: order.slice(cut) };
}

/** The same partition again and again: on for `onMs`, off for `offMs`, until `end`. */
export function flapping(
  partition: Extract<Fault, { type: 'partition' }>,
  span: { start: Millis; end: Millis; onMs: Millis; offMs: Millis },
): TimedFault[] {
  const faults: TimedFault[] = [];
  for (let at = span.start; at < span.end; at += span.onMs + span.offMs) {
    faults.push({ at, fault: partition });
    faults.push({
      at: Math.min(at + span.onMs, span.end),
      fault: { type: 'heal', name: partition.name },
    });
  }
  return faults;
}
