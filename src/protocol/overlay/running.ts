/** One overlay of a node that may have two for a while: its sessions and links, kept apart from the other's. */

import type { NodeId } from '../../kernel/ids.ts';
import type { Millis } from '../../kernel/core.ts';
import type { Overlay, SessionId } from './overlay.ts';
import { markKey } from './topology.ts';
import type { Topology, TopologyMark } from './topology.ts';

/** Epochs an overlay has served: setting the same topology again builds nothing. */
const marksMax = 16;

/** A running overlay. */
export interface Running {
  /** What it serves now. */
  topology: Topology;
  readonly overlay: Overlay;
  readonly sessions: Set<SessionId>;
  readonly links: Map<NodeId, SessionId>;
  /** When a pulse of the lowest member last came over one of its links. */
  pulseAt: Millis;
  /** Members that the overlay carries, as they say; asked of the one that is built. */
  readonly holding: Set<NodeId>;
  /** Whether sessions of this epoch are its own. */
  serves(mark: TopologyMark): boolean;
  /** It serves this epoch, too. */
  renew(topology: Topology): void;
}

/** Wraps an overlay. */
export function createRunning(topology: Topology, overlay: Overlay): Running {
  const marks = [markKey(topology)];
  const running: Running = {
    topology,
    overlay,
    sessions: new Set(),
    links: new Map(),
    pulseAt: -Infinity,
    holding: new Set(),
    serves: (mark) => marks.includes(markKey(mark)),
    renew(next) {
      running.topology = next;
      marks.push(markKey(next));
      if (marks.length > marksMax) marks.shift();
    },
  };
  return running;
}
