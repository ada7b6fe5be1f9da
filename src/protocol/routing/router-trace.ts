/** Where a router says what becomes of messages; called synchronously, with nothing made for it. */

import type { NodeId } from '../../kernel/ids.ts';
import type { Envelope } from './messages.ts';
import type { OrderVerdict } from './order-buffer.ts';
import type { LossReason } from './outbox-types.ts';
import type { DropCause, Fate } from './trace.ts';

/** The listener. */
export interface RouterTrace {
  /** Of a message that was read. */
  step(
    fate: Fate,
    envelope: Pick<Envelope, 'origin' | 'hlc' | 'topic'>,
    peer: NodeId | undefined,
    cause: DropCause | undefined,
    detail: string,
  ): void;
  /** Of encoded bytes. */
  raw(
    fate: Fate,
    raw: Uint8Array,
    peer: NodeId | undefined,
    cause: DropCause | undefined,
    detail: string,
  ): void;
}

/** Hears nothing. */
export const deafTrace: RouterTrace = { step: () => {}, raw: () => {} };

/** What is told of events that a member loses. */
export const lossTexts: Readonly<Record<LossReason, string>> = {
  dead: 'owed to a member that was dead for too long',
  silent: 'owed to a member that acknowledged nothing for too long',
  quota: 'owed to a dead member, and the outbox was full',
  gone: 'owed to a member that left',
};

/** Tells what the order buffer said to an event; its delivery tells itself. */
export function tellVerdict(
  trace: RouterTrace,
  verdict: OrderVerdict,
  envelope: Envelope,
  from: NodeId,
): void {
  switch (verdict) {
    case 'delivered':
      return;
    case 'held':
      return trace.step('held', envelope, undefined, undefined, 'an earlier one is missing');
    case 'duplicate':
      return trace.step('dropped', envelope, from, 'duplicate', 'it was here');
    case 'stale':
      return trace.step('dropped', envelope, from, 'expired', 'its place in the stream has passed');
    case 'refused':
      return trace.step(
        'dropped',
        envelope,
        from,
        'overflow',
        'too much is held back; its origin resends',
      );
  }
}
