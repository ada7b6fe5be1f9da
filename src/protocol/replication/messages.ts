/** What replicas say to each other. */

import type { Intervals, ReplicaId } from './causal-context.ts';
import type { CellAddress } from './cell.ts';
import type { Dot } from './causal-context.ts';
import type { Fingerprint } from './digest-tree.ts';
import type { CellFact } from './replica-state.ts';

/** What a replica holds live at one address. */
export type Listed = readonly [CellAddress, readonly Dot[]];

/** Bytes that the facts or lists of one message may take: with all around them a parcel holds them. */
export const messageBytesMax: number = 24 * 1024;

/** Intervals of a context in one message; of a larger one, another part is sent each time. */
export const contextIntervalsMax = 1024;

/** A message between the replicas of two nodes. */
export type StateMessage =
  /** Fresh facts; `seq` is acknowledged. */
  | { readonly kind: 'push'; readonly seq: number; readonly facts: readonly CellFact[] }
  | { readonly kind: 'ack'; readonly seq: number }
  /** The start of a comparison: the whole state in three numbers. */
  | {
      readonly kind: 'root';
      readonly root: Fingerprint;
      readonly context: Fingerprint;
      readonly size: number;
    }
  /** Fingerprints of the children of nodes that differ. */
  | {
      readonly kind: 'branches';
      readonly level: number;
      readonly nodes: readonly {
        readonly index: number;
        readonly children: readonly Fingerprint[];
      }[];
    }
  /** Everything that is live in these leaves; `all` stands for every leaf. */
  | {
      readonly kind: 'leaves';
      readonly leaves: readonly number[] | 'all';
      readonly cells: readonly Listed[];
    }
  /** Facts the other one lacks, and what this one would like to have. */
  | {
      readonly kind: 'repair';
      readonly facts: readonly CellFact[];
      readonly wants: readonly Listed[];
      /** More differs than fitted. */
      readonly isPart: boolean;
    }
  /** The answer to `wants`. */
  | { readonly kind: 'rest'; readonly facts: readonly CellFact[]; readonly isPart: boolean }
  /** Nothing differs. */
  | { readonly kind: 'same' }
  /** Both hold the same live writes: take over what else was heard of. */
  | {
      readonly kind: 'context';
      readonly root: Fingerprint;
      readonly known: readonly (readonly [ReplicaId, Intervals])[];
      /** It answers a context. */
      readonly isReply: boolean;
    }
  /** Facts of yours were not taken: their time lies too far ahead. */
  | { readonly kind: 'refused'; readonly aheadMs: number }
  /** Give rights of a bounded counter, if there are some to spare. */
  | {
      readonly kind: 'ask';
      readonly address: CellAddress;
      readonly amount: number;
      readonly replica: ReplicaId;
    };
