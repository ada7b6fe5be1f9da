/** What the floors above the mesh are built on: state, consensus, services, agents and gateways are parts of a node. */

import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { Calls } from '../ports/calls.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { MeshPort } from '../ports/mesh.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import type { KeyText } from '../protocol/trust/messages.ts';
import type { NodeKeys } from '../wire/keys.ts';
import type { NodeAdapters } from './adapters.ts';
import type { RouteBook } from './explain/route-book.ts';
import type { MeshNode, NodeOptions } from './mesh-node.ts';

/** What a part may use. */
export interface PartWorld {
  /** The node it belongs to: publish, subscribe, members, events. */
  readonly node: MeshNode;
  readonly mesh: MeshPort;
  /** Requests and replies over that port. */
  readonly calls: Calls;
  /** What this node alone can say about the ways of messages. */
  readonly routes: RouteBook;
  readonly options: NodeOptions;
  /** The world of this computer: what a part needs of it that has no field of its own here. */
  readonly adapters: NodeAdapters;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The node's own records; a part prefixes the names of its records with its own name. */
  readonly store: Store;
  /** The mesh that the node belongs to, and who founded it; nobody founded the open mesh of developers. */
  home(): { readonly mesh: MeshId; readonly founder: NodeId | undefined };
  /** Who may order in that mesh, and the keys of this node to sign with. */
  authority(): {
    readonly keys: NodeKeys;
    isAdmin(): boolean;
    isAdminKey(key: KeyText): boolean;
  };
  /** The node's data directory, for parts whose storage needs more than records. */
  readonly dataDir: string;
  /** Tells what needs a person's eye: an event of the node, its log, and a warning in its status for some minutes. */
  alert(code: string, text: string): void;
  /** A generator of its own. */
  random(): Random;
}

/** A part of a node. Parts start in order, after the broker accepts clients, and stop in the reverse order before it. */
export interface NodePart {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A part whose code is loaded when it starts: most nodes use few of them, and code in memory counts. */
export function lazyPart(load: () => Promise<NodePart>): NodePart {
  let part: NodePart | undefined;
  return {
    async start() {
      part = await load();
      await part.start();
    },
    async stop() {
      await part?.stop();
    },
  };
}
