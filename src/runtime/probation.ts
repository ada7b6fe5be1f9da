/** What a newcomer on probation may say and hear: its own words on guest topics, until an admin has compared the digits. */

import type { NodeId } from '../kernel/ids.ts';
import type { Envelope } from '../protocol/routing/messages.ts';
import type { ControlMessage } from '../wire/control.ts';
import { isEnvelopeUnder, withheldEnvelope } from '../wire/envelope.ts';

const openRoot = 'guest/';

/** Whether a member on probation may publish and read this topic. */
export function isOpenTopic(topic: string): boolean {
  return topic.startsWith(openRoot);
}

/** Whether a message from a link of this member on probation counts: it speaks for itself only. */
export function mayComeFrom(peer: NodeId, { origin, topic }: Envelope): boolean {
  return origin === peer && isOpenTopic(topic);
}

/** A control message of a member on probation, without what it may not say; undefined when nothing is left. */
export function allowedControl(peer: NodeId, message: ControlMessage): ControlMessage | undefined {
  if (message.kind === 'letter') return message.letter.from === peer ? message : undefined;
  // What it wants decides nothing: it is owed the stream of everybody, withheld where it may not read.
  if (message.kind === 'interest') return undefined;
  // Nor has it a say in how the mesh is linked.
  if (message.kind === 'topology') return undefined;
  if (message.kind !== 'retained') return message;
  const entries = message.entries.filter(
    ({ origin, topic }) => origin === peer && isOpenTopic(topic),
  );
  return { kind: 'retained', entries };
}

/**
 * An encoded message as a member on probation may have it: whole, or an event without topic and payload, so that the
 * stream of its origin has no hole; undefined: not at all.
 */
export function allowedRecord(peer: NodeId, record: Uint8Array): Uint8Array | undefined {
  return isEnvelopeUnder(record, openRoot) ? record : withheldEnvelope(record, peer);
}
