/** Checker: a host that is down or stopped has no effects; the dead do not speak. */

import type { Checker } from '../swarm.ts';

/** Guards the simulator as much as the cores: an effect of a crashed core is a leak of its old life. */
export function silentWhenDown<Message, Subject>(): Checker<Message, Subject> {
  return {
    name: 'silent when down',
    watch(world) {
      let problem: string | undefined;
      world.observe((at, host) => {
        const phase = world.host(host).phase();
        if (phase !== 'running') problem ??= `${host} acted while ${phase} at ${at.toFixed(0)} ms`;
      });
      return { always: () => problem };
    },
  };
}
