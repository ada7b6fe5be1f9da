/** What the replicas of a group say to each other, and what they keep (Raft, Ongaro & Ousterhout 2014, figures 2 and 13). */

import type { NodeId } from '../../kernel/ids.ts';

/**
 * A replica's name in its group, counted up from 1 and never given twice: a node that lost its disk, or was removed and
 * comes back, takes a new seat. What was promised under the old one died with it.
 */
export type Seat = number;

/** A replica and the node that it lives on. */
export interface Member {
  readonly seat: Seat;
  readonly node: NodeId;
}

/** Who decides. While `outgoing` is not empty both `voters` and `outgoing` must agree (joint consensus, section 6). */
export interface Configuration {
  readonly voters: readonly Seat[];
  readonly outgoing: readonly Seat[];
  /** They receive the log and do not count. */
  readonly learners: readonly Seat[];
  /** Every seat above, with its node. */
  readonly members: readonly Member[];
  /** The highest seat ever given. */
  readonly lastSeat: Seat;
}

/** One entry of the log. */
export type Entry = { readonly index: number; readonly term: number } & (
  | { readonly type: 'noop' }
  | { readonly type: 'command'; readonly data: Uint8Array }
  | { readonly type: 'config'; readonly config: Configuration }
);

/** What must be on disk before an answer that depends on it. */
export interface HardState {
  readonly term: number;
  /** Whom this replica voted for in `term`; 0: nobody. */
  readonly vote: Seat;
}

/** The state machine as of `index`, in place of the log up to there. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  /** The configuration as of `index`. */
  readonly config: Configuration;
  readonly data: Uint8Array;
}

/** The messages. `term` is the sender's, except in `preVote` and a granted `preVoteReply`: the term that would begin. */
export type RaftMessage = { readonly term: number } & (
  | {
      readonly type: 'preVote' | 'vote';
      readonly lastIndex: number;
      readonly lastTerm: number;
      readonly isTransfer: boolean;
    }
  | { readonly type: 'preVoteReply' | 'voteReply'; readonly isGranted: boolean }
  | {
      readonly type: 'append';
      readonly prevIndex: number;
      readonly prevTerm: number;
      readonly commit: number;
      readonly entries: readonly Entry[];
    }
  /** All up to `match` is durable and equal to the leader's log. */
  | { readonly type: 'appendReply'; readonly match: number }
  /** The entry before the new ones is missing or other. `hint*`: the last one that may be equal (thesis 5.3). */
  | {
      readonly type: 'appendRefused';
      readonly prevIndex: number;
      readonly hintIndex: number;
      readonly hintTerm: number;
    }
  | { readonly type: 'heartbeat'; readonly commit: number; readonly round: number }
  | { readonly type: 'heartbeatReply'; readonly round: number }
  /** A piece of a snapshot: `data` begins at `offset` of `size` bytes. */
  | {
      readonly type: 'snapshot';
      readonly index: number;
      readonly indexTerm: number;
      readonly config: Configuration;
      readonly offset: number;
      readonly size: number;
      readonly data: Uint8Array;
    }
  /** Bytes held of the snapshot at `index`. */
  | { readonly type: 'snapshotReply'; readonly index: number; readonly offset: number }
  /** Leadership is handed over: campaign at once. */
  | { readonly type: 'timeoutNow' }
);

/** Bytes that an entry counts for in limits. */
export function entryBytes(entry: Entry): number {
  if (entry.type === 'command') return 32 + entry.data.length;
  return entry.type === 'noop' ? 32 : 64 + 48 * entry.config.members.length;
}
