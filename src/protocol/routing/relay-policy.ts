/** Who of those that a message is relayed to gets it whole: the router asks for each one that passes through. */

import type { NodeId } from '../../kernel/ids.ts';
import type { Envelope } from './messages.ts';

/** Asked synchronously, once a message; `raw` must be copied by whoever keeps it. */
export interface RelayPolicy {
  /** A first copy came from `arrival` and would be relayed to `targets`. Names those it goes to now. */
  choose(
    envelope: Envelope,
    raw: Uint8Array,
    arrival: NodeId,
    targets: readonly NodeId[],
  ): readonly NodeId[];
  /** A second copy came. */
  repeated(envelope: Envelope, arrival: NodeId): void;
  linkUp(peer: NodeId): void;
  linkDown(peer: NodeId): void;
}
