/** What is to run on a mesh: one record an agent, the later word wins everywhere, and taking one away is a word too. */

import * as z from 'zod/mini';
import type { AgentFacts, PartitionPolicy } from '../../ports/agent-cell.ts';
import type { SocietyShape } from '../../protocol/placement/society.ts';
import type { DeployOptions } from './deploy-options.ts';

/** Deployments of one mesh. */
export const deploymentsMax = 64;

/** One deployment. */
export interface Deployment {
  readonly name: string;
  /** Counts the words about this name; a word of the same count loses to that of the greater node. */
  readonly count: number;
  readonly by: string;
  /** Undefined: undeployed. */
  readonly hash: string | undefined;
  readonly replicas: number;
  /** One on every node that fits, whatever `replicas` says. */
  readonly isAuto: boolean;
  /** Who talks to whom among its instances. */
  readonly society: SocietyShape;
  readonly requires: readonly string[];
  /** Kinds of tasks that its instances take, and whether they say themselves what one would cost. */
  readonly tasks: readonly string[];
  readonly bids: boolean;
  readonly partition: PartitionPolicy;
  /** The node of each replica that runs there or nowhere; empty for other policies. */
  readonly homes: readonly string[];
  /** The node that won each replica when it was auctioned; empty when it was not. */
  readonly prefers: readonly string[];
  /** Replicas are spread over the values of this label first. */
  readonly spread: string | undefined;
  /** Selector over the labels of nodes. */
  readonly select: string;
  /** Only on this node. */
  readonly pinned: string | undefined;
  readonly isolation: 'in-process' | 'thread' | 'process';
  readonly heapMb: number;
}

const text = z.string().check(z.maxLength(512));

const deploymentSchema: z.ZodMiniType<Deployment> = z.object({
  name: text,
  count: z.int().check(z.gte(0)),
  by: text,
  hash: z.union([text, z.undefined()]),
  replicas: z.int().check(z.gte(0)).check(z.lte(256)),
  isAuto: z._default(z.boolean(), false),
  society: z._default(z.enum(['mesh', 'ring', 'tree', 'adaptive']), 'mesh'),
  requires: z.array(text).check(z.maxLength(16)),
  tasks: z._default(z.array(text).check(z.maxLength(16)), []),
  bids: z._default(z.boolean(), false),
  partition: z._default(
    z.enum(['run-everywhere-and-merge', 'pause-minority', 'sticky-home']),
    'run-everywhere-and-merge',
  ),
  homes: z._default(z.array(text).check(z.maxLength(256)), []),
  prefers: z._default(z.array(text).check(z.maxLength(256)), []),
  spread: z.optional(z.union([text, z.undefined()])),
  select: text,
  pinned: z.union([text, z.undefined()]),
  isolation: z.enum(['in-process', 'thread', 'process']),
  heapMb: z.int().check(z.gte(4)).check(z.lte(4_096)),
}) as never;

/** Reads a list of them; what is none is left out. */
export function readDeployments(section: unknown): Deployment[] {
  if (!Array.isArray(section)) return [];
  return section.slice(0, deploymentsMax).flatMap((one) => {
    const read = z.safeParse(deploymentSchema, one);
    return read.success ? [read.data] : [];
  });
}

/** The word that deploys a module that was looked at. */
export function deploymentOf(
  facts: AgentFacts,
  options: DeployOptions,
  named: Pick<Deployment, 'name' | 'count' | 'by' | 'hash'>,
): Deployment {
  return {
    ...named,
    replicas: typeof options.replicas === 'number' ? options.replicas : 1,
    isAuto: options.replicas === 'auto',
    society: options.society ?? 'mesh',
    requires: [...new Set([...facts.needs, ...(options.require ?? [])])].slice(0, 16),
    tasks: facts.tasks,
    bids: facts.bids,
    partition: facts.partition,
    homes: [],
    prefers: [],
    spread: options.spread,
    select: options.select ?? '',
    pinned: options.node,
    isolation: facts.isolation,
    heapMb: facts.heapMb,
  };
}

/** Whether a word replaces what is known. */
export function isLater(word: Deployment, known: Deployment | undefined): boolean {
  if (known === undefined) return true;
  return word.count > known.count || (word.count === known.count && word.by > known.by);
}

/** The replica that an instance is. */
export function numberOf(instance: string): number {
  return Number(instance.slice(instance.lastIndexOf('#') + 1));
}
