/** The face of the SWIM core: its configuration, the facts it takes, the orders it gives and its view. */

import type { Address } from '../../kernel/address.ts';
import type { Core, Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Incarnation } from './incarnation.ts';
import type { MemberState } from './judge.ts';
import type { Life, MemberMeta, SwimMessage, Update } from './messages.ts';
import type { SwimProfile } from './profiles.ts';

/** How a SWIM core is set up. */
export interface SwimConfig {
  readonly self: NodeId;
  /** Counter persisted before the first packet of this start; greater than in every earlier start. */
  readonly boot: number;
  /** Random 32-bit number drawn for this start of the process. */
  readonly instance: number;
  readonly edPublic: Uint8Array;
  /** Where peers reach this node, best first. */
  readonly addresses: readonly Address[];
  readonly meta: MemberMeta;
  readonly profile: SwimProfile;
  /** Encoded bytes of an update inside a message, framing and signature included. */
  sizeOf(update: Update): number;
  /** Room for one message in a datagram, sealing subtracted. @default 1360 */
  readonly packetBytesMax?: number;
  /** Live members known at once; more are refused and noted. As many dead and evicted are remembered. @default 4096 */
  readonly membersMax?: number;
  /** How long a member may answer "alive but stalled" before it is suspected after all, in ms. @default 30_000 */
  readonly stallMsMax?: number;
  /**
   * Members that pinged this node since their last turn are passed over in the probe list, but never twice running: the
   * silent come up about twice as early for the same traffic.
   * @default true
   */
  readonly sparesPingers?: boolean;
  /** Lifeguard's three parts; switch one off to measure what it is worth. @default all true */
  readonly lifeguard?: Lifeguard;
}

/** Which parts of Lifeguard are on. */
export interface Lifeguard {
  /** Local health stretches the probe interval. */
  readonly lhaProbe: boolean;
  /** Suspicions start long and are shortened by confirmations; off: always the shortest. */
  readonly lhaSuspicion: boolean;
  /** A suspect hears of it first, in the next ping or ack. */
  readonly buddy: boolean;
}

/** Facts. */
export type SwimInput =
  | { readonly type: 'tick' }
  /** `sender`, when the sealing proves it: a message that claims another `from` is refused. */
  | {
      readonly type: 'received';
      readonly from: Address;
      readonly sender?: NodeId;
      readonly message: SwimMessage;
    }
  /** Members, nobody knows which, are said to answer at these addresses. */
  | { readonly type: 'introduced'; readonly addresses: readonly Address[] }
  /** A link to this member opened; `address` is where its datagrams go. */
  | { readonly type: 'linkOpened'; readonly node: NodeId; readonly address: Address }
  | { readonly type: 'linkClosed'; readonly node: NodeId }
  | { readonly type: 'linkPong'; readonly node: NodeId; readonly seq: number }
  | { readonly type: 'metaChanged'; readonly meta: MemberMeta }
  | { readonly type: 'addressesChanged'; readonly addresses: readonly Address[] }
  /** The opaque bytes to carry in pings and acks changed (at most `riderBytesMax`). */
  | { readonly type: 'riderChanged'; readonly rider: Uint8Array }
  /** This node goes for good; `leftSpread` follows when the others had a fair chance to hear. */
  | { readonly type: 'leave' }
  /** This node will sleep for `ms`; `leftSpread` follows too. */
  | { readonly type: 'sleep'; readonly ms: Millis }
  /** The machine was suspended, or the clock jumped, by this much. */
  | { readonly type: 'woke'; readonly gapMs: Millis }
  /** The event loop was stuck for this long. */
  | { readonly type: 'loopLagged'; readonly ms: Millis }
  /** Revoked: forget it and refuse it for ever. */
  | { readonly type: 'evicted'; readonly node: NodeId };

/** Marks on the way, for logs, metrics and tests. */
export type SwimNoteCode =
  | 'probe-failed'
  | 'probe-stalled'
  | 'probe-discarded'
  | 'suspected'
  | 'condemned'
  | 'refuted'
  | 'zombie-refused'
  | 'table-full'
  | 'forged-sender'
  | 'unknown-accuser'
  | 'impossible-accusation'
  | 'record-too-large'
  | 'boot-outranked'
  | 'evicted-spoke';

/** Orders. */
export type SwimEffect =
  | {
      readonly type: 'send';
      readonly to: Address;
      readonly node?: NodeId;
      readonly message: SwimMessage;
    }
  /** Ask over the link; answer with `linkPong`. */
  | { readonly type: 'pingViaLink'; readonly node: NodeId; readonly seq: number }
  /** This node changed its mind about a member. */
  | { readonly type: 'announce'; readonly member: SwimMember }
  | { readonly type: 'note'; readonly code: SwimNoteCode; readonly node: NodeId }
  /** One key, two devices. */
  | {
      readonly type: 'alert';
      readonly code: 'clone' | 'clone-self';
      readonly node: NodeId;
      readonly known: Life;
      readonly other: Life;
    }
  /** A member carries a rider that differs from what it carried before. */
  | { readonly type: 'riderSeen'; readonly node: NodeId; readonly rider: Uint8Array }
  /** A newer life of this node is on record (data restored from an old image): persist this counter. */
  | { readonly type: 'persistBoot'; readonly boot: number }
  | { readonly type: 'leftSpread' };

/** A member as this node sees it. */
export interface SwimMember {
  readonly node: NodeId;
  readonly state: MemberState;
  readonly incarnation: Incarnation;
  readonly instance: number;
  /** Where it answered last, else its first advertised address. */
  readonly address: Address | undefined;
  readonly addresses: readonly Address[];
  readonly meta: MemberMeta;
  readonly edPublic: Uint8Array;
  /** Smoothed over 8 direct probes, in ms; undefined before the first answer. */
  readonly rttMs: number | undefined;
  readonly isStalled: boolean;
}

/** A picture of the core. */
export interface SwimView {
  readonly self: SwimMember;
  /** Everybody else, the dead included while they are remembered. */
  readonly members: readonly SwimMember[];
  /** Local health: 0 is well. */
  readonly lhm: number;
  readonly queueLength: number;
  readonly liveCount: number;
  readonly tombstoneCount: number;
  readonly suspicionCount: number;
}

/** A SWIM core, with what its driver must know about verdicts. */
export interface Swim extends Core<SwimInput, SwimEffect, SwimView> {
  /**
   * Whether a tick now would pass a verdict (end of a probe round, end of a suspicion). The driver then first lets one
   * poll phase pass (two nested `setImmediate`), so that an answer already in the socket buffer is fed before the tick.
   * Inputs other than `tick` never pass verdicts.
   */
  isVerdictDue(now: Millis): boolean;
  /** Cheap look-up of one member; undefined for strangers and for this node. */
  member(node: NodeId): SwimMember | undefined;
}
