/** Explanations of the ways of messages, put together from what each node says of itself. */

import type { NodeId } from '../../kernel/ids.ts';
import type { DropCause, Fate } from '../../protocol/routing/trace.ts';
import type { MessageAnswer, TopicAnswer, WrittenStep } from '../../wire/explain-codec.ts';
import type { ListenersReport } from '../routing/listeners.ts';

/** Hops of a way that is followed; beyond it the way is called unfinished. */
const hopsMax = 16;

/** A node in an explanation. */
export interface ExplainedNode {
  readonly node: NodeId;
  readonly name: string;
}

/** From one node to the next. */
export interface ExplainedHop {
  readonly from: ExplainedNode;
  readonly to: ExplainedNode;
  /** Of the link between the two, as `from` has it. */
  readonly rttMs: number | undefined;
  readonly queuedBytes: number | undefined;
}

/** A node that would get a message, and how it would get there. */
export interface ExplainedReceiver extends ExplainedNode {
  readonly isSelf: boolean;
  /** `filter`, `everything` and `unknown` as in a listeners report; `group`: its group is served by one of its nodes. */
  readonly why: 'filter' | 'everything' | 'unknown' | 'group';
  /** The filters that match, or the shared subscription. */
  readonly filters: readonly string[];
  /** Empty for this node itself. */
  readonly hops: readonly ExplainedHop[];
  /** `direct`: over its link. `relayed`: by the nodes in `hops`. `flooded`: along every link. `none`: no way is known. */
  readonly way: 'here' | 'direct' | 'relayed' | 'flooded' | 'none';
}

/** What became of messages of a topic on one node, of those that it remembers. */
export interface ExplainedFates extends ExplainedNode {
  readonly fates: readonly {
    readonly fate: Fate;
    readonly cause: DropCause | undefined;
    readonly detail: string;
    readonly count: number;
    /** When it was last so, by that node's clock, in ms. */
    readonly at: number;
  }[];
}

/** What would happen to a message that is published on this node now. */
export interface TopicExplanation {
  readonly topic: string;
  readonly from: ExplainedNode;
  readonly channels: { readonly signal: string; readonly event: string };
  readonly receivers: readonly ExplainedReceiver[];
  /** Members that would not get it: their subscribers want other topics, or they are dead. */
  readonly others: readonly (ExplainedNode & {
    readonly why: 'no-interest' | 'dead' | 'dormant';
  })[];
  readonly fates: readonly ExplainedFates[];
  /** Members that did not answer in time. */
  readonly silent: readonly ExplainedNode[];
}

/** What one node remembers of a message. */
export interface ExplainedStation extends ExplainedNode {
  /** Links from the origin, by what was sent; undefined: it is not known how the message came. */
  readonly hop: number | undefined;
  readonly steps: readonly (Omit<WrittenStep, 'cause' | 'peer'> & {
    readonly cause: DropCause | undefined;
    readonly peer: ExplainedNode | undefined;
  })[];
}

/** What happened to a message. */
export interface MessageExplanation {
  readonly id: string;
  readonly origin: ExplainedNode;
  /** Whether any node remembers it: each remembers its last 8192 steps. */
  readonly isKnown: boolean;
  readonly topic: string | undefined;
  /** In the order of its way. */
  readonly stations: readonly ExplainedStation[];
  /** Members that have not acknowledged it yet. */
  readonly owed: readonly ExplainedNode[];
  /** Members that answered and never had it. `no-interest`: by what they want now; else it is not known why. */
  readonly without: readonly (ExplainedNode & { readonly why: 'no-interest' | undefined })[];
  readonly silent: readonly ExplainedNode[];
}

/** Follows the way of a message from one node to another by what each says is its next hop. */
export function followWay(
  from: NodeId,
  to: NodeId,
  answers: ReadonlyMap<NodeId, TopicAnswer>,
): { readonly way: ExplainedReceiver['way']; readonly hops: readonly [NodeId, NodeId][] } {
  const hops: [NodeId, NodeId][] = [];
  let at = from;
  while (hops.length < hopsMax) {
    const via = answers.get(at)?.next.find((one) => one.to === to)?.via ?? [];
    const [next] = via;
    if (next === undefined) return { way: 'none', hops };
    if (via.length > 1) {
      const first = hops.length === 0 ? via.map((peer): [NodeId, NodeId] => [at, peer]) : hops;
      return { way: 'flooded', hops: first };
    }
    if (hops.some(([before]) => before === next) || next === from) return { way: 'none', hops };
    hops.push([at, next]);
    if (next === to) return { way: hops.length === 1 ? 'direct' : 'relayed', hops };
    at = next;
  }
  return { way: 'none', hops };
}

/** The links between the origin and each node that has the message, counted by what was sent. */
export function hopsOf(
  origin: NodeId,
  answers: ReadonlyMap<NodeId, MessageAnswer>,
): ReadonlyMap<NodeId, number> {
  const hops = new Map<NodeId, number>([[origin, 0]]);
  for (const [node, hop] of hops) {
    for (const { fate, peer } of answers.get(node)?.steps ?? []) {
      if (fate === 'sent' && peer !== undefined && !hops.has(peer)) hops.set(peer, hop + 1);
    }
  }
  return hops;
}

/** The nodes of a listeners report, with why each is in it; a group counts each of its nodes. */
export function receiversOf(
  report: ListenersReport,
): readonly Omit<ExplainedReceiver, 'hops' | 'way'>[] {
  const groups = report.groups.flatMap(({ filter, nodes }) => {
    // Local first: with a member here nobody else is asked.
    const here = nodes.filter(({ isSelf }) => isSelf);
    return (here.length > 0 ? here : nodes).map((one) => ({
      ...one,
      why: 'group' as const,
      filters: [filter],
    }));
  });
  return [...report.nodes, ...groups];
}
