/** Messages and ids for the tests of the routing structures. */

import type { NodeId } from '../../../src/kernel/ids.ts';
import type { Envelope } from '../../../src/protocol/routing/messages.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

/** A few origins. */
export const origins: readonly NodeId[] = Array.from({ length: 4 }, (_, at) => simNodeId(at));

/** The first of the few origins. */
export const ann: NodeId = simNodeId(0);

/** An event with only what order and identity need. */
export function eventOf(origin: NodeId, seq: number, boot = 1, bytes = 1): Envelope {
  return {
    ttl: 16,
    class: 'event',
    retain: false,
    origin,
    boot,
    seq,
    skipped: 0,
    hlc: { wallMs: 0, count: 0 },
    topic: 't',
    payload: new Uint8Array(bytes),
    passage: undefined,
  };
}
