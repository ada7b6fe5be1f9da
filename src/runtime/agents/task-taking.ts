/** An agent as somebody who takes tasks: offered while it runs, withdrawn while it does not. */

import { MycelError } from '../../kernel/errors.ts';
import type { TaskRunner } from '../tasks/task-runner.ts';
import type { Tasks } from '../tasks/tasks.ts';
import type { Deployment } from './deployment.ts';
import type { Instance } from './instance.ts';

/** Builds what is to be called whenever the instance may have begun or ended to run. */
export function takeTasks(
  tasks: Tasks,
  { tasks: kinds, bids }: Deployment,
  owner: string,
  instance: () => Instance | undefined,
): (isHere: boolean) => void {
  let ends: (() => void)[] = [];

  function here(): Instance {
    const found = instance();
    if (found === undefined) throw new MycelError('MYCEL_UNKNOWN_AGENT', { instance: owner });
    return found;
  }

  const runnerOf = (kind: string): TaskRunner => ({
    kind,
    owner,
    run: async (job, signal) => here().work(job, signal),
    ...(bids
      ? {
          async bid(job, facts, withinMs) {
            const cost = await here().bid(job, facts, withinMs);
            return typeof cost === 'number' ? cost : undefined;
          },
        }
      : {}),
  });

  return (isHere) => {
    const isOffered = ends.length > 0;
    const isRunning = isHere && instance()?.state() === 'running';
    if (isOffered === isRunning || kinds.length === 0) return;
    if (isRunning) ends = kinds.map((kind) => tasks.offer(runnerOf(kind)));
    else for (const end of ends.splice(0)) end();
  };
}
