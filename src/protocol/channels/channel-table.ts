/** The channels of one node, and which of them a message takes. */

import { topicMatches } from '../../kernel/topic.ts';
import {
  builtInChannels,
  coordination,
  coordinationBytesMax,
  data,
  events,
  gossip,
} from './channel.ts';
import type { Channel } from './channel.ts';

/** Whether a message is owed to its receivers. */
export type MessageClass = 'signal' | 'event';

/** The table. */
export interface ChannelTable {
  readonly all: readonly Channel[];
  /** The ones that every node has, as this node runs them. */
  readonly builtIn: {
    readonly coordination: Channel;
    readonly gossip: Channel;
    readonly data: Channel;
    readonly events: Channel;
  };
  byName(name: string): Channel | undefined;
  /** Whether topics and sizes decide anything: if not, the class alone does. */
  readonly hasRules: boolean;
  /** Why a message cannot take the channel that its publisher names; undefined: it can. */
  problemOf(name: string, qos: 0 | 1, payloadBytes: number): string | undefined;
  /** Whether a message that finds the outbox full waits there; if not, its publisher is told at once. */
  mayWait(message: {
    readonly topic: string;
    readonly payload: Uint8Array;
    readonly channel?: string | undefined;
  }): boolean;
  /** The channel of a message: the first of the node's own whose rule fits and whose class is the message's. */
  choose(kind: MessageClass, topic: string, payloadBytes: number): Channel;
  /** What the publisher wishes: for an urgent message the first urgent channel whose rule fits, else `coordination`. */
  wished(
    how: { readonly channel?: string; readonly urgent?: boolean },
    qos: 0 | 1,
    topic: string,
    payloadBytes: number,
  ): string | undefined;
}

/** Builds the table from a node's own channels; one with the name of a built-in takes its place. */
export function createChannelTable(own: readonly Channel[]): ChannelTable {
  const replaced = builtInChannels.map((one) => own.find(({ name }) => name === one.name) ?? one);
  const extra = own.filter(({ name }) => !builtInChannels.some((one) => one.name === name));
  const all = [...replaced, ...extra];
  const byName = new Map(all.map((one) => [one.name, one]));
  const ruled = extra.filter(({ topics }) => topics.length > 0);
  const here = (one: Channel): Channel => byName.get(one.name) ?? one;
  const builtIn = {
    coordination: here(coordination),
    gossip: here(gossip),
    data: here(data),
    events: here(events),
  };
  const byClass = { signal: builtIn.data, event: builtIn.events };

  function find(
    kind: MessageClass,
    topic: string,
    payloadBytes: number,
    isUrgent: boolean,
  ): Channel | undefined {
    for (const channel of ruled) {
      if (channel.class !== kind || channel.isUrgent !== isUrgent) continue;
      if (payloadBytes < channel.bytesMin || payloadBytes > channel.bytesMax) continue;
      if (channel.topics.some((filter) => topicMatches(filter, topic))) return channel;
    }
    return undefined;
  }

  const choose = (kind: MessageClass, topic: string, payloadBytes: number): Channel =>
    find(kind, topic, payloadBytes, false) ?? byClass[kind];

  return {
    all,
    builtIn,
    byName: (name) => byName.get(name),
    hasRules: ruled.length > 0,
    choose,
    wished({ channel, urgent }, qos, topic, payloadBytes) {
      if (urgent !== true) return channel;
      const found = find(qos === 1 ? 'event' : 'signal', topic, payloadBytes, true);
      return (found ?? builtIn.coordination).name;
    },
    problemOf(name, qos, payloadBytes) {
      const channel = byName.get(name);
      const kind = qos === 1 ? 'event' : 'signal';
      if (channel === builtIn.coordination) {
        if (payloadBytes <= coordinationBytesMax) return undefined;
        return `'${name}' takes at most ${coordinationBytesMax} bytes, this is ${payloadBytes}.`;
      }
      if (channel?.class === kind) return undefined;
      const fits = all.filter((one) => one.class === kind || one === builtIn.coordination);
      const names = fits.map((one) => `'${one.name}'`).join(', ');
      const what =
        channel === undefined ? `There is no channel '${name}'` : `'${name}' carries no ${kind}s`;
      return `${what}; with qos ${qos} there are ${names}.`;
    },
    mayWait({ topic, payload, channel }) {
      const wished = channel === undefined ? undefined : byName.get(channel);
      return (wished ?? choose('event', topic, payload.length)).overflow !== 'reject';
    },
  };
}
