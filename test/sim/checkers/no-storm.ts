/** Checker: hosts never flood the network, whatever happens to them. */

import type { Checker } from '../swarm.ts';

/** At most `perHostPerSecondMax` messages sent per host and second, averaged over ten seconds. */
export function noStorm<Message, Subject>(perHostPerSecondMax: number): Checker<Message, Subject> {
  const windowMs = 10_000;
  return {
    name: 'no message storm',
    watch(world) {
      let windowBegan = world.now;
      let sentBefore = world.counters.sentTotal();
      return {
        always() {
          if (world.now - windowBegan < windowMs) return undefined;
          const sent = world.counters.sentTotal() - sentBefore;
          const seconds = (world.now - windowBegan) / 1_000;
          const rate = sent / world.hostIds().length / seconds;
          windowBegan = world.now;
          sentBefore += sent;
          if (rate <= perHostPerSecondMax) return undefined;
          return `${rate.toFixed(1)} messages a second and host, allowed ${perHostPerSecondMax}`;
        },
      };
    },
  };
}
