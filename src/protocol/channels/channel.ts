/** Channels: what kinds of traffic there are between two nodes, how each waits, and which message takes which. */

/** What happens to a message that finds its channel's queue full. */
export type OverflowPolicy =
  | 'drop-oldest'
  | 'drop-newest'
  | 'latest-per-topic'
  | 'block'
  | 'reject';

/** `signal`: at most once. `event`: at least once, in order. `command`: parcels, whose protocols repeat for themselves. */
export type ChannelClass = 'signal' | 'event' | 'command';

/** One channel. */
export interface Channel {
  readonly name: string;
  readonly class: ChannelClass;
  readonly overflow: OverflowPolicy;
  /** From 0, first served, to 9. Decides where channels share a connection. */
  readonly priority: number;
  /** Bytes that may wait for one peer. */
  readonly queueBytesMax: number;
  /** Frames of at least so many bytes are deflated when that saves a tenth; undefined: never. */
  readonly compressAboveBytes: number | undefined;
  /** Topic filters whose messages take this channel. */
  readonly topics: readonly string[];
  /** Only messages with at least and at most so many payload bytes. */
  readonly bytesMin: number;
  readonly bytesMax: number;
  /** Only messages whose publisher calls them urgent; those that no such channel takes have `coordination`. */
  readonly isUrgent: boolean;
}

const anySize = {
  topics: [],
  bytesMin: 0,
  bytesMax: Infinity,
  isUrgent: false,
  compressAboveBytes: undefined,
};

/** Small parcels and what nodes say of the link itself: never opens a connection, it has the link's own. */
export const coordination: Channel = {
  ...anySize,
  name: 'coordination',
  class: 'command',
  overflow: 'reject',
  priority: 0,
  queueBytesMax: 1024 * 1024,
};

/** What nodes tell each other to be of one mind: retained values. */
export const gossip: Channel = {
  ...anySize,
  name: 'gossip',
  class: 'command',
  overflow: 'reject',
  priority: 2,
  queueBytesMax: 1024 * 1024,
};

/** Signals, and parcels that are not small. */
export const data: Channel = {
  ...anySize,
  name: 'data',
  class: 'signal',
  overflow: 'latest-per-topic',
  priority: 6,
  queueBytesMax: 1024 * 1024,
};

/** Events. What finds no room waits in the outbox, or at the relay. */
export const events: Channel = {
  ...anySize,
  name: 'events',
  class: 'event',
  overflow: 'block',
  priority: 4,
  queueBytesMax: 1024 * 1024,
};

/** The channels that every node has. */
export const builtInChannels: readonly Channel[] = [coordination, gossip, data, events];

/** Channels of a node's own, at most. */
export const ownChannelsMax = 8;

/** Parcels above this many bytes take `data`, so that small ones never wait for them. */
export const coordinationBytesMax: number = 4 * 1024;
