/** What waits for one peer on one channel: bounded in bytes, with the channel's overflow policy. */

import type { OverflowPolicy } from './channel.ts';

/** Entries one queue holds, whatever their size. */
export const laneQueueCountMax = 16_384;

/** What became of an entry. */
export interface Pushed {
  /** False: not kept, whoever sends has to wait (`block`) or is told (`reject`). */
  readonly isTaken: boolean;
  /** Entries lost by it, itself included. */
  readonly lost: number;
  /** Of these, the ones that gave way to a newer value of their own topic. */
  readonly superseded: number;
}

/** A queue. */
export interface LaneQueue {
  /** Keeps the bytes, which must be the queue's own. `key` names what a later entry supersedes. */
  push(bytes: Uint8Array, key: string, at: number): Pushed;
  /** The oldest entry. */
  peek(): { readonly bytes: Uint8Array; readonly key: string; readonly at: number } | undefined;
  shift(): void;
  count(): number;
  bytes(): number;
  clear(): number;
}

interface Entry {
  bytes: Uint8Array;
  readonly key: string;
  readonly at: number;
}

const taken: Pushed = { isTaken: true, lost: 0, superseded: 0 };
const replaced: Pushed = { isTaken: true, lost: 1, superseded: 1 };
const passedOver: Pushed = { isTaken: true, lost: 1, superseded: 0 };
const refused: Pushed = { isTaken: false, lost: 0, superseded: 0 };

/** What a queue keeps to; both may change while it holds something, and count from the next entry on. */
export interface LaneLimits {
  readonly overflow: OverflowPolicy;
  /** One entry alone may exceed it. */
  readonly queueBytesMax: number;
}

/** Builds an empty queue. `onLost` is shown what is lost. */
export function createLaneQueue(
  limits: LaneLimits,
  onLost: (bytes: Uint8Array, key: string) => void = () => {},
): LaneQueue {
  let entries: (Entry | undefined)[] = [];
  let head = 0;
  let bytes = 0;
  const latest = new Map<string, Entry>();

  const count = (): number => entries.length - head;
  const isFull = (size: number): boolean =>
    count() > 0 && (bytes + size > limits.queueBytesMax || count() >= laneQueueCountMax);

  function shift(): void {
    const entry = entries[head];
    if (entry === undefined) return;
    entries[head] = undefined;
    head += 1;
    bytes -= entry.bytes.length;
    if (latest.get(entry.key) === entry) latest.delete(entry.key);
    if (head > 1024 && head * 2 > entries.length) {
      entries = entries.slice(head);
      head = 0;
    }
  }

  function lose(): void {
    const entry = entries[head];
    if (entry !== undefined) onLost(entry.bytes, entry.key);
    shift();
  }

  function add(own: Uint8Array, key: string, at: number): void {
    const entry: Entry = { bytes: own, key, at };
    entries.push(entry);
    bytes += own.length;
    // Whatever the policy is now: it may change while this waits.
    latest.set(key, entry);
  }

  return {
    shift,
    push(own, key, at) {
      const policy = limits.overflow;
      const same = policy === 'latest-per-topic' ? latest.get(key) : undefined;
      if (same !== undefined) {
        // In its old place: a topic that changes often must not wait longer than one that does not.
        onLost(same.bytes, key);
        bytes += own.length - same.bytes.length;
        same.bytes = own;
        let lost = 1;
        for (; bytes > limits.queueBytesMax && count() > 1; lost += 1) lose();
        return lost === 1 ? replaced : { isTaken: true, lost, superseded: 1 };
      }
      if (!isFull(own.length)) {
        add(own, key, at);
        return taken;
      }
      if (policy === 'block' || policy === 'reject') return refused;
      if (policy === 'drop-newest') {
        onLost(own, key);
        return passedOver;
      }
      let lost = 0;
      while (isFull(own.length)) {
        lose();
        lost += 1;
      }
      add(own, key, at);
      return { isTaken: true, lost, superseded: 0 };
    },
    peek: () => entries[head],
    count,
    bytes: () => bytes,
    clear() {
      const lost = count();
      for (const entry of entries.slice(head)) if (entry) onLost(entry.bytes, entry.key);
      entries = [];
      head = 0;
      bytes = 0;
      latest.clear();
      return lost;
    },
  };
}
