/** What a replica needs of its node, what it gives to it, and how it refuses. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { ReplicaLog } from '../../ports/replica-log.ts';
import type { Command, Outcome } from '../../protocol/consensus/machine-types.ts';
import type { Machine } from '../../protocol/consensus/machine.ts';
import type { RaftMessage, Seat } from '../../protocol/consensus/messages.ts';
import type {
  MembershipChange,
  RaftTiming,
  RaftView,
  Refusal,
} from '../../protocol/consensus/raft-types.ts';

/** Why a command or a read was not taken; `lost`: it was certainly not done, `unknown`: it may have been. */
export type ReplicaRefusal = Refusal | 'lost' | 'unknown' | 'stopped';

/** A refusal as an error: whoever calls tries elsewhere or again. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly reason: ReplicaRefusal;

  constructor(reason: ReplicaRefusal) {
    super(`refused: ${reason}`);
    this.reason = reason;
  }
}

/** What a replica needs. */
export interface ReplicaWorld {
  readonly seat: Seat;
  readonly files: ReplicaLog;
  readonly timing: RaftTiming;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly random: Random;
  send(to: Seat, node: NodeId, message: RaftMessage): void;
  /** What was sent leaves at once. */
  hurry(): void;
  /** Role, leader, term or members changed. */
  changed(): void;
  /** These things of the state machine changed: `lock NAME`, `barrier NAME`, `key KEY`. */
  touched(things: readonly string[]): void;
  /** Its disk failed, or holds what this version does not know: it has stopped for good. */
  failed(error: unknown): void;
  /** Its disk has lost what it had acknowledged: it has stopped for good, and its seat is to be given up. */
  forgot(): void;
}

/** A replica. */
export interface Replica {
  readonly seat: Seat;
  readonly machine: Machine;
  view(): RaftView;
  received(from: Seat, node: NodeId, message: RaftMessage): void;
  linkClosed(seat: Seat): void;
  woke(): void;
  timed(timing: RaftTiming): void;
  /** Has a command decided and applied. @throws {RefusedError} */
  submit(client: string, number: number, command: Command): Promise<Outcome>;
  /** Resolves when the machine here is as new as now. @throws {RefusedError} */
  read(): Promise<void>;
  /**
   * Looks at the machine when it has applied exactly the log up to an index. Resolves with undefined when it is past that,
   * stops before, or too many wait.
   */
  at<Result>(index: number, look: (machine: Machine) => Result): Promise<Result | undefined>;
  /** @throws {RefusedError} */
  change(change: MembershipChange): Promise<void>;
  transfer(to: Seat): void;
  /** By how much heartbeats come late, in ms: the 99th percentile of the latest. */
  lateMs(): Millis;
  /** How suspicious the leader's silence is by now: an early warning, no verdict. */
  leaderPhi(): number;
  /** ms of the machine's time that have passed since its last request, when this replica leads. */
  sinceStampMs(): Millis;
  stop(): Promise<void>;
}
