/** Hosts that share nothing but a broker. */

import { createBackbone } from '../../../src/adapters/backbone/backbone.ts';
import type { BrokerBackbone } from '../../../src/adapters/backbone/backbone.ts';
import { connectSocket } from '../../../src/adapters/link/connect-socket.ts';
import { createLinkTransport } from '../../../src/adapters/link/link-transport.ts';
import type { LinkCredentials } from '../../../src/adapters/link/noise-stream.ts';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import type { MemoryLog } from '../../../src/adapters/memory/log.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import type { MeshId, NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { isBackboneHost } from '../../../src/ports/backbone.ts';
import type { Metrics } from '../../../src/ports/metrics.ts';
import { parseBackboneUrl } from '../../../src/wire/backbone-url.ts';
import { createLinkRecord, recording } from '../../contract/link.ts';
import type { LinkHost } from '../../contract/link.ts';

export const meshId = 'ab'.repeat(16) as MeshId;

/** One end on the backbone. */
export interface Station {
  readonly backbone: BrokerBackbone;
  readonly log: MemoryLog;
  readonly metrics: Metrics;
  /** Resolves when it is connected, or connected anew. */
  up(): Promise<void>;
}

/** Builds one. */
export function createStation(url: string): Station {
  const parsed = parseBackboneUrl(url);
  if (parsed === undefined) throw new Error('no URL');
  const log = createMemoryLog();
  const metrics = createMetrics();
  const clock = createSystemClock();
  const backbone = createBackbone({ url: parsed, clock, random: createRandom(7), log, metrics });
  let wake = (): void => {};
  let isUp = false;
  backbone.onUp(() => {
    isUp = true;
    wake();
  });
  return {
    backbone,
    log,
    metrics,
    async up() {
      while (!isUp) await new Promise<void>((resolve) => (wake = resolve));
      isUp = false;
    },
  };
}

/** Enters the rooms of the test mesh. */
export function enter(station: Station, node: NodeId, mesh: MeshId = meshId): void {
  const stay = {
    mesh,
    meshTag: mesh.slice(0, 16),
    node,
    port: 1883,
    hosts: () => ['192.0.2.7'],
    isVisitor: false,
  };
  station.backbone.enter(stay);
}

/** Starts a link transport whose only way is the broker. */
export async function startBackboneHost(
  url: string,
  credentials: LinkCredentials,
): Promise<LinkHost & { readonly station: Station }> {
  const station = createStation(url);
  const { backbone, metrics, log } = station;
  const heard = createLinkRecord();
  const transport = createLinkTransport({
    credentials,
    handlers: recording(heard),
    log,
    metrics,
    connect: (address, signal) =>
      isBackboneHost(address.host)
        ? backbone.connect(address, signal)
        : connectSocket(address, signal),
  });
  backbone.onStream((stream) => transport.accept(stream));
  enter(station, credentials.node);
  await station.up();
  return {
    node: credentials.node,
    address: backbone.addressOf(meshId, credentials.node, 1883),
    heard,
    station,
    transport: {
      ...transport,
      async stop() {
        await transport.stop();
        await backbone.stop();
      },
    },
  };
}
