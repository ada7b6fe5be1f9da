/** Whether a node is well, as one looks at a version on trial. */

import type { MeshNode, NodeOptions } from '../mesh-node.ts';

/** A loop that was stuck for longer in the last seconds is not well, in ms. */
const lagMaxMs = 1_000;

/** What is looked at. */
export interface HealthWorld {
  readonly node: Pick<MeshNode, 'status'>;
  readonly probe: NodeOptions['probe'];
  /** Peers it was linked with before it restarted: without them one link is enough to ask for. */
  peersBefore(): number;
}

/** What is wrong, in a few words; undefined: it is well. Never throws. */
export async function troubleOf(world: HealthWorld): Promise<string | undefined> {
  try {
    const { links, loopLagMs, mesh } = world.node.status();
    if (mesh.isProvisional) return 'it belongs to no mesh';
    if (world.peersBefore() > 0 && links.length === 0) return 'it has no link to any member';
    if (loopLagMs > lagMaxMs) return `its event loop was stuck for ${Math.round(loopLagMs)} ms`;
    return await world.probe?.();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
