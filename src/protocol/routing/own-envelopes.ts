/** Encodes what this node publishes. */

import type { NodeId } from '../../kernel/ids.ts';
import type { Envelope, Part } from './messages.ts';
import type { EnvelopeCodec, Publication } from './router-world.ts';

/** Signals of up to so many bytes are written into the same memory, one after the other. */
const signalBytes = 4096;

/** Encodes a publication, or a part of one. */
export type EncodeOwn = (
  publication: Publication,
  seq: number,
  ttl: number,
  share?: string,
  part?: Part,
) => Uint8Array;

/**
 * Builds the encoder. A signal's bytes are good until the next one is encoded: who keeps them longer copies them.
 * `stream`: the boot under which the stream of events began.
 */
export function createOwnEnvelopes(world: {
  readonly self: NodeId;
  readonly boot: number;
  readonly stream: number;
  readonly codec: Pick<EnvelopeCodec, 'encode'>;
}): EncodeOwn {
  const { self, boot, stream, codec } = world;
  const signalMemory = new Uint8Array(signalBytes);
  return (publication, seq, ttl, share, part) => {
    const isEvent = publication.qos === 1;
    const fields: Envelope = {
      ttl,
      class: isEvent ? 'event' : 'signal',
      retain: publication.retain && share === undefined,
      origin: self,
      boot: isEvent ? stream : boot,
      seq,
      skipped: 0,
      hlc: publication.hlc,
      topic: publication.topic,
      payload: publication.payload,
      passage: undefined,
      channel: publication.channel,
      share,
      part,
    };
    return codec.encode(fields, isEvent ? undefined : signalMemory);
  };
}
