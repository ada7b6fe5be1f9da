/** What a life of the node leaves over when it ends, and how the next one goes on with it. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isOwedTo, openDestination } from './destination.ts';
import type { Destination } from './destination.ts';
import { Claim } from './message-ring.ts';
import type { Excluded, MessageRing } from './message-ring.ts';

/** Events of an earlier life of this node that are still owed: their stream is gone on with. */
export interface Leftover {
  /** The boot under which the stream began. */
  readonly boot: number;
  /** Greater than any number that was ever used in it. */
  readonly nextSeq: number;
  /** When it was read: those who are owed it have the retention time from here to come back. */
  readonly at: Millis;
  readonly events: readonly {
    readonly seq: number;
    readonly owed: readonly NodeId[];
    readonly raw: Uint8Array;
    /** The group it is for one member of. */
    readonly share?: string | undefined;
  }[];
}

/**
 * Members of the mesh as this node knew it in its life before. What is published before they have shown themselves is theirs,
 * too: a node that has just started knows nobody, and would owe nobody anything.
 */
export interface Absent {
  readonly nodes: readonly NodeId[];
  /** When the life began: they have the retention time from here to come back. */
  readonly at: Millis;
}

/** Numbers left out between two events that are filled up, because many holes are slower than a few empty entries. */
const fillMax = 64;

const everybody: Excluded = { has: () => true };
const nothing = new Uint8Array(0);

/** Fills an empty ring, and opens the destinations of those who are owed, and of absent members: dead until they show themselves. */
export function restore(
  ring: MessageRing,
  destinations: Map<NodeId, Destination>,
  leftover: Leftover | undefined,
  absent: Absent | undefined,
): void {
  for (const { seq, owed, raw, share } of leftover?.events ?? []) {
    const missing = seq - ring.nextSeq();
    if (ring.count() > 0 && missing > 0 && missing <= fillMax) {
      while (ring.nextSeq() < seq) ring.append(nothing, everybody);
    }
    ring.jump(seq);
    const all = new Set(owed);
    const excluded = { has: (node: NodeId) => !all.has(node) };
    ring.append(raw, share === undefined ? excluded : new Claim(share, owed[0]));
    for (const node of owed) open(destinations, node, seq - 1, leftover?.at ?? 0);
  }
  if (leftover !== undefined) ring.jump(leftover.nextSeq);
  for (const node of absent?.nodes ?? []) open(destinations, node, ring.last(), absent?.at ?? 0);
}

function open(
  destinations: Map<NodeId, Destination>,
  node: NodeId,
  acked: number,
  at: Millis,
): void {
  if (destinations.has(node)) return;
  const to = openDestination(node, -1, acked, at);
  to.goneAt = at;
  destinations.set(node, to);
}

/** Shows the events after one and up to another that somebody is still owed, and who. */
export function showUnsettled(
  ring: MessageRing,
  destinations: ReadonlyMap<NodeId, Destination>,
  after: number,
  upTo: number,
  visit: (raw: Uint8Array, owed: readonly NodeId[]) => void,
): void {
  const last = Math.min(upTo, ring.last());
  for (let seq = ring.next(after); seq <= last; seq = ring.next(seq)) {
    const raw = ring.at(seq);
    if (raw === undefined) continue;
    const owed: NodeId[] = [];
    for (const to of destinations.values()) {
      if (to.acked < seq && isOwedTo(ring, to, seq)) owed.push(to.node);
    }
    if (owed.length > 0) visit(raw, owed);
  }
}
