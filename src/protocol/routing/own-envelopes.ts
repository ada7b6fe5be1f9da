/** Encodes what this node publishes. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isLarge } from '../../kernel/large-message.ts';
import type { Excluded } from './message-ring.ts';
import type { Envelope, Part } from './messages.ts';
import type { Outbox } from './outbox-types.ts';
import { cut } from './parts.ts';
import type { EnvelopeCodec, Publication } from './router-world.ts';

/** Signals of up to so many bytes are written into the same memory, one after the other. */
const signalBytes = 4096;

/** A signal as it stands in that memory. */
interface Held {
  readonly topic: string;
  readonly channel: string | undefined;
  readonly retain: boolean;
  readonly payloadBytes: number;
  readonly ttl: number;
  readonly raw: Uint8Array;
}

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
  readonly codec: Pick<EnvelopeCodec, 'encode' | 'restamp'>;
}): EncodeOwn {
  const { self, boot, stream, codec } = world;
  const signalMemory = new Uint8Array(signalBytes);
  /** What the memory holds: the next signal is mostly one of the same topic and size. */
  let held: Held | undefined;

  function encodeSignal(publication: Publication, seq: number, ttl: number): Uint8Array {
    const { topic, channel, retain, payload, hlc } = publication;
    if (
      held !== undefined &&
      held.topic === topic &&
      held.payloadBytes === payload.length &&
      held.channel === channel &&
      held.retain === retain &&
      held.ttl === ttl
    ) {
      codec.restamp(held.raw, seq, hlc, payload);
      return held.raw;
    }
    const raw = encode(publication, seq, ttl, undefined, undefined);
    const isHeld = raw.buffer === signalMemory.buffer;
    held = isHeld ? { topic, channel, retain, payloadBytes: payload.length, ttl, raw } : undefined;
    return raw;
  }

  function encode(
    publication: Publication,
    seq: number,
    ttl: number,
    share: string | undefined,
    part: Part | undefined,
  ): Uint8Array {
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
  }

  return (publication, seq, ttl, share, part) => {
    if (publication.qos === 0) {
      if (share === undefined && part === undefined) return encodeSignal(publication, seq, ttl);
      held = undefined;
    }
    return encode(publication, seq, ttl, share, part);
  };
}

/** Builds what puts an event into the outbox, a large one in parts, and gives its bytes. */
export function createAppend(
  outbox: Pick<Outbox, 'nextSeq' | 'append'>,
  encode: EncodeOwn,
): (
  now: Millis,
  publication: Publication,
  ttl: number,
  excluded: Excluded | undefined,
) => readonly Uint8Array[] {
  return (now, publication, ttl, excluded) => {
    if (!isLarge(publication.payload)) {
      const raw = encode(publication, outbox.nextSeq(), ttl);
      outbox.append(now, raw, excluded);
      return [raw];
    }
    return cut(publication).map(({ payload, part }) => {
      const raw = encode({ ...publication, payload }, outbox.nextSeq(), ttl, undefined, part);
      outbox.append(now, raw, excluded);
      return raw;
    });
  };
}
