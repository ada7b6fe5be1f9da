/** What subscribers in this process get of a message. */

import { messageIdOf } from '../../protocol/routing/message-id.ts';
import type { Envelope } from '../../protocol/routing/messages.ts';
import type { RetainedEntry } from '../../protocol/routing/retained-map.ts';
import type { MeshMessage } from '../mesh-node.ts';

/** A message that came over the mesh. */
export function toMessage(envelope: Envelope): MeshMessage {
  return {
    topic: envelope.topic,
    payload: envelope.payload.slice(),
    origin: envelope.origin,
    qos: envelope.class === 'event' ? 1 : 0,
    retain: false,
    at: envelope.hlc.wallMs,
    id: messageIdOf(envelope.origin, envelope.hlc),
  };
}

/** A topic's last value. */
export function fromRetained({ topic, payload, origin, hlc }: RetainedEntry): MeshMessage {
  return {
    topic,
    payload: payload.slice(),
    origin,
    qos: 1,
    retain: true,
    at: hlc.wallMs,
    id: messageIdOf(origin, hlc),
  };
}
