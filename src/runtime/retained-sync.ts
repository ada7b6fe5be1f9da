/** Sends the retained values that a peer lacks, a piece at a time: all of them at once would overflow its link. */

import type { NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { RetainedEntry, RetainedMap } from '../protocol/routing/retained-map.ts';

/** Entries in one record of the link; bounded by its size too, so that with the largest payload it fits a frame. */
const entriesPerRecord = 64;
const entryBytesPerRecord: number = 64 * 1024;

/** Bytes that may wait on the link when the next piece is sent: what else it carries must not wait for long. */
const linkBytesMax: number = 256 * 1024;

/** How soon a link is looked at again that had no room, in ms. */
const againMs = 10;

/** What the node around it provides. */
export interface RetainedSyncWorld {
  readonly clock: Clock;
  readonly retained: RetainedMap;
  send(peer: NodeId, entries: readonly RetainedEntry[]): void;
  /** Bytes that wait on the link to a peer; undefined: there is no link. */
  queuedBytes(peer: NodeId): number | undefined;
}

/** The sending half of the synchronisation of retained values. One run per linked peer at most. */
export interface RetainedSync {
  /** The peer showed its digest: sends what differs, instead of what an earlier digest had begun. */
  asked(peer: NodeId, digest: Uint8Array): void;
  stop(): void;
}

interface Run {
  readonly topics: readonly string[];
  next: number;
  cancel: () => void;
}

/** Builds the sending half. */
export function createRetainedSync(world: RetainedSyncWorld): RetainedSync {
  const { clock, retained } = world;
  const runs = new Map<NodeId, Run>();

  function piece(run: Run): RetainedEntry[] {
    const entries: RetainedEntry[] = [];
    let bytes = 0;
    while (run.next < run.topics.length && entries.length < entriesPerRecord) {
      if (bytes > entryBytesPerRecord) break;
      // The value of now: it may have been written anew, or forgotten, since the digest came.
      const entry = retained.get(run.topics[run.next] ?? '');
      run.next += 1;
      if (entry === undefined) continue;
      entries.push(entry);
      bytes += entry.payload.byteLength + entry.topic.length;
    }
    return entries;
  }

  function end(peer: NodeId): void {
    runs.get(peer)?.cancel();
    runs.delete(peer);
  }

  function pump(peer: NodeId, run: Run): void {
    const queued = world.queuedBytes(peer);
    if (queued === undefined) return end(peer);
    if (queued > linkBytesMax) {
      run.cancel = clock.alarm(clock.now() + againMs, () => pump(peer, run));
      return;
    }
    const entries = piece(run);
    if (entries.length > 0) world.send(peer, entries);
    if (run.next >= run.topics.length) return end(peer);
    // The link counts a record only when the turn is over.
    const immediate = setImmediate(() => pump(peer, run));
    run.cancel = () => clearImmediate(immediate);
  }

  return {
    asked(peer, digest) {
      end(peer);
      const topics = retained.differences(digest).map((entry) => entry.topic);
      if (topics.length === 0) return;
      const run: Run = { topics, next: 0, cancel: () => {} };
      runs.set(peer, run);
      pump(peer, run);
    },
    stop() {
      for (const peer of runs.keys()) end(peer);
    },
  };
}
