/**
 * What goes to a linked peer of a message. A member on probation may count events and not read them; a node of an older
 * version cannot read parts of large messages. Both get an empty place in the stream, so that nothing after it waits.
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { DeliveryClass } from '../../protocol/routing/messages.ts';
import { isPartEnvelope } from '../../wire/envelope-part.ts';
import { emptiedPart, readEnvelope } from '../../wire/envelope.ts';
import type { Traffic } from '../channels/traffic.ts';
import type { Links } from '../link-wires.ts';
import type { MessagingWorld } from '../messaging-world.ts';
import { allowedRecord } from '../probation.ts';

/** The minor version from which nodes read parts of large messages (docs/protocols/rollout.md). */
const partsMinor = 2;

/** Peers that the log has named; the oldest may be named again. */
const namedMax = 256;

const tooOld = 'large messages do not go to or through this node: its version is too old';

/** What it needs of the links. */
export interface OutgoingWorld {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly traffic: Pick<Traffic, 'record'>;
  isOnProbation(peer: NodeId): boolean;
  readonly links: Pick<Links, 'minorOf'>;
}

/** Builds the way to the links. */
export function createOutgoing(world: OutgoingWorld): Pick<MessagingWorld, 'transmit' | 'canRead'> {
  const named = new BoundedMap<NodeId, true>(namedMax);

  function canRead(peer: NodeId, raw: Uint8Array): boolean {
    return !isPartEnvelope(raw) || (world.links.minorOf(peer) ?? partsMinor) >= partsMinor;
  }

  function tell(peer: NodeId, raw: Uint8Array): void {
    if (readEnvelope(raw)?.part?.index !== 0) return;
    world.metrics.drop('router', 'large message for an older node');
    if (named.get(peer) === undefined) world.log.warn({ peer }, tooOld);
    named.set(peer, true);
  }

  function send(peer: NodeId, record: Uint8Array | undefined, kind: DeliveryClass): boolean {
    return record === undefined || world.traffic.record(peer, record, kind);
  }

  return {
    canRead,
    transmit(peer, raw, kind) {
      const allowed = world.isOnProbation(peer) ? allowedRecord(peer, raw) : raw;
      if (allowed !== raw) return send(peer, allowed, kind) && 'withheld';
      if (canRead(peer, raw)) return send(peer, raw, kind);
      if (!send(peer, emptiedPart(raw), kind)) return false;
      tell(peer, raw);
      return 'unreadable';
    },
  };
}
