/** What is asked for when an agent is deployed, and what is told of those that run. */

import type { NodeId } from '../../kernel/ids.ts';
import type { SocietyShape } from '../../protocol/placement/society.ts';

/** How an agent is to be deployed. */
export interface DeployOptions {
  /** @default the name in the module */
  readonly name?: string;
  /** `auto`: one on every node that fits, as nodes come and go. @default 1 */
  readonly replicas?: number | 'auto';
  /** Who is whose neighbour among its instances: `self.neighbours()`. @default 'mesh' */
  readonly society?: SocietyShape;
  /** Capabilities a node must have, besides those the module needs. */
  readonly require?: readonly string[];
  /** Replicas go to nodes with different values of this label, as far as there are such. */
  readonly spread?: string;
  /** Only nodes that fit this selector. */
  readonly select?: string;
  /** Only on this node. */
  readonly node?: NodeId;
  /**
   * `hash`: by name and number, evenly over the nodes that fit. `auction`: those nodes bid with what hosting one more would
   * cost them, from load, cores, agents they host, heat, throttling, battery and memory. Whatever has to move later, as when
   * its node is gone, goes by hash. @default 'hash'
   */
  readonly placement?: 'hash' | 'auction';
}

/** One instance, for people. */
export interface AgentInfo {
  readonly agent: string;
  readonly instance: string;
  readonly node: NodeId;
  readonly state: string;
  readonly restarts: number;
  /** Wall-clock ms since which it is in this state. */
  readonly since: number;
}

/** How all instances of one agent fare. */
export interface AgentHealth {
  readonly agent: string;
  readonly wanted: number;
  readonly running: number;
  readonly failed: number;
  readonly restarts: number;
  /** Nodes that hold some of them. */
  readonly nodes: readonly NodeId[];
  /** As many run as are wanted. */
  readonly isWhole: boolean;
}

/** An instance that belongs on a node. */
export interface DueAgent {
  readonly agent: string;
  readonly instance: string;
  /** What it is at there; undefined: it does not run there. */
  readonly state: string | undefined;
  readonly restarts: number;
}

/** What became of a deployment. */
export interface Deployed {
  readonly name: string;
  readonly hash: string;
  readonly replicas: number;
  /** Who won each replica, and at what cost; absent when it was no auction. */
  readonly hosts?: readonly { readonly node: NodeId; readonly cost: number }[];
}
