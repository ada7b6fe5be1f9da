import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMemoryMesh } from '../../../src/adapters/memory/mesh.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createCalls } from '../../../src/runtime/calls/calls.ts';
import { callsContract } from '../../contract/calls.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

callsContract('memory', async () => {
  const mesh = createMemoryMesh();
  const [ann, bob] = [simNodeId(0), simNodeId(1)];
  const seat = (port: ReturnType<typeof mesh.join>, seed: number) => ({
    id: port.self,
    calls: createCalls({
      mesh: port,
      clock: createSystemClock(),
      random: createRandom(seed),
      log: createMemoryLog(),
      metrics: createMetrics(),
    }),
  });
  const [annPort, bobPort] = [mesh.join(ann), mesh.join(bob)];
  const seats = { ann: seat(annPort, 1), bob: seat(bobPort, 2) };
  return {
    ...seats,
    leave: async () => mesh.leave(bob, 'left'),
    async dispose() {
      seats.ann.calls.stop();
      seats.bob.calls.stop();
    },
  };
});
