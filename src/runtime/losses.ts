/** Acknowledged events that are lost for somebody: both ends say so, as an event for programs and an alert for people. */

import type { NodeId } from '../kernel/ids.ts';
import type { LossReason } from '../protocol/routing/outbox-types.ts';
import type { Emitter } from './events.ts';
import type { MeshEvents } from './mesh-node.ts';

const reasons: Readonly<Record<Exclude<LossReason, 'gone'>, string>> = {
  dead: 'it was away for more than 5 minutes',
  silent: 'it acknowledged nothing for 5 minutes',
  quota: 'it was away and the outbox on this node was full',
};

/** What the floors below tell of losses. */
export interface Losses {
  /** So many events of an origin will never come here; 0: some. */
  missed(origin: NodeId, count: number): void;
  /** A member will never get so many events of this node that it was owed. */
  givenUp(member: NodeId, count: number, reason: LossReason): void;
}

/** Builds it. */
export function createLosses(
  emitter: Emitter<MeshEvents>,
  alert: (code: string, text: string) => void,
): Losses {
  return {
    missed(origin, count) {
      emitter.emit('gap', { origin, count });
      alert('events-missed', `Events of ${origin} were given up before they came here.`);
    },
    givenUp(member, count, reason) {
      emitter.emit('given-up', { member, count, reason });
      // Whoever left, or was thrown out, is owed nothing: no loss.
      if (reason === 'gone') return;
      alert('events-given-up', `Events owed to ${member} were given up: ${reasons[reason]}.`);
    },
  };
}
