/** The mesh's topology over restarts: the record `topology` of the data directory. */

import type { MeshId } from '../kernel/ids.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
import type { OverlayName } from '../protocol/overlay/overlay.ts';
import { unsetTopology } from '../protocol/overlay/topology.ts';
import type { Topology } from '../protocol/overlay/topology.ts';
import { decodeTopologyRecord, encodeTopologyRecord } from '../wire/topology.ts';

const recordName = 'topology';

/** Reads what the mesh ran when this node last knew; what the node was started with when nobody has set anything. */
export async function readTopologyRecord(
  store: Store,
  meshId: MeshId,
  startedWith: OverlayName,
): Promise<Topology> {
  const bytes = await store.read(recordName);
  const known = bytes && decodeTopologyRecord(bytes, meshId);
  return known === undefined || known.epoch === 0 ? unsetTopology(startedWith) : known;
}

/** Keeps it. A disk that fails costs the memory of it over a restart, not the switch: peers know it, too. */
export function keepTopologyRecord(
  { store, log }: { readonly store: Store; readonly log: Log },
  meshId: MeshId,
  topology: Topology,
): void {
  store.write(recordName, encodeTopologyRecord(meshId, topology)).catch((error: unknown) => {
    log.error({ error }, 'the topology could not be written down');
  });
}
