/** What `status` says of each channel. */

import type { Millis } from '../../kernel/core.ts';
import type { Channel } from '../../protocol/channels/channel.ts';

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
  /** Records lost to the overflow policy. */
  readonly dropped: number;
  /** How long records waited that had to, in ms: smoothed, and the longest. */
  readonly waitMs: number;
  readonly waitMsMax: number;
  /** Connections of its own that are open. */
  readonly connections: number;
}

/** Counts. */
export interface ChannelMeter {
  took(channel: Channel, bytes: number): void;
  sent(channel: Channel, bytes: number): void;
  dropped(channel: Channel, count: number): void;
  waited(channel: Channel, ms: Millis): void;
  connected(channel: Channel, by: 1 | -1): void;
  figures(): readonly ChannelFigures[];
}

/** Builds a meter for these channels. */
export function createChannelMeter(channels: readonly Channel[]): ChannelMeter {
  const fresh = { count: 0, bytes: 0, sentBytes: 0, dropped: 0, waitMs: 0, waitMsMax: 0 };
  const counts = new Map(channels.map((one) => [one, { ...fresh, connections: 0 }]));

  return {
    took(channel, bytes) {
      const at = counts.get(channel);
      if (at === undefined) return;
      at.count += 1;
      at.bytes += bytes;
    },
    sent(channel, bytes) {
      const at = counts.get(channel);
      if (at !== undefined) at.sentBytes += bytes;
    },
    dropped(channel, count) {
      const at = counts.get(channel);
      if (at !== undefined) at.dropped += count;
    },
    waited(channel, ms) {
      const at = counts.get(channel);
      if (at === undefined) return;
      at.waitMs += (ms - at.waitMs) / 8;
      at.waitMsMax = Math.max(at.waitMsMax, ms);
    },
    connected(channel, by) {
      const at = counts.get(channel);
      if (at !== undefined) at.connections += by;
    },
    figures: () =>
      [...counts].map(([{ name, class: kind, overflow, priority }, at]) => ({
        name,
        class: kind,
        overflow,
        priority,
        ...at,
      })),
  };
}
