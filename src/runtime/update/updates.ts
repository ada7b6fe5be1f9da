/** Updates of the program over the mesh: one desk that installs, on every node, and one that rolls out, on an admin's. */

import type { NodeId } from '../../kernel/ids.ts';
import type { InstallReport } from '../../protocol/rollout/messages.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import type { Duties } from './duties.ts';
import { createInstallDesk } from './install-desk.ts';
import { createRolloutDesk } from './rollout-desk.ts';
import type { RolloutOptions, RolloutStatus } from './rollout-desk.ts';

/** Updates, as a node offers them. */
export interface Updates {
  /** Which version runs here, and where its last update is. */
  report(): InstallReport;
  /** What another node says of itself. @throws {MycelError} MYCEL_NOT_UPDATABLE, MYCEL_DEADLINE, MYCEL_UNREACHABLE */
  ask(node: NodeId): Promise<InstallReport>;
  /**
   * Rolls a package out: canaries first, then in batches; everybody goes back when one node is not well with it.
   * Resolves when it has begun. It goes on over a restart of this node.
   * @throws {MycelError} MYCEL_NOT_ADMIN, MYCEL_ROLLOUT_BUSY, MYCEL_BAD_PACKAGE, MYCEL_BAD_OPTION, or what a target answered
   */
  rollOut(options: RolloutOptions): Promise<RolloutStatus>;
  /** The last one that was begun here. */
  rollout(): RolloutStatus | undefined;
  /** Takes the one under way back. @returns false when there is none */
  cancel(): boolean;
  /** Listens for the wish to be stopped and started again by the launcher; returns the function that ends it. */
  onRestart(listener: () => void): () => void;
}

/** Builds them. */
export function createUpdates(
  world: PartWorld,
  blobs: Blobs,
  duties: Duties,
): { readonly part: NodePart; readonly handle: Updates } {
  const listeners = new Set<() => void>();
  const shared = {
    calls: world.calls,
    clock: world.clock,
    log: world.log,
    metrics: world.metrics,
    store: world.store,
    blobs,
    home: world.home,
    authority: world.authority,
  };
  const install = createInstallDesk({
    ...shared,
    duties,
    node: world.node,
    versions: world.adapters.versions(world.dataDir),
    options: world.options,
    restart: () => listeners.forEach((listener) => listener()),
  });
  const rollout = createRolloutDesk({ ...shared, self: world.node.id });
  return {
    part: {
      async start() {
        await install.start();
        await rollout.start();
      },
      async stop() {
        rollout.stop();
        install.stop();
      },
    },
    handle: {
      report: install.report,
      ask: rollout.ask,
      rollOut: rollout.begin,
      rollout: rollout.status,
      cancel: rollout.cancel,
      onRestart(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
  };
}
