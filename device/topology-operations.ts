/** What the requests about the topology do to the node. */

import type { MeshNode, NodeId, TopologyReport } from 'mycel';

/** The arguments of `topology-set`. */
export interface TopologySetArgs {
  readonly kind: string;
  /** Ids, parts of ids, or names. */
  readonly hubs?: readonly string[];
  readonly reason?: string;
}

/** Changes the topology; what the kind may be is the node's to say. */
export function setTopology(
  node: MeshNode,
  { kind, hubs, reason }: TopologySetArgs,
  resolve: (who: string) => { readonly id: NodeId },
): Promise<TopologyReport> {
  return node.setTopology(kind as TopologyReport['kind'], {
    ...(hubs === undefined ? {} : { hubs: hubs.map((who) => resolve(who).id) }),
    ...(reason === undefined ? {} : { reason }),
  });
}

/** Lets the mesh choose; what the workload may be is the node's to say. */
export function autoTopology(node: MeshNode, hint: string | undefined): Promise<TopologyReport> {
  return node.autoTopology(hint as TopologyReport['hint'] | undefined);
}
