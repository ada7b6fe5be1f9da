/** Whether a node is well, as one looks at a version on trial. */

import type { MeshNode, NodeOptions } from '../mesh-node.ts';
import type { Duties } from './duties.ts';

/** A loop that was stuck for longer in the last seconds is not well, in ms. */
const lagMaxMs = 1_000;

/** What is looked at. */
export interface HealthWorld {
  readonly node: Pick<MeshNode, 'status'>;
  readonly probe: NodeOptions['probe'];
  readonly duties: Pick<Duties, 'trouble'>;
  /** Peers it was linked with before it restarted: without them one link is enough to ask for. */
  peersBefore(): number;
  /** What it did before it restarted. */
  dutiesBefore(): readonly string[];
}

/** What is wrong, in a few words; undefined: it is well. Never throws. */
export async function troubleOf(world: HealthWorld): Promise<string | undefined> {
  try {
    const { links, loopLagMs, mesh } = world.node.status();
    if (mesh.isProvisional) return 'it belongs to no mesh';
    if (world.peersBefore() > 0 && links.length === 0) return 'it has no link to any member';
    if (loopLagMs > lagMaxMs) return `its event loop was stuck for ${Math.round(loopLagMs)} ms`;
    return (await world.duties.trouble(world.dutiesBefore())) ?? (await world.probe?.());
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
