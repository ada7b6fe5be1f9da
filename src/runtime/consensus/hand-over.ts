/** A leader that goes lets another one begin first: the group is without one for a round trip only. */

import type { Clock } from '../../ports/clock.ts';
import type { Group } from './group-types.ts';
import type { Replica } from './replica-world.ts';

/** How long a leader that stops waits for its successor, in ms. */
const handOverMs = 400;

/** Hands over, if this replica leads and there is somebody to lead. */
export async function handOver(
  replica: Replica | undefined,
  { clock, isLeader, onChange }: { readonly clock: Clock } & Pick<Group, 'isLeader' | 'onChange'>,
): Promise<void> {
  const view = replica?.view();
  if (replica === undefined || view?.role !== 'leader') return;
  const heirs = view.progress.filter(({ seat }) => view.config.voters.includes(seat));
  const heir = heirs.sort((left, right) => right.match - left.match)[0];
  if (heir === undefined) return;
  replica.transfer(heir.seat);
  await new Promise<void>((resolve) => {
    const cancel = clock.alarm(clock.now() + handOverMs, done);
    const stop = onChange(() => {
      if (!isLeader()) done();
    });
    function done(): void {
      cancel();
      stop();
      resolve();
    }
  });
}
