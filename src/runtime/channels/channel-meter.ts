/** What `status` says of each channel. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Channel } from '../../protocol/channels/channel.ts';

/**
 * Why a record was lost: a newer value of its topic came, the queue was full (the `oldest`, the `newest`, or what had to be
 * `refused` because nobody waits for it), or the link was `unlinked` while it waited.
 */
export type ChannelDrop = 'superseded' | 'oldest' | 'newest' | 'refused' | 'unlinked';

/** One channel towards one linked peer, now. */
export interface ChannelLane {
  readonly peer: NodeId;
  /** Whether the channel has a connection of its own, shares the link's, or is changing to its own. */
  readonly connection: 'shared' | 'opening' | 'own';
  readonly queuedCount: number;
  readonly queuedBytes: number;
}

/** One channel in figures, all peers together, since the start. */
export interface ChannelFigures {
  readonly name: string;
  readonly class: Channel['class'];
  readonly overflow: Channel['overflow'];
  readonly priority: number;
  /** Records taken for peers, and their bytes before compression. */
  readonly count: number;
  readonly bytes: number;
  /** Frame bytes handed to connections, after compression. */
  readonly sentBytes: number;
  /** Records lost, and why. */
  readonly dropped: number;
  readonly drops: Readonly<Partial<Record<ChannelDrop, number>>>;
  /** What waits now, and how much may for each peer. */
  readonly queuedCount: number;
  readonly queuedBytes: number;
  readonly queueBytesMax: number;
  /** How long records waited that had to, in ms: smoothed, and the longest. */
  readonly waitMs: number;
  readonly waitMsMax: number;
  /** Connections of its own that are open. */
  readonly connections: number;
  /** The peers to which something was sent on it, while they are linked. */
  readonly lanes: readonly ChannelLane[];
}

/** Counts. */
export interface ChannelMeter {
  took(channel: Channel, bytes: number): void;
  sent(channel: Channel, bytes: number): void;
  dropped(channel: Channel, reason: ChannelDrop, count: number): void;
  waited(channel: Channel, ms: Millis): void;
  connected(channel: Channel, by: 1 | -1): void;
  /** `lanes`: what the channel has open towards peers. */
  figures(lanes: (channel: Channel) => readonly ChannelLane[]): readonly ChannelFigures[];
}

/** Builds a meter. `channels`: those that there are now; of others only what still waits is shown. */
export function createChannelMeter(channels: () => readonly Channel[]): ChannelMeter {
  const fresh = { count: 0, bytes: 0, sentBytes: 0, dropped: 0, waitMs: 0, waitMsMax: 0 };
  const counts = new Map<Channel, Counts>();

  function countsOf(channel: Channel): Counts {
    const known = counts.get(channel);
    if (known !== undefined) return known;
    const at = { ...fresh, connections: 0, drops: {} };
    counts.set(channel, at);
    return at;
  }

  return {
    took(channel, bytes) {
      const at = countsOf(channel);
      at.count += 1;
      at.bytes += bytes;
    },
    sent(channel, bytes) {
      countsOf(channel).sentBytes += bytes;
    },
    dropped(channel, reason, count) {
      if (count === 0) return;
      const at = countsOf(channel);
      at.dropped += count;
      at.drops[reason] = (at.drops[reason] ?? 0) + count;
    },
    waited(channel, ms) {
      const at = countsOf(channel);
      at.waitMs += (ms - at.waitMs) / 8;
      at.waitMsMax = Math.max(at.waitMsMax, ms);
    },
    connected(channel, by) {
      countsOf(channel).connections += by;
    },
    figures(lanesOf) {
      const present = new Set(channels());
      for (const [channel, at] of counts) {
        if (present.has(channel)) continue;
        // Removed: shown while something of it waits or is open.
        const isIdle =
          at.connections === 0 && lanesOf(channel).every((one) => one.queuedCount === 0);
        if (isIdle) counts.delete(channel);
        else present.add(channel);
      }
      return [...present].map((channel) => {
        const at = countsOf(channel);
        const { name, class: kind, overflow, priority, queueBytesMax } = channel;
        const lanes = lanesOf(channel);
        return {
          name,
          class: kind,
          overflow,
          priority,
          queueBytesMax,
          ...at,
          drops: { ...at.drops },
          queuedCount: lanes.reduce((sum, one) => sum + one.queuedCount, 0),
          queuedBytes: lanes.reduce((sum, one) => sum + one.queuedBytes, 0),
          lanes,
        };
      });
    },
  };
}

type Counts = { connections: number; drops: Partial<Record<ChannelDrop, number>> } & Record<
  'count' | 'bytes' | 'sentBytes' | 'dropped' | 'waitMs' | 'waitMsMax',
  number
>;
