/** What a life of the node leaves over when it ends, and how the next one goes on with it. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isOwedTo, openDestination, owedCount } from './destination.ts';
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
    /** Undefined: it stays on the disk until it is to be sent. */
    readonly raw: Uint8Array | undefined;
    /** Encoded. */
    readonly bytes: number;
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
  const others = new Map<readonly NodeId[], Excluded>();
  for (const { seq, owed, raw, bytes, share } of leftover?.events ?? []) {
    const missing = seq - ring.nextSeq();
    if (ring.count() > 0 && missing > 0 && missing <= fillMax) {
      while (ring.nextSeq() < seq) ring.append(nothing, everybody);
    }
    ring.jump(seq);
    const excluded = others.get(owed) ?? allBut(owed);
    others.set(owed, excluded);
    const claim = share === undefined ? excluded : new Claim(share, owed[0]);
    if (raw === undefined) ring.appendAway(bytes, claim);
    else ring.append(raw, claim);
    for (const node of owed) open(destinations, node, seq - 1, leftover?.at ?? 0);
  }
  for (const to of destinations.values()) to.owed = owedCount(ring, to, ring.last());
  if (leftover !== undefined) ring.jump(leftover.nextSeq);
  for (const node of absent?.nodes ?? []) open(destinations, node, ring.last(), absent?.at ?? 0);
}

function allBut(owed: readonly NodeId[]): Excluded {
  const all = new Set(owed);
  return { has: (node) => !all.has(node) };
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

/** Who is owed an event and has not acknowledged it. */
export function owedAt(
  ring: MessageRing,
  destinations: ReadonlyMap<NodeId, Destination>,
  seq: number,
): NodeId[] {
  const owed: NodeId[] = [];
  if (seq < ring.first() || seq > ring.last()) return owed;
  for (const to of destinations.values()) {
    if (to.acked < seq && isOwedTo(ring, to, seq)) owed.push(to.node);
  }
  return owed;
}

/** Shows the events in memory after one and up to another that somebody is still owed, and who. */
export function showUnsettled(
  ring: MessageRing,
  destinations: ReadonlyMap<NodeId, Destination>,
  after: number,
  upTo: number,
  visit: (raw: Uint8Array, owed: readonly NodeId[], seq: number) => void,
): void {
  const last = Math.min(upTo, ring.last());
  for (let seq = ring.next(after); seq <= last; seq = ring.next(seq)) {
    const raw = ring.at(seq);
    if (raw === undefined) continue;
    const owed = owedAt(ring, destinations, seq);
    if (owed.length > 0) visit(raw, owed, seq);
  }
}
