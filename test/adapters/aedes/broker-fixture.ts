/** A local broker behind two real listeners on loopback, with everything it reports on record. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createLocalBroker } from '../../../src/adapters/aedes/local-broker.ts';
import type { LocalBroker } from '../../../src/adapters/aedes/local-broker.ts';
import { brokerLimits } from '../../../src/adapters/aedes/broker-limits.ts';
import type { BrokerLimits } from '../../../src/adapters/aedes/broker-limits.ts';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import type { MemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import type { BrokerClient, BrokerMessage } from '../../../src/ports/broker.ts';
import { createShareMembers } from '../../../src/protocol/routing/share-members.ts';
import type { ShareMembers } from '../../../src/protocol/routing/share-members.ts';
import type { Metrics } from '../../../src/ports/metrics.ts';

export interface Published {
  readonly message: BrokerMessage;
  readonly client: BrokerClient;
  readonly taken: (refusal?: string) => void;
}

export interface BrokerFixture {
  readonly broker: LocalBroker;
  readonly localPort: number;
  readonly guestPort: number;
  readonly published: Published[];
  readonly interest: [filter: string, isWanted: boolean][];
  readonly evicted: { client: BrokerClient; reason: string }[];
  readonly groups: ShareMembers<BrokerMessage>;
  /** What came back of members that went before they acknowledged it. */
  readonly returned: [filter: string, message: BrokerMessage][];
  readonly log: MemoryLog;
  readonly metrics: Metrics;
  stop(): Promise<void>;
}

/** Starts one. `hold: true` leaves every `taken` to the test. */
export async function startBroker(
  options: {
    readonly hold?: boolean;
    readonly limits?: Partial<BrokerLimits>;
    readonly backlogDirectory?: string;
  } = {},
): Promise<BrokerFixture> {
  const published: Published[] = [];
  const interest: [string, boolean][] = [];
  const evicted: BrokerFixture['evicted'] = [];
  const returned: [string, BrokerMessage][] = [];
  const groups = createShareMembers<BrokerMessage>(() => undefined);
  const log = createMemoryLog();
  const metrics = createMetrics();
  const broker = await createLocalBroker({
    brokerId: 'n'.repeat(28),
    log,
    metrics,
    limits: { ...brokerLimits, ...options.limits },
    ...(options.backlogDirectory === undefined
      ? {}
      : { backlogDirectory: options.backlogDirectory }),
    handlers: {
      published(message, client, taken) {
        published.push({ message, client, taken });
        if (options.hold !== true) taken();
      },
      interest: (filter, isWanted) => interest.push([filter, isWanted]),
      evicted: (client, reason) => evicted.push({ client, reason }),
      groups: { ...groups, returned: (filter, message) => returned.push([filter, message]) },
    },
  });
  const sockets = new Set<Socket>();
  const local = await listen(sockets, (socket) => broker.acceptLocal(socket));
  const guest = await listen(sockets, (socket) => broker.acceptGuest(socket));
  return {
    broker,
    localPort: (local.address() as AddressInfo).port,
    guestPort: (guest.address() as AddressInfo).port,
    published,
    interest,
    evicted,
    groups,
    returned,
    log,
    metrics,
    async stop() {
      await broker.stop();
      for (const socket of sockets) socket.destroy();
      local.close();
      guest.close();
    },
  };
}

async function listen(sockets: Set<Socket>, accept: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    accept(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
