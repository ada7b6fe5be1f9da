/** What an auctioneer hears and orders, and what it shows. */

import type { Millis } from '../../kernel/core.ts';
import type { TaskBid } from './auction-rules.ts';
import type { LedgerRecord, TaskSpec } from './ledger.ts';

/** Facts for the auctioneer. Bids, acceptances, renewals and reports may repeat, be late, or be lost. */
export type AuctioneerInput<Body> =
  | { readonly type: 'tick' }
  | { readonly type: 'bidders'; readonly ids: readonly string[] }
  | { readonly type: 'quorum'; readonly isThere: boolean }
  | { readonly type: 'submitted'; readonly spec: TaskSpec<Body> }
  /** Takes over a record whose auctioneer is gone. Who runs it may go on if it renews within a lease. */
  | { readonly type: 'adopted'; readonly record: LedgerRecord<Body> }
  | (Said & { readonly type: 'bidden'; readonly cost: number })
  | (Said & { readonly type: 'declined' | 'accepted' })
  | (Said & { readonly type: 'renewed'; readonly turn: number })
  | (Said & {
      readonly type: 'finished';
      readonly outcome: 'done' | 'failed';
      readonly result: unknown;
    })
  | { readonly type: 'cancelled'; readonly task: string }
  | { readonly type: 'gone'; readonly id: string };

/** A contractor's word about one award of one task. */
export interface Said {
  readonly task: string;
  readonly epoch: number;
  readonly from: string;
}

/** Orders of the auctioneer. */
export type AuctioneerEffect<Body> =
  | {
      readonly type: 'call';
      readonly to: string;
      readonly epoch: number;
      readonly spec: TaskSpec<Body>;
      readonly closesInMs: Millis;
    }
  | {
      readonly type: 'award' | 'reject' | 'revoke' | 'acknowledge';
      readonly to: string;
      readonly task: string;
      readonly epoch: number;
    }
  | {
      readonly type: 'start';
      readonly to: string;
      readonly task: string;
      readonly epoch: number;
      readonly leaseMs: Millis;
    }
  | {
      readonly type: 'renewal';
      readonly to: string;
      readonly task: string;
      readonly epoch: number;
      readonly turn: number;
      readonly isHeld: boolean;
    }
  /** A barrier: what follows must not leave before the record is safe. */
  | { readonly type: 'record'; readonly record: LedgerRecord<Body> }
  | {
      readonly type: 'refuse';
      readonly task: string;
      readonly reason: 'full' | 'known' | 'no-quorum';
    }
  | { readonly type: 'settle'; readonly record: LedgerRecord<Body> };

/** One auction or run, as people see it. */
export interface TaskView<Body> {
  readonly record: LedgerRecord<Body>;
  readonly bids: readonly TaskBid[];
  readonly lateBidCount: number;
}

/** What the auctioneer holds. */
export interface AuctioneerView<Body> {
  readonly tasks: readonly TaskView<Body>[];
  readonly counts: {
    readonly auctions: number;
    readonly bids: number;
    readonly lateBids: number;
    readonly reauctions: number;
  };
}
