/**
 * Replicas that write no more: their node is gone for good, or writes under a newer name. Nothing of theirs is live, so all
 * that is left of them is what the context says, and no context may grow with every name there ever was (protocols 3.5).
 */

import type { NodeId } from '../../kernel/ids.ts';
import type { ReplicaId } from './causal-context.ts';

/** Retired replicas that are remembered; the ones that retired first are forgotten. */
export const retiredMax = 4096;

/** How long, in ms of the wall clock: whoever was away longer may bring back what was removed meanwhile. 90 days. */
export const retiredKeptMs: number = 90 * 86_400_000;

/** Who is retired, and since when. Times are of this node's wall clock, in ms. */
export class Retirement {
  /** Undefined before members are known: then everybody may come back. */
  #owners: ReadonlySet<string> | undefined;
  readonly #since = new Map<ReplicaId, number>();

  /** Other nodes that may still write. */
  setOwners(nodes: readonly NodeId[]): void {
    this.#owners = new Set(nodes);
  }

  /**
   * Of these replicas, those that are retired. `isLive`: something of it is live; `own`: who writes here, which is
   * retired as well while a later life of this node is known: all must hold the same retired.
   */
  among(
    replicas: readonly ReplicaId[],
    own: ReplicaId | undefined,
    isLive: (replica: ReplicaId) => boolean,
  ): ReadonlySet<ReplicaId> {
    const owners = this.#owners;
    if (owners === undefined) return new Set();
    const newest = new Map<string, number>();
    for (const replica of replicas) {
      const { node, life } = partsOf(replica);
      newest.set(node, Math.max(newest.get(node) ?? 0, life));
    }
    const self = own === undefined ? undefined : partsOf(own).node;
    const isRetired = (replica: ReplicaId): boolean => {
      if (isLive(replica)) return false;
      const { node, life } = partsOf(replica);
      // Not the own name says that an older one is over, before others have heard of it: all must hold the same retired.
      return life < (newest.get(node) ?? 0) || !(owners.has(node) || node === self);
    };
    return new Set(replicas.filter(isRetired));
  }

  /**
   * Every member agrees on what is live: these are retired now. Gives those that were not before, and those that were long
   * enough, or are too many, and may be forgotten.
   */
  settle(
    retired: ReadonlySet<ReplicaId>,
    now: number,
  ): { readonly fresh: readonly ReplicaId[]; readonly over: readonly ReplicaId[] } {
    for (const replica of this.#since.keys()) {
      if (!retired.has(replica)) this.#since.delete(replica);
    }
    const fresh = [...retired].filter((replica) => !this.#since.has(replica));
    for (const replica of fresh) this.#since.set(replica, now);
    const oldestFirst = [...this.#since].sort(([, left], [, right]) => left - right);
    const tooMany = Math.max(0, oldestFirst.length - retiredMax);
    const over = oldestFirst
      .filter(([, since], at) => at < tooMany || now - since >= retiredKeptMs)
      .map(([replica]) => replica);
    for (const replica of over) this.#since.delete(replica);
    return { fresh: fresh.filter((replica) => this.#since.has(replica)), over };
  }

  /** It was retired when the storage was written. */
  restore(replica: ReplicaId, since: number): void {
    this.#since.set(replica, since);
  }

  /** Everybody who is, and since when. */
  entries(): readonly (readonly [ReplicaId, number])[] {
    return [...this.#since];
  }
}

/** A replica's name is its node and how-manieth life of that node it began in: `NODE:LIFE.CHANCE`, the life in base 36. */
function partsOf(replica: ReplicaId): { readonly node: string; readonly life: number } {
  const colon = replica.lastIndexOf(':');
  const life = Number.parseInt(replica.slice(colon + 1), 36);
  return { node: replica.slice(0, Math.max(0, colon)), life: Number.isNaN(life) ? 0 : life };
}
