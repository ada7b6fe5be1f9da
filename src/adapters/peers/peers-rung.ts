/** The peers rung: addresses of members that other members told. */

import type { Address } from '../../kernel/address.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Rung, RungHandlers } from '../../ports/discovery.ts';
import { createSightingTable } from '../discovery/sighting-table.ts';
import type { SightingTable } from '../discovery/sighting-table.ts';

/** Nodes that one telling may name; the rest is ignored. */
export const toldMax = 64;

/** A told address stays this long without being told again, in ms. */
export const toldHoldMs = 600_000;

/** What one member says about another. */
interface ToldPeer {
  readonly node: NodeId;
  readonly addresses: readonly Address[];
  readonly meshTag?: string;
}

/** The rung, with its source. */
export interface PeersRung extends Rung {
  /** `from` told where these nodes are. Only what authenticated members say belongs in here. */
  told(from: NodeId, peers: readonly ToldPeer[]): void;
}

/** Builds the rung. It holds 256 nodes; when full, the member that told most loses its oldest telling. */
export function createPeersRung(options: { readonly clock: Clock }): PeersRung {
  const { clock } = options;
  let handlers: RungHandlers | undefined;
  let table: SightingTable | undefined;
  let isStopped = false;
  return {
    name: 'peers',
    start(given) {
      if (handlers !== undefined || isStopped) return Promise.resolve();
      handlers = given;
      table = createSightingTable({ rung: 'peers', clock, handlers: given });
      return Promise.resolve();
    },
    told(from, peers) {
      for (const peer of peers.slice(0, toldMax)) {
        table?.hear({ ...peer, holdMs: toldHoldMs, source: from });
      }
    },
    // What this node tells its peers goes over links, not through here.
    announce() {},
    burst() {
      if (!isStopped) table?.repeat();
    },
    records: () => table?.records() ?? [],
    stop() {
      isStopped = true;
      table?.close();
      return Promise.resolve();
    },
  };
}
