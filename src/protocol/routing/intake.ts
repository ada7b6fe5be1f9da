/** Where the streams of other members end: each event once, in its origin's order, whole, and acknowledged. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { DropReason } from './forwarder.ts';
import type { Envelope, SeqRange } from './messages.ts';
import { createOrderBuffer } from './order-buffer.ts';
import type { OrderBuffer, OrderBufferConfig, OrderVerdict } from './order-buffer.ts';
import { createJoiner } from './parts.ts';
import { createReceipts } from './receipts.ts';
import type { ReceiptsConfig } from './receipts.ts';

/** What it does; called synchronously. */
export interface IntakeOutputs {
  deliver(envelope: Envelope): void;
  /** These events of the origin will never be delivered. */
  gap(origin: NodeId, from: number, to: number): void;
  drop(reason: DropReason, count: number): void;
  /** Tells the origin how far its stream has come. `isRepeat`: an earlier word of it may be lost. */
  acknowledge(
    origin: NodeId,
    boot: number,
    upTo: number,
    ranges: readonly SeqRange[],
    isRepeat: boolean,
  ): void;
}

/** The receiving half of a router. */
export interface Intake extends Pick<
  OrderBuffer,
  'originHere' | 'isAwaited' | 'view' | 'deadline' | 'startAt'
> {
  /** An event came that is for this node. @returns undefined: it was refused, and must come again */
  accept(now: Millis, envelope: Envelope): OrderVerdict | undefined;
  /** Notes that an event came, for the acknowledgement. */
  note(now: Millis, envelope: Envelope, verdict: OrderVerdict): void;
  acknowledge(origin: NodeId): void;
  /** The origin is gone for good. */
  originGone(origin: NodeId): void;
  tick(now: Millis): void;
}

/** Builds it. */
export function createIntake(
  config: {
    readonly order?: OrderBufferConfig | undefined;
    readonly receipts?: ReceiptsConfig | undefined;
  },
  outputs: IntakeOutputs,
): Intake {
  const receipts = createReceipts(config.receipts);
  let at: Millis = 0;
  const joiner = createJoiner({
    torn: () => outputs.drop('parts-torn', 1),
    again(now, origin, boot, seq) {
      outputs.drop('parts-put-back', 1);
      order.rewind(now, origin, boot, seq);
    },
  });
  const order = createOrderBuffer(config.order ?? {}, {
    deliver(envelope) {
      const whole = joiner.take(at, envelope);
      if (whole !== undefined) outputs.deliver(whole);
    },
    gap: (origin, from, to) => outputs.gap(origin, from, to),
  });

  /** Why the first part of a message cannot be taken now. */
  function obstacle(now: Millis, envelope: Envelope): DropReason | undefined {
    if (envelope.part?.index !== 0) return undefined;
    const standing = order.standing(envelope);
    if (standing === 'past') return undefined;
    if (standing === 'ahead') return 'parts-early';
    return joiner.admits(now, envelope) ? undefined : 'parts-full';
  }

  function acknowledge(origin: NodeId): void {
    const isRepeat = receipts.take(origin);
    const progress = order.progress(origin);
    if (progress === undefined) return;
    const { upTo, ranges } = joiner.whole(origin, progress);
    outputs.acknowledge(origin, progress.boot, upTo, ranges, isRepeat);
  }

  return {
    acknowledge,
    accept(now, envelope) {
      at = now;
      const reason = obstacle(now, envelope);
      if (reason === undefined) return order.accept(now, envelope);
      outputs.drop(reason, 1);
      return undefined;
    },
    note(now, { origin, passage, skipped }, verdict) {
      if (verdict === 'stale') return;
      if (verdict === 'refused') outputs.drop('held-full', 1);
      // An addressed copy that brings the word about what may be skipped is no sign of a lost acknowledgement.
      const isResent = passage !== undefined && skipped === 0;
      if (receipts.note(now, origin, verdict === 'duplicate' && isResent)) acknowledge(origin);
    },
    startAt(now, origin, boot, seq, isLoss) {
      at = now;
      order.startAt(now, origin, boot, seq, isLoss);
      joiner.startAt(origin, boot, seq);
    },
    originGone(origin) {
      order.originGone(origin);
      joiner.forget(origin);
    },
    originHere: (origin) => order.originHere(origin),
    isAwaited: (origin, boot, seq) => order.isAwaited(origin, boot, seq),
    view: () => order.view(),
    tick(now) {
      at = now;
      order.tick(now);
      joiner.tick(now);
      for (const origin of receipts.due(now)) acknowledge(origin);
    },
    deadline: () => Math.min(order.deadline(), receipts.deadline(), joiner.deadline()),
  };
}
