/** One open link: two lanes over one MQTT connection, with back-pressure. */

import { reservedRoot } from '../../kernel/topic.ts';
import { frameBytesMax, linkBounds } from '../../ports/link.ts';
import { createLineWatch } from './line-watch.ts';
import type { Lane, LinkHandlers, LinkSession } from '../../ports/link.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { GatheringStream } from '../mqtt/gathering-stream.ts';
import { publishPacket } from '../mqtt/publish-packet.ts';

/** Bytes queued on a link before `send` says false. */
export const linkHighWaterBytes: number = 1024 * 1024;

/** Bytes queued on a link before it is closed: its user ignores `send`'s answer, or the peer is stuck. */
export const linkQueueBytesMax: number = 16 * 1024 * 1024;

/** Data bytes given to the connection ahead of time. A control frame never waits behind more than this. */
const dataWindowBytes = 192 * 1024;

/** How long a local close waits for queued frames (a goodbye) to leave, in ms. */
const farewellMs = 500;

/** The topic of each lane, below the mesh's own root. */
export const laneTopics: Readonly<Record<Lane, string>> = {
  control: `${reservedRoot}/c`,
  data: `${reservedRoot}/d`,
};

/** What carries a session: the stream of an mqtt.js client or of an aedes client object, past which its frames go. */
export interface LinkCarrier {
  readonly stream: GatheringStream;
  /** Ends the MQTT connection. */
  end(): void;
}

/** A session and the side that its transport holds. */
export interface OpenLink {
  readonly session: LinkSession;
  /** The address of this computer that the connection uses; undefined for an in-process stream. */
  readonly localHost: string | undefined;
  /** A frame came in. */
  received(lane: Lane, frame: Uint8Array): void;
  /** The connection is gone. */
  lost(reason: string): void;
  isClosed(): boolean;
}

/** Opens a session over a carrier whose login is done. */
export function createLinkSession(
  about: Pick<LinkSession, 'peer' | 'isDialler' | 'certificate' | 'remote'>,
  localHost: string | undefined,
  carrier: LinkCarrier,
  world: { readonly handlers: LinkHandlers; readonly metrics: Metrics },
): OpenLink {
  const { handlers, metrics } = world;
  const { stream } = carrier;
  const line = createLineWatch(stream, metrics);
  const dataQueue: Uint8Array[] = [];
  let head = 0;
  let dataQueueBytes = 0;
  let isFull = false;
  let phase: 'open' | 'closing' | 'closed' = 'open';
  let closeReason = '';

  const queuedBytes = (): number => dataQueueBytes + stream.queuedBytes();

  function hand(lane: Lane, frame: Uint8Array): void {
    const written = line.handed(lane, frame.length);
    if (stream.writable) stream.write(publishPacket(laneTopics[lane], frame));
    written();
    metrics.count('link.frames.out');
    metrics.count('link.bytes.out', frame.length);
  }

  function hasWindow(): boolean {
    return stream.queuedBytes() < dataWindowBytes;
  }

  function pump(): void {
    if (phase === 'closed') return;
    line.look();
    while (head < dataQueue.length && hasWindow()) {
      const frame = dataQueue[head] as Uint8Array;
      head += 1;
      dataQueueBytes -= frame.length;
      hand('data', frame);
    }
    if (head === dataQueue.length || head > 1024) {
      dataQueue.splice(0, head);
      head = 0;
    }
    if (isFull && queuedBytes() <= linkHighWaterBytes / 2) {
      isFull = false;
      if (phase === 'open') handlers.drained(session);
    }
    if (phase === 'closing' && queuedBytes() === 0) finish();
  }

  stream.on('progress', pump);

  function finish(): void {
    if (phase === 'closed') return;
    phase = 'closed';
    stream.off('progress', pump);
    line.end();
    dataQueue.length = 0;
    dataQueueBytes = 0;
    carrier.end();
    handlers.closed(session, closeReason);
  }

  const session: LinkSession = {
    ...about,
    queuedBytes,
    hurry: () => stream.flush(),
    send(lane, frame) {
      if (phase !== 'open') return false;
      if (frame.length > frameBytesMax) {
        metrics.drop('link', 'frame-too-long');
        return true;
      }
      if (queuedBytes() + frame.length > linkQueueBytesMax) {
        metrics.drop('link', 'queue-overflow');
        closeReason = linkBounds.overflow;
        // In a later turn: the caller is in the middle of sending.
        phase = 'closing';
        setImmediate(finish);
        return false;
      }
      if (lane === 'control' || (head === dataQueue.length && hasWindow())) hand(lane, frame);
      else {
        dataQueue.push(frame);
        dataQueueBytes += frame.length;
      }
      isFull ||= queuedBytes() >= linkHighWaterBytes;
      return !isFull;
    },
    close(reason) {
      if (phase !== 'open') return;
      phase = 'closing';
      closeReason = reason;
      setTimeout(finish, farewellMs).unref();
      setImmediate(pump);
    },
  };

  return {
    session,
    localHost,
    received(lane, frame) {
      if (phase !== 'open') return;
      metrics.count('link.frames.in');
      metrics.count('link.bytes.in', frame.length);
      handlers.frame(session, lane, frame);
    },
    lost(reason) {
      if (closeReason === '') closeReason = reason;
      finish();
    },
    isClosed: () => phase === 'closed',
  };
}
