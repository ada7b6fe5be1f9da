/** What the consensus core is told, what it orders, and what it shows of itself. */

import type { Millis } from '../../kernel/core.ts';
import type { Configuration, Entry, HardState, RaftMessage, Seat, Snapshot } from './messages.ts';

/** How patient a group is, in ms. */
export interface RaftTiming {
  /** A follower that hears nothing campaigns after a time drawn between these. */
  readonly electionMsMin: Millis;
  readonly electionMsMax: Millis;
  readonly heartbeatMs: Millis;
  /** After the link to the leader broke, the first voter campaigns after a part of this, each next one so much later. */
  readonly hintStepMs: Millis;
}

/** What a replica does at most. */
export interface RaftLimits {
  /** Bytes of entries, or of a snapshot's piece, in one message. @default 65_536 */
  readonly messageBytesMax: number;
  /** Appends on their way to one follower. @default 32 */
  readonly inFlightMax: number;
  /** Bytes of entries that a leader holds undecided; more proposals are refused. @default 1 MiB */
  readonly uncommittedBytesMax: number;
  /** Entries since the last snapshot after which the next one is ordered. @default 1000 */
  readonly snapshotEntries: number;
  /** The same in bytes. @default 1 MiB */
  readonly snapshotBytes: number;
  /** Entries kept before a snapshot, for followers that are a little behind. @default 256 */
  readonly trailingEntries: number;
}

/** Configuration of one replica. */
export interface RaftConfig {
  readonly self: Seat;
  readonly timing: RaftTiming;
  readonly limits?: Partial<RaftLimits>;
  /** What the disk holds. */
  readonly restored: {
    readonly hard: HardState;
    readonly snapshot: Snapshot | undefined;
    readonly entries: readonly Entry[];
  };
}

/** A change of who decides. Seats that are voters, outgoing ones and learners alike: whoever is not named goes. */
export interface MembershipChange {
  readonly voters: readonly Seat[];
  readonly learners: readonly Seat[];
  readonly members: Configuration['members'];
}

/** Why something was not taken. */
export type Refusal =
  | 'not-leader'
  | 'transferring'
  | 'overloaded'
  | 'change-pending'
  | 'bad-change'
  | 'too-large';

/** Facts. */
export type RaftInput =
  | { readonly type: 'tick' }
  | { readonly type: 'received'; readonly from: Seat; readonly message: RaftMessage }
  /** All writes up to `seq` are on disk. */
  | { readonly type: 'persisted'; readonly seq: number }
  /** Commands to be decided, each with the caller's own number for it. */
  | {
      readonly type: 'proposed';
      readonly items: readonly { readonly ref: number; readonly data: Uint8Array }[];
    }
  /** Somebody wants to read what is decided by now. */
  | { readonly type: 'readAsked'; readonly ref: number }
  | { readonly type: 'changeAsked'; readonly ref: number; readonly change: MembershipChange }
  | { readonly type: 'transferAsked'; readonly to: Seat }
  /** The state machine as of an applied index, as ordered by `takeSnapshot`. */
  | { readonly type: 'snapshotTaken'; readonly index: number; readonly data: Uint8Array }
  /** The link to the node of this seat broke: a hint, not a verdict. */
  | { readonly type: 'linkClosed'; readonly seat: Seat }
  /** The machine slept: whatever was believed about time is void. */
  | { readonly type: 'woke' }
  /** The network or the disk is of another kind than thought. */
  | { readonly type: 'timed'; readonly timing: RaftTiming };

/** Orders. */
export type RaftEffect =
  | { readonly type: 'send'; readonly to: Seat; readonly message: RaftMessage }
  /** Write in the order of `seq` and report with `persisted`. Entries replace whatever is at their index and after. */
  | {
      readonly type: 'persist';
      readonly seq: number;
      readonly hard: HardState | undefined;
      readonly entries: readonly Entry[];
      /** To be durable before the entries up to `keepFrom` go. `isForeign`: from the leader; the whole log goes. */
      readonly snapshot:
        | { readonly snapshot: Snapshot; readonly keepFrom: number; readonly isForeign: boolean }
        | undefined;
    }
  /** Decided entries, in order, each exactly once in the life of the core. */
  | { readonly type: 'apply'; readonly entries: readonly Entry[] }
  /** The state machine is this from now on. */
  | { readonly type: 'restore'; readonly snapshot: Snapshot }
  | { readonly type: 'takeSnapshot'; readonly index: number }
  /** A command got its place; it is decided when this very place is applied with this very term. */
  | {
      readonly type: 'accepted';
      readonly ref: number;
      readonly index: number;
      readonly term: number;
    }
  | { readonly type: 'refused'; readonly ref: number; readonly reason: Refusal }
  /** Once everything up to `index` is applied, the read may be answered. */
  | { readonly type: 'readable'; readonly ref: number; readonly index: number }
  | {
      readonly type: 'announce';
      readonly role: RaftRole;
      readonly term: number;
      readonly leader: Seat | undefined;
    }
  /**
   * This replica has lost what it acknowledged, and is silent from now on: its seat is to be given up, because whoever
   * counted on it would be deceived. Always the last order.
   */
  | { readonly type: 'giveUp' }
  | { readonly type: 'note'; readonly code: RaftNote };

/** What a replica is. */
export type RaftRole = 'follower' | 'preCandidate' | 'candidate' | 'leader';

/** Happenings worth counting. */
export type RaftNote =
  | 'raft.campaign'
  | 'raft.elected'
  | 'raft.lost-quorum'
  | 'raft.hint'
  | 'raft.transfer'
  | 'raft.lagging'
  | 'raft.removed'
  | 'raft.conflict-with-committed'
  /** A follower refuses what it had acknowledged. One may be an old refusal that came late; many are a lossy disk. */
  | 'raft.refused-acknowledged'
  /** This replica's disk has lost what it had acknowledged. */
  | 'raft.forgot'
  | 'raft.snapshot-sent'
  | 'raft.snapshot-received';

/** The picture. */
export interface RaftView {
  readonly self: Seat;
  readonly role: RaftRole;
  readonly term: number;
  readonly leader: Seat | undefined;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly stable: number;
  readonly snapshotIndex: number;
  readonly config: Configuration;
  readonly isConfigCommitted: boolean;
  /** Whether the leader has decided something in its own term, and so may change the membership and answer reads. */
  readonly isSettled: boolean;
  readonly isTransferring: boolean;
  readonly progress: readonly {
    readonly seat: Seat;
    readonly match: number;
    readonly mode: string;
    readonly heardAt: Millis;
  }[];
}
