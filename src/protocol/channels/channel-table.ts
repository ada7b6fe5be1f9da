/** The channels of one node, and which of them a message takes. They may change while the node runs. */

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

/** The table. A channel that stays, by name and class, is the same object before and after a change. */
export interface ChannelTable {
  /** Puts a node's own channels in place of those it had: at once, for every message from here on. */
  replace(own: readonly Channel[]): void;
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

type Live = { -readonly [Field in keyof Channel]: Channel[Field] };

/** Builds the table from a node's own channels; one with the name of a built-in takes its place. */
export function createChannelTable(own: readonly Channel[]): ChannelTable {
  const usual = new Map<string, Live>(builtInChannels.map((one) => [one.name, { ...one }]));
  let byName = new Map<string, Live>(usual);
  let all: readonly Channel[] = [];
  let ruled: readonly Channel[] = [];
  const here = ({ name }: Channel): Channel => usual.get(name) as Channel;
  const builtIn = {
    coordination: here(coordination),
    gossip: here(gossip),
    data: here(data),
    events: here(events),
  };
  const byClass = { signal: builtIn.data, event: builtIn.events };

  function replace(wanted: readonly Channel[]): void {
    const next = new Map<string, Live>();
    const stated = new Map([...builtInChannels, ...wanted].map((one) => [one.name, one]));
    for (const [name, one] of stated) {
      const known = byName.get(name);
      // Lanes hold on to the object: what waits on a channel of another class ends with that one.
      next.set(name, known?.class === one.class ? Object.assign(known, one) : { ...one });
    }
    byName = next;
    all = [...next.values()];
    ruled = all.filter((one) => one.topics.length > 0 && !usual.has(one.name));
  }

  replace(own);

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
    replace,
    get all() {
      return all;
    },
    builtIn,
    byName: (name) => byName.get(name),
    get hasRules() {
      return ruled.length > 0;
    },
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
