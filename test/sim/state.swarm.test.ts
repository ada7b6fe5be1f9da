/** Replicated state in every weather: nothing acknowledged is lost, nothing removed comes back, and all agree in the end. */

import { expect, test } from 'vitest';
import { keptSeeds } from './seeds.ts';
import { storm } from './state-storm.ts';
import { seedsFor, swarmPatienceMs } from './swarm.ts';

test(
  'all replicas are byte-equal after peace, no write is lost, none comes back',
  () => {
    for (const seed of seedsFor(20, keptSeeds('state'))) {
      const { wrong, mesh } = storm(seed);
      expect(wrong, `SEED=${seed}`).toEqual([]);
      // Whatever lives were cut short: one interval is left of each replica that still writes.
      for (const { replica } of mesh.nodes) {
        for (const { state } of mesh.nodes) {
          expect(state.context.spansOf(replica).length, `SEED=${seed}`).toBeLessThanOrEqual(2);
        }
      }
    }
  },
  swarmPatienceMs(),
);
