/** Gateways and devices on a mesh inside this process: real calls, real policy, real HTTP to stand-in providers. */

import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createMemoryMesh } from '../../src/adapters/memory/mesh.ts';
import type { MemoryMesh } from '../../src/adapters/memory/mesh.ts';
import { createSystemClock } from '../../src/adapters/system/clock.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import { createLlm } from '../../src/agent/llm.ts';
import type { LlmHandle } from '../../src/agent/llm.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { createCalls } from '../../src/runtime/calls/calls.ts';
import type { PartWorld } from '../../src/runtime/parts.ts';
import { createPages } from '../../src/runtime/services/pages.ts';
import { createServices } from '../../src/runtime/services/services.ts';
import { resolveConfig } from '../../gateway/config/load.ts';
import type { ConfigFile } from '../../gateway/config/schema.ts';
import { openGateway } from '../../gateway/gateway.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import { simNodeId } from '../sim/routing-mesh.ts';
import { plantedKey } from './live-gateway.ts';
import { startProvider } from './provider.ts';
import type { Provider } from './provider.ts';

/** A member with a handle to ask with. */
export interface Seat {
  readonly id: NodeId;
  readonly name: string;
  readonly llm: LlmHandle;
  /** Parcels that were given to the mesh so far: what a radio would have carried. */
  sentCount(): number;
}

/** A member with a gateway. */
export interface GatewaySeat extends Seat {
  readonly gateway: Gateway;
  /** Dies: nothing passes any more, and the others find out. */
  kill(): Promise<void>;
}

/** Everything. */
export interface MeshStage {
  readonly mesh: MemoryMesh;
  readonly provider: Provider;
  readonly gateways: readonly GatewaySeat[];
  readonly devices: readonly Seat[];
  close(): Promise<void>;
}

/** Sets up so many gateways with one provider between them, and so many devices. */
export async function createMeshStage(
  gatewayCount: number,
  deviceCount: number,
  config: (provider: Provider, at: number) => Partial<ConfigFile> = () => ({}),
  dataDir: (at: number) => string | undefined = () => undefined,
): Promise<MeshStage> {
  const provider = await startProvider();
  const mesh = createMemoryMesh();
  const ids = Array.from({ length: gatewayCount + deviceCount }, (_, at) => simNodeId(at));
  const ports = ids.map((id) => mesh.join(id));
  const dead = new Set<NodeId>();
  const closers: (() => Promise<void> | void)[] = [() => provider.close()];
  const seats = ports.map((port, at) => {
    const clock = createSystemClock();
    const log = createMemoryLog();
    const metrics = createMetrics();
    const random = createRandom(at + 1);
    let sent = 0;
    const counted = {
      ...port,
      send: (...args: Parameters<typeof port.send>) => ((sent += 1), port.send(...args)),
    };
    const calls = createCalls({ mesh: counted, clock, random: random.split(), log, metrics });
    closers.unshift(() => calls.stop());
    const members = () =>
      ids.map((id, of) => ({
        id,
        name: `n${of}`,
        state: id === port.self || port.peers().includes(id) ? 'alive' : 'dead',
        capabilities: of < gatewayCount ? ['llm-gateway'] : [],
        isSelf: id === port.self,
      }));
    const node = { id: port.self, members };
    const world = {
      node,
      mesh: port,
      calls,
      clock,
      log,
      metrics,
      random: () => random.split(),
    } as unknown as PartWorld;
    return {
      id: port.self,
      name: `n${at}`,
      node,
      llm: createLlm({ ...world, options: {} }, createServices(world, createPages(world))).handle,
      sentCount: () => sent,
    };
  });
  const gateways = await Promise.all(
    seats.slice(0, gatewayCount).map(async (seat, at) => {
      const gateway = await openGateway({
        config: resolveConfig(
          {
            http: { port: 0 },
            targets: [
              {
                name: 'stand-in',
                kind: 'openai',
                url: provider.url,
                apiKeyEnv: 'PLANTED_KEY',
                models: ['small', 'large'],
                stallMs: 2_000,
              },
            ],
            ...config(provider, at),
          },
          { PLANTED_KEY: plantedKey },
        ),
        node: Object.assign(seat.node, { llm: seat.llm }) as never,
        report: () => undefined,
        ...(dataDir(at) === undefined ? {} : { dataDir: dataDir(at) as string }),
      });
      let closed: Promise<void> | undefined;
      const close = (): Promise<void> => (closed ??= gateway.close());
      closers.unshift(close);
      return {
        ...seat,
        gateway,
        async kill() {
          dead.add(seat.id);
          mesh.leave(seat.id, 'dead');
          await close();
        },
      };
    }),
  );
  return {
    mesh,
    provider,
    gateways,
    devices: seats.slice(gatewayCount),
    async close() {
      for (const close of closers) await close();
    },
  };
}
