/** What a node keeps of the states of agents is bounded in bytes, and what it lets go is still with the others. */

import { expect, onTestFinished, test } from 'vitest';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMemoryMesh } from '../../../src/adapters/memory/mesh.ts';
import type { MemoryMesh } from '../../../src/adapters/memory/mesh.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import {
  checkpointBytesMax,
  checkpointsBytesMax,
  createCheckpoints,
} from '../../../src/runtime/agents/checkpoints.ts';
import type { Checkpoints } from '../../../src/runtime/agents/checkpoints.ts';
import { createCalls } from '../../../src/runtime/calls/calls.ts';
import type { PartWorld } from '../../../src/runtime/parts.ts';
import type { Metrics } from '../../../src/ports/metrics.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

function host(mesh: MemoryMesh, at: number): { checkpoints: Checkpoints; metrics: Metrics } {
  const port = mesh.join(simNodeId(at));
  const [clock, log, metrics] = [createSystemClock(), createMemoryLog(), createMetrics()];
  const calls = createCalls({ mesh: port, clock, random: createRandom(at), log, metrics });
  const checkpoints = createCheckpoints({
    mesh: port,
    calls,
    log,
    metrics,
  } as Partial<PartWorld> as PartWorld);
  checkpoints.start();
  onTestFinished(() => {
    checkpoints.stop();
    calls.stop();
  });
  return { checkpoints, metrics };
}

test('a node keeps 16 MiB of checkpoints, lets go of the oldest, and gets one back that others have', async () => {
  const mesh = createMemoryMesh();
  const [ann, bob] = [host(mesh, 0), host(mesh, 1)];
  const state = 'x'.repeat(checkpointBytesMax - 16);
  const count = Math.ceil(checkpointsBytesMax / checkpointBytesMax) + 40;
  for (let at = 0; at < count; at += 1) await ann.checkpoints.save(`agent-${at}`, 1, state);
  for (const { checkpoints, metrics } of [ann, bob]) {
    const isKept = Array.from(
      { length: count },
      (_, at) => checkpoints.local(`agent-${at}`) !== undefined,
    );
    const firstKept = isKept.indexOf(true);
    expect(firstKept).toBeGreaterThanOrEqual(39);
    expect(firstKept).toBeLessThanOrEqual(41);
    expect(isKept.lastIndexOf(false)).toBe(firstKept - 1);
    expect(metrics.snapshot().drops['agent: checkpoint']).toBe(firstKept);
  }
  await bob.checkpoints.save('agent-0', 2, 'small');
  ann.checkpoints.forget('agent-0');
  expect(await ann.checkpoints.restore('agent-0')).toEqual({ state: 'small', epoch: 2 });
});
