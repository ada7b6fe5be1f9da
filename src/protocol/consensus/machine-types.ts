/** What a group decides about: requests to its state machine, and what comes of them. */

import type { NodeId } from '../../kernel/ids.ts';

/** What a compare-and-set expects. `value` undefined: that the key is absent. */
export type Expectation =
  | { readonly type: 'version'; readonly version: number }
  | { readonly type: 'value'; readonly value: Uint8Array | undefined };

/** A command. Sessions are named by the index at which they were opened. */
export type Command =
  | { readonly op: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly op: 'delete'; readonly key: string }
  /** `value` undefined: delete. */
  | {
      readonly op: 'cas';
      readonly key: string;
      readonly expect: Expectation;
      readonly value: Uint8Array | undefined;
    }
  | { readonly op: 'openSession'; readonly node: NodeId; readonly ttlMs: number }
  | { readonly op: 'keepSession'; readonly session: number }
  | { readonly op: 'closeSession'; readonly session: number }
  /** One of `permits` places, for `owner` within its session. `mayWait`: queue for it. */
  | {
      readonly op: 'acquire';
      readonly session: number;
      readonly name: string;
      readonly owner: string;
      readonly permits: number;
      readonly mayWait: boolean;
    }
  /** Gives the place, or the place in the queue, back. */
  | {
      readonly op: 'release';
      readonly session: number;
      readonly name: string;
      readonly owner: string;
    }
  /** One of `parties` is there. */
  | {
      readonly op: 'arrive';
      readonly name: string;
      readonly party: string;
      readonly parties: number;
    }
  /** Takes `count` numbers of a sequence. */
  | { readonly op: 'next'; readonly name: string; readonly count: number }
  /** Only time passes: what has expired ends. */
  | { readonly op: 'clock' };

/** A command with who sent it. The same (client, number) again gets the kept outcome: done once. */
export interface Request {
  readonly client: string;
  readonly number: number;
  /** Of this leader's clock, in ms, since its request before: how far the machine's own time moves on. */
  readonly advanceMs: number;
  readonly command: Command;
}

/** Why a command did nothing. */
export type MachineRefusal =
  | 'conflict'
  | 'full'
  | 'no-session'
  | 'busy'
  | 'other-permits'
  | 'other-parties'
  | 'not-held';

/** What came of a command. */
export type Outcome =
  | { readonly type: 'done'; readonly index: number }
  /** `conflict`: the version that is there instead; 0: none. */
  | { readonly type: 'refused'; readonly reason: MachineRefusal; readonly version?: number }
  | { readonly type: 'granted'; readonly token: number }
  | { readonly type: 'queued'; readonly place: number }
  | { readonly type: 'arrived'; readonly generation: number; readonly isOpen: boolean }
  | { readonly type: 'numbers'; readonly first: number };

/** The bounds of the machine. Whatever would pass one is refused as `full`, on every replica alike. */
export const machineLimits = {
  /** Longest key or name, in UTF-16 units. */
  keyLengthMax: 256,
  /** Largest value, in bytes: a command fits into one parcel. */
  valueBytesMax: 16_384,
  keysMax: 10_000,
  /** All values together, in bytes: a snapshot stays below its own bound. */
  bytesMax: 8_388_608,
  sessionsMax: 1024,
  /** Locks, semaphores and roles that are held or waited for. */
  locksMax: 4096,
  /** Waiting for one lock. */
  waitersMax: 256,
  permitsMax: 256,
  barriersMax: 1024,
  partiesMax: 256,
  sequencesMax: 4096,
  /** Clients whose latest requests are remembered, and how many of each. */
  clientsMax: 1024,
  requestsPerClientMax: 128,
  ttlMsMin: 500,
  ttlMsMax: 3_600_000,
  /** The longest step of the machine's time in one request. */
  advanceMsMax: 60_000,
} as const;
