/** When HyParView joins anew although it has links: strangers of its mesh are in sight, or many come back from the dead at once. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';

/** Strangers waited for; more are not noted until they are seen again. */
const strangersMax = 64;

/** Returned members remembered of one moment; one of them is joined. */
const returnedMax = 64;

/** Nodes wanted at once; more are not noted. */
const wantedMax = 64;

/** So many have to come back within one moment to look like the end of a partition rather than a reboot. */
const returnedMin = 2;

/** The reunions of one node. */
export interface Reunion {
  /** A node of this mesh is in sight that membership does not know. */
  stranger(now: Millis, node: NodeId, memberCount: number): void;
  /** A link with this node is wanted until there is one. */
  want(now: Millis, node: NodeId): void;
  /** It is a member now. */
  known(node: NodeId): void;
  /** It is linked, or gone. */
  settled(node: NodeId): void;
  /** A member is back that was taken for dead. */
  returned(now: Millis, node: NodeId): void;
  /** Whom to join now. */
  due(now: Millis): readonly NodeId[];
  deadline(): Millis;
}

/** Builds it. `momentMs`: how long a newcomer is given to come by itself. */
export function createReunion(momentMs: Millis, random: Random): Reunion {
  const strangers = new Map<NodeId, Millis>();
  const wanted = new Map<NodeId, Millis>();
  let returned: NodeId[] = [];
  let firstAt: Millis = -Infinity;
  let joinAt: Millis = Infinity;

  return {
    stranger(now, node, memberCount) {
      if (strangers.has(node) || strangers.size >= strangersMax) return;
      // Everybody sees the stranger, one or two should call: the more members, the wider the spread.
      const spread = momentMs * Math.min(64, Math.max(1, memberCount));
      strangers.set(node, now + momentMs + Math.floor(random.unit() * spread));
    },
    want(now, node) {
      if (wanted.size < wantedMax) wanted.set(node, now);
    },
    known: (node) => void strangers.delete(node),
    settled(node) {
      strangers.delete(node);
      wanted.delete(node);
    },
    returned(now, node) {
      if (now - firstAt > momentMs) {
        returned = [];
        firstAt = now;
      }
      if (returned.length < returnedMax) returned.push(node);
      if (returned.length !== returnedMin) return;
      // Half of the members on each side are enough to tie the two together.
      if (random.below(2) === 0) joinAt = now + 1 + Math.floor(random.unit() * momentMs);
    },
    due(now) {
      const due: NodeId[] = [];
      for (const [node, at] of strangers) if (at <= now) due.push(node);
      for (const node of due) strangers.delete(node);
      for (const [node, at] of wanted) {
        if (at > now) continue;
        due.push(node);
        wanted.set(node, now + momentMs);
      }
      if (joinAt <= now) {
        joinAt = Infinity;
        const node = returned[random.below(returned.length)];
        if (node !== undefined) due.push(node);
      }
      return due;
    },
    deadline() {
      let soonest = joinAt;
      for (const at of strangers.values()) soonest = Math.min(soonest, at);
      for (const at of wanted.values()) soonest = Math.min(soonest, at);
      return soonest;
    },
  };
}
