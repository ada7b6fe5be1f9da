/** Which of several instances takes a call: local-first, round-robin, least-loaded, latency, weighted, consistent-hash. */

import { rendezvousOrder } from '../../kernel/hash.ts';
import type { Random } from '../../kernel/random.ts';

/** How an instance is chosen. */
export type Balance =
  | 'local-first'
  | 'round-robin'
  | 'least-loaded'
  | 'latency'
  | 'weighted'
  | 'consistent-hash';

/** One instance that could take the call. */
export interface Instance<Id extends string = string> {
  readonly id: Id;
  readonly isLocal: boolean;
  /** Undefined: not measured; counts as slower than all that are. */
  readonly rttMs: number | undefined;
  /** Calls it is at, as far as known here. */
  readonly load: number;
  /** @default 1 */
  readonly weight?: number;
}

/**
 * Orders the instances, the one to ask first in front; the others are for a retry.
 * @param turn counts the calls of this caller, for round-robin
 * @param key for consistent-hash: calls with one key meet one instance while it lives
 */
export function balanceOrder<Id extends string>(
  how: Balance,
  instances: readonly Instance<Id>[],
  turn: number,
  key: string,
  random: Random,
): Instance<Id>[] {
  if (instances.length < 2) return [...instances];
  const byId = [...instances].sort((left, right) => (left.id < right.id ? -1 : 1));
  switch (how) {
    case 'local-first':
      return [...leastLoaded(byId, random)].sort(
        (left, right) => Number(right.isLocal) - Number(left.isLocal),
      );
    case 'round-robin': {
      const from = turn % byId.length;
      return [...byId.slice(from), ...byId.slice(0, from)];
    }
    case 'least-loaded':
      return leastLoaded(byId, random);
    case 'latency':
      return byId.sort((left, right) => latency(left) - latency(right));
    case 'weighted': {
      // Drawn without replacement by weight (Efraimidis, Spirakis 2006).
      const keyed = byId.map((one) => ({
        one,
        draw: Math.log(1 - random.unit()) / Math.max(1e-9, one.weight ?? 1),
      }));
      return keyed.sort((left, right) => right.draw - left.draw).map(({ one }) => one);
    }
    case 'consistent-hash': {
      const found = new Map(byId.map((one) => [one.id, one]));
      const order = rendezvousOrder(key, [...found.keys()], (id) => found.get(id)?.weight ?? 1);
      return order.flatMap((id) => found.get(id) ?? []);
    }
    default:
      return byId;
  }
}

function latency({ isLocal, rttMs }: Instance): number {
  return isLocal ? 0 : (rttMs ?? 1e9);
}

/** By load per weight; equals in random order, so that idle callers do not all meet at one. */
function leastLoaded<Id extends string>(
  instances: readonly Instance<Id>[],
  random: Random,
): Instance<Id>[] {
  const keyed = instances.map((one) => ({
    one,
    load: one.load / Math.max(1e-9, one.weight ?? 1),
    draw: random.unit(),
  }));
  keyed.sort((left, right) => left.load - right.load || left.draw - right.draw);
  return keyed.map(({ one }) => one);
}
