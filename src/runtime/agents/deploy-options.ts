/** What is asked for when an agent is deployed, and what is told of those that run. */

import type { NodeId } from '../../kernel/ids.ts';

/** How an agent is to be deployed. */
export interface DeployOptions {
  /** @default the name in the module */
  readonly name?: string;
  /** @default 1 */
  readonly replicas?: number;
  /** Capabilities a node must have, besides those the module needs. */
  readonly require?: readonly string[];
  /** Replicas go to nodes with different values of this label, as far as there are such. */
  readonly spread?: string;
  /** Only nodes that fit this selector. */
  readonly select?: string;
  /** Only on this node. */
  readonly node?: NodeId;
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

/** What became of a deployment. */
export interface Deployed {
  readonly name: string;
  readonly hash: string;
  readonly replicas: number;
}
