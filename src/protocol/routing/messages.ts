/** What travels between routers: envelopes on the data lane, letters on the control lane. */

import type { Hlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';

/** `signal`: at most once, may be skipped. `event`: resent until every owed member has it, in order per origin. */
export type DeliveryClass = 'signal' | 'event';

/** Hops a message may still make when its origin lets it go; far above the diameter of any mesh we build. */
export const ttlHops = 16;

/** The ttl of a message that its origin sends itself to everybody who is to have it: nobody passes it on. */
export const ttlDirect = 0;

/** The address on a message that is for one member alone, and takes its way through others. */
export interface Passage {
  readonly to: NodeId;
  /** Counts up with every addressed thing its sender lets go (letters too): relays forward each id once. */
  readonly id: number;
  /** Relays send it along every link instead of the best known one: the best known one has failed. */
  readonly isFlood: boolean;
}

/** Which part of a large message an event carries. The parts of one message follow each other in their origin's stream. */
export interface Part {
  /** From 0; all but the last have the same size. */
  readonly index: number;
  /** Bytes of the whole message. */
  readonly totalBytes: number;
  /** Whether its publisher takes it for a signal: subscribers get it at QoS 0. */
  readonly isSignal: boolean;
}

/** One mesh message as it travels. */
export interface Envelope {
  readonly ttl: number;
  readonly class: DeliveryClass;
  readonly retain: boolean;
  readonly origin: NodeId;
  /**
   * The origin's persisted boot counter, for an event that of the life in which its stream began: sequence numbers start
   * again with each.
   */
  readonly boot: number;
  /** From 1, one sequence per (origin, boot, class). */
  readonly seq: number;
  /** How many events right before this one the origin does not owe to whom it sent this copy. 0 for signals. */
  readonly skipped: number;
  readonly hlc: Hlc;
  readonly topic: string;
  /** A view of the received bytes: whoever keeps it must copy it. */
  readonly payload: Uint8Array;
  readonly passage: Passage | undefined;
  /** The channel that its publisher chose; undefined: its class, topic and size decide. */
  readonly channel?: string | undefined;
  /** The shared subscription, one of whose members this copy is for; undefined: it is for every subscriber. */
  readonly share?: string | undefined;
  /** Undefined: it is whole. */
  readonly part?: Part | undefined;
}

/** First and last of a run of sequence numbers, both included. */
export type SeqRange = readonly [from: number, to: number];

/** A small addressed message between routers; relayed when its two ends share no link. */
export interface Letter {
  readonly from: NodeId;
  /** Boot counter of `from`. */
  readonly fromBoot: number;
  readonly ttl: number;
  readonly passage: Passage;
  readonly body: LetterBody;
}

/**
 * `ack`: of the events of (`to`, `boot`) its sender has every one up to `upTo` and those in `ranges`.
 * `base`: of the events of (`from`, `boot`) none below `seq` will be sent (again) to `to`; `isLoss`: some of them were owed to it.
 * `parcel`: bytes of a protocol above the routers; at most once.
 */
export type LetterBody =
  | {
      readonly kind: 'ack';
      readonly boot: number;
      readonly upTo: number;
      readonly ranges: readonly SeqRange[];
    }
  | {
      readonly kind: 'base';
      readonly boot: number;
      readonly seq: number;
      readonly isLoss: boolean;
    }
  | { readonly kind: 'parcel'; readonly protocol: string; readonly bytes: Uint8Array };
