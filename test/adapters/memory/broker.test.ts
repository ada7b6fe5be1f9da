/** The broker contract on the memory twin. */

import { createMemoryBroker } from '../../../src/adapters/memory/broker.ts';
import type { BrokerMessage } from '../../../src/ports/broker.ts';
import { createShareMembers } from '../../../src/protocol/routing/share-members.ts';
import { brokerContract } from '../../contract/broker.ts';
import type { ContractBroker, ContractClient } from '../../contract/broker.ts';
import type { Published } from '../aedes/broker-fixture.ts';

async function start(hold: boolean): Promise<ContractBroker> {
  const published: Published[] = [];
  const interest: (readonly [string, boolean])[] = [];
  const groups = createShareMembers<BrokerMessage>(() => undefined);
  const broker = createMemoryBroker({
    published(message, client, taken) {
      published.push({ message, client, taken });
      if (!hold) taken();
    },
    interest: (filter, isWanted) => interest.push([filter, isWanted]),
    evicted: () => undefined,
    groups: { ...groups, returned: () => undefined },
  });
  return {
    broker,
    published,
    interest,
    groups,
    stop: () => broker.stop(),
    async connect(clientId, will) {
      const heard: ContractClient['heard'][number][] = [];
      let acknowledged = 0;
      const client = broker.connect({
        clientId,
        ...(will === undefined
          ? {}
          : { will: { ...will, payload: Buffer.from(will.payload), qos: 0, retain: false } }),
        received: ({ topic, payload, qos, retain }) =>
          void heard.push({ topic, payload: Buffer.from(payload).toString(), qos, retain }),
      });
      return {
        heard,
        subscribe: async (filter, qos) => client.subscribe(filter, qos),
        unsubscribe: async (filter) => client.unsubscribe(filter),
        publish(topic, payload, { qos = 0, retain = false } = {}) {
          void client
            .publish({ topic, payload: Buffer.from(payload), qos, retain })
            .then((isTaken) => {
              if (isTaken && qos === 1) acknowledged += 1;
            });
        },
        acknowledged: () => acknowledged,
        settle: () => new Promise((resolve) => setImmediate(resolve)),
        break: async () => client.close(true),
      };
    },
  };
}

brokerContract('in memory', start);
