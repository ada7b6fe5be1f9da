/** The broker contract on aedes, over real sockets. */

import { brokerContract } from '../../contract/broker.ts';
import { startBroker } from './broker-fixture.ts';
import { rawClient, type } from './raw-client.ts';

brokerContract('aedes', async (hold) => {
  const fixture = await startBroker({ hold });
  return {
    ...fixture,
    async connect(clientId, will) {
      const client = await rawClient(fixture.localPort);
      await client.connect({ clientId, ...(will === undefined ? {} : { will }) });
      return {
        get heard() {
          return client
            .publishes()
            .map(({ topic, payload, qos, retain }) => ({ topic, payload, qos, retain }));
        },
        subscribe: async (filter, qos) => (await client.subscribe([[filter, qos]]))[0] !== 0x80,
        unsubscribe: (filter) => client.unsubscribe(filter),
        publish: (topic, payload, options) => void client.publish(topic, payload, options),
        acknowledged: () => client.packets.filter((one) => one.type === type.puback).length,
        settle: () => client.ping(),
        async break() {
          client.socket.resetAndDestroy();
          while (fixture.broker.clients().some((one) => one.clientId === clientId)) {
            await new Promise((resolve) => setImmediate(resolve));
          }
        },
      };
    },
  };
});
