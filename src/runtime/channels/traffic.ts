/** Which channel each thing takes that a node sends to a linked peer. */

import type { NodeId } from '../../kernel/ids.ts';
import { bulkSuffix } from '../../kernel/parcel.ts';
import { coordinationBytesMax } from '../../protocol/channels/channel.ts';
import type { Channel } from '../../protocol/channels/channel.ts';
import type { ChannelTable } from '../../protocol/channels/channel-table.ts';
import type { DeliveryClass, Letter } from '../../protocol/routing/messages.ts';
import type { RetainedEntry } from '../../protocol/routing/retained-map.ts';
import {
  envelopeChannel,
  envelopePayloadBytes,
  envelopeShare,
  envelopeTopic,
} from '../../wire/envelope.ts';
import type { Links } from '../link-wires.ts';

/** The sending side of a life's links. */
export interface Traffic {
  /** A message. False: its channel is full. */
  record(peer: NodeId, raw: Uint8Array, kind: DeliveryClass): boolean;
  letter(peer: NodeId, letter: Letter): void;
  /** Bytes that wait where a parcel would. */
  parcelBytes(to: NodeId, protocol: string, bytes: number): number;
  retained(peer: NodeId, entries: readonly RetainedEntry[]): void;
  /** Bytes of retained values that wait for the peer; undefined: no link. */
  retainedBytes(peer: NodeId): number | undefined;
}

/** Builds it. */
export function createTraffic(channels: ChannelTable, links: Links): Traffic {
  const { coordination, gossip, data, events } = channels.builtIn;
  const byClass = { signal: data, event: events };

  function channelOf(raw: Uint8Array, kind: DeliveryClass): Channel {
    const wish = envelopeChannel(raw);
    const wished = wish === undefined ? undefined : channels.byName(wish);
    if (wished !== undefined && (wished.class === kind || wished === coordination)) return wished;
    if (!channels.hasRules) return byClass[kind];
    return channels.choose(kind, envelopeTopic(raw), envelopePayloadBytes(raw));
  }

  const isBulk = (protocol: string, bytes: number): boolean =>
    bytes > coordinationBytesMax || protocol.endsWith(bulkSuffix);

  return {
    parcelBytes(to, protocol, bytes) {
      return links.queuedBytes(to, isBulk(protocol, bytes) ? data : coordination);
    },
    record: (peer, raw, kind) =>
      links.data(peer, raw, channelOf(raw, kind), () => supersededBy(raw)),
    letter(peer, letter) {
      const { body } = letter;
      if (body.kind === 'parcel' && isBulk(body.protocol, body.bytes.length))
        links.bulk(peer, { kind: 'letter', letter }, data);
      else links.control(peer, { kind: 'letter', letter });
    },
    retained: (peer, entries) => void links.bulk(peer, { kind: 'retained', entries }, gossip),
    retainedBytes: (peer) =>
      links.current(peer) === undefined ? undefined : links.queuedBytes(peer, gossip),
  };
}

/** What a newer signal with the same name makes void: one of its topic, and of its group. */
function supersededBy(raw: Uint8Array): string {
  const share = envelopeShare(raw);
  return share === undefined ? envelopeTopic(raw) : `${envelopeTopic(raw)} ${share}`;
}
