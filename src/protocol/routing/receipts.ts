/** Remembers whom to acknowledge and when: one acknowledgement for many messages, soon enough for the sender's timers. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';

/** Knobs of receipts. */
export interface ReceiptsConfig {
  /** Messages that one acknowledgement may cover. @default 64 */
  readonly countMax?: number;
  /** How long an acknowledgement may wait for more to cover, in ms: publishers wait for it. @default 2 */
  readonly delayMs?: Millis;
}

/** Whom this node owes an acknowledgement. At most 4096 origins at once. */
export interface Receipts {
  /**
   * A message of the origin came.
   * @param isRepeat it came before: an earlier acknowledgement may be lost, so the next one takes every way.
   * @returns true when the acknowledgement is due at once.
   */
  note(now: Millis, origin: NodeId, isRepeat: boolean): boolean;
  /** The acknowledgement is being sent. @returns whether one of the messages was a repeat. */
  take(origin: NodeId): boolean;
  /** Origins whose acknowledgement is due. */
  due(now: Millis): NodeId[];
  deadline(): Millis;
}

interface Owed {
  count: number;
  at: Millis;
  isRepeat: boolean;
}

/** Origins owed at once; beyond it nothing is noted, and the origin's resend notes it again. */
const owedMax = 4096;

/** Builds the list of owed acknowledgements. */
export function createReceipts(config: ReceiptsConfig = {}): Receipts {
  const countMax = config.countMax ?? 64;
  const delayMs = Math.max(1, config.delayMs ?? 2);
  const owed = new Map<NodeId, Owed>();

  return {
    note(now, origin, isRepeat) {
      const entry = owed.get(origin);
      if (entry === undefined) {
        if (owed.size >= owedMax) return false;
        owed.set(origin, { count: 1, at: now + delayMs, isRepeat });
        return countMax <= 1;
      }
      entry.count += 1;
      entry.isRepeat ||= isRepeat;
      return entry.count >= countMax;
    },
    take(origin) {
      const entry = owed.get(origin);
      owed.delete(origin);
      return entry?.isRepeat ?? false;
    },
    due(now) {
      const origins: NodeId[] = [];
      for (const [origin, entry] of owed) if (entry.at <= now) origins.push(origin);
      return origins;
    },
    deadline() {
      // Entries are made in the order of their deadlines: the first is the soonest.
      for (const entry of owed.values()) return entry.at;
      return Infinity;
    },
  };
}
