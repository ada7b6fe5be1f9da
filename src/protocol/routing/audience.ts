/** How the members that want a topic are reached: over their links alone, one by one through others, or by a flood. */

import type { NodeId } from '../../kernel/ids.ts';
import type { InterestTable } from './interest.ts';

/** Members without a link that are sent an event one by one; for more of them it is a flood. */
const addressedMax = 16;

/** Who is owed events, and how they are reached. */
export interface Reach {
  nodes(): readonly NodeId[];
  isLinked(node: NodeId): boolean;
}

/** Answers about exclusions, remembered until a link, a member or an interest changes. */
export interface Audience {
  /** How many members without a link want it. */
  farCount(excluded: ReadonlySet<NodeId>): number;
  /** Whether there are members without a link, few enough to be sent an event one by one. */
  hasFew(): boolean;
  /** Whether a flood is cheaper than telling the interested members without a link one by one. */
  isBroad(excluded: ReadonlySet<NodeId>): boolean;
  /** A link or a member has come or gone. */
  changed(): void;
}

/** Builds it. */
export function createAudience(table: InterestTable, reach: Reach): Audience {
  const known = new Map<ReadonlySet<NodeId>, number>();
  let far: readonly NodeId[] | undefined;
  let revision = 0;

  function farMembers(): readonly NodeId[] {
    far ??= reach.nodes().filter((node) => !reach.isLinked(node));
    return far;
  }

  function farCount(excluded: ReadonlySet<NodeId>): number {
    if (revision !== table.revision()) {
      revision = table.revision();
      known.clear();
    }
    let count = known.get(excluded);
    if (count !== undefined) return count;
    count = 0;
    for (const node of farMembers()) if (!excluded.has(node)) count += 1;
    if (known.size >= answersMax) known.clear();
    known.set(excluded, count);
    return count;
  }

  return {
    farCount,
    hasFew: () => farMembers().length > 0 && farMembers().length <= addressedMax,
    isBroad(excluded) {
      const count = farCount(excluded);
      return count > addressedMax || (count > 2 && count * 2 > (far?.length ?? 0));
    },
    changed() {
      far = undefined;
      known.clear();
    },
  };
}

/** Exclusions whose answer is remembered; all are forgotten beyond it. */
const answersMax = 1024;
