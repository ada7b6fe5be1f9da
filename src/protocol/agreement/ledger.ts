/** What is on record about a task: one record, whose epoch rises with every award, so that old awards lose. */

/** Where a task stands. `awarded`: somebody was named and has not been told to start. */
export type TaskState = 'open' | 'awarded' | 'running' | 'done' | 'failed' | 'cancelled';

/** What a task is, as far as awarding it matters. */
export interface TaskSpec<Body = unknown> {
  readonly id: string;
  /**
   * `idempotent`: may run twice. `fenced`: the sink checks the fence. `none`: neither, so it runs only while the ledger
   * has a quorum behind it.
   */
  readonly effect: 'idempotent' | 'fenced' | 'none';
  readonly body: Body;
}

/** The record. `fence` is the epoch. */
export interface LedgerRecord<Body = unknown> {
  readonly spec: TaskSpec<Body>;
  readonly state: TaskState;
  readonly epoch: number;
  readonly winner: string | undefined;
  readonly attempts: number;
  /** Why it ended, or what the winner gave back. */
  readonly result: unknown;
}

/** Whether a task can change no more. */
export function isOver(state: TaskState): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}

/**
 * Which of two copies of a record holds: what is over beats what is not (done beats all), then the higher epoch, then
 * the state that is further on. The same on every node, in any order.
 */
export function laterRecord<Body>(
  one: LedgerRecord<Body>,
  other: LedgerRecord<Body>,
): LedgerRecord<Body> {
  const [left, right] = [rank(one.state), rank(other.state)];
  if (left >= 3 || right >= 3) {
    if (left !== right) return left > right ? one : other;
  }
  if (one.epoch !== other.epoch) return one.epoch > other.epoch ? one : other;
  if (left !== right) return left > right ? one : other;
  return (one.winner ?? '') >= (other.winner ?? '') ? one : other;
}

function rank(state: TaskState): number {
  const order: readonly TaskState[] = ['open', 'awarded', 'running', 'failed', 'cancelled', 'done'];
  return order.indexOf(state);
}
