/** Dials under way of HyParView: whom, why, and since when. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Contacts } from './contacts.ts';
import type { Hyparview } from './hyparview-config.ts';
import type { OverlayEffect } from './overlay.ts';
import type { Purpose } from './talks.ts';

/** One dial. */
export interface Dial {
  readonly purpose: Purpose;
  readonly since: Millis;
}

/** The dials. */
export interface Dials {
  has(node: NodeId): boolean;
  size(): number;
  /** Those to peers that are not taken for dead and did not fail or refuse the last time: a neighbour may come of them. */
  hopeful(): number;
  all(): Iterable<Dial>;
  /** Dials a contact. False: no slot is free, it is being dialled already, or it has no address. */
  dial(now: Millis, node: NodeId, purpose: Purpose): boolean;
  /** The dial came through, or to nothing: why it was made, undefined when none was under way. */
  ended(node: NodeId): Purpose | undefined;
  /** Gives up on those that report nothing. */
  timeOut(now: Millis): readonly NodeId[];
  deadline(): Millis;
}

/** Builds the list, empty. */
export function createDials(
  { dialsMax, dialMsMax }: Hyparview,
  contacts: () => Contacts,
  emit: (effect: OverlayEffect) => void,
): Dials {
  const dials = new Map<NodeId, Dial>();
  return {
    has: (node) => dials.has(node),
    size: () => dials.size,
    hopeful() {
      let count = 0;
      for (const node of dials.keys()) {
        const contact = contacts().get(node);
        if (contact?.failures === 0 && !contact.isDead) count += 1;
      }
      return count;
    },
    all: () => dials.values(),
    dial(now, node, purpose) {
      const contact = contacts().get(node);
      if (contact === undefined || contact.addresses.length === 0) return false;
      if (dials.size >= dialsMax || dials.has(node)) return false;
      dials.set(node, { purpose, since: now });
      const target = { kind: 'node', node } as const;
      const { addresses, failures } = contact;
      emit({ type: 'dial', target, addresses, attempt: failures + 1 });
      return true;
    },
    ended(node) {
      const purpose = dials.get(node)?.purpose;
      if (purpose !== undefined) dials.delete(node);
      return purpose;
    },
    timeOut(now) {
      if (dials.size === 0) return [];
      const late = [...dials].filter(([, { since }]) => since + dialMsMax <= now);
      return late.map(([node]) => {
        dials.delete(node);
        emit({ type: 'note', code: 'overlay.dialLost', node });
        return node;
      });
    },
    deadline() {
      let soonest = Infinity;
      for (const { since } of dials.values()) soonest = Math.min(soonest, since + dialMsMax);
      return soonest;
    },
  };
}
