/** Messages as publishers give them and subscribers get them. */

import type { NodeId } from '../kernel/ids.ts';

/** A message as a subscriber gets it. */
export interface MeshMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** The node whose client published it. */
  readonly origin: NodeId;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  /** When the origin took it: hybrid logical clock, wall ms part. Untrusted for anything but display. */
  readonly at: number;
  /** The same for every copy of the message anywhere: for `explain.message`. */
  readonly id: string;
}

/** A message that was taken. */
export interface Published {
  /** For `explain.message`; undefined for a signal whose publisher did not ask for it. */
  readonly id: string | undefined;
}

/** How to publish. */
export interface PublishOptions {
  /** 0 = signal (at most once), 1 = event (each member's node gets it once, in order, resent until acknowledged). @default 1 */
  readonly qos?: 0 | 1;
  /** Keep as the topic's last value for later subscribers; an empty payload forgets it. @default false */
  readonly retain?: boolean;
  /** The channel it takes, on every node that has one of that name. @default its class, topic and size decide */
  readonly channel?: string;
  /** It must not wait behind others: an `urgent` channel that fits, else at most 4 KiB on the link's own. @default false */
  readonly urgent?: boolean;
  /** Whether a signal is answered with its id, which costs a promise for each; an event always is. @default false */
  readonly named?: boolean;
  /** Gives up a publish that still waits for room in the outbox: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How to subscribe. */
export interface SubscribeOptions {
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
  /** Messages held for a slow reader before the oldest is dropped and counted. @default 1000 */
  readonly queueLimit?: number;
}

/** Bounds of what a node keeps for members that have not acknowledged it yet. */
export interface OutboxOptions {
  /** Bytes in memory, 1 to 256 MiB. @default 10_485_760 */
  readonly memoryBytes?: number;
  /** Bytes that may be on the disk alone, 0 (none) to 128 MiB; the journal is at most about three times as large. @default 67_108_864 */
  readonly diskBytes?: number;
  /**
   * When both are full of what members that are away are owed: `give-up` the oldest of it, told by `given-up` here and by
   * `gap` there, or `hold` the publishers until they are back, or away for 5 minutes. @default 'give-up'
   */
  readonly whenFull?: 'give-up' | 'hold';
}
