/** The link contract where the only way between two nodes is a real broker; `BACKBONE_BROKERS` names others than Mosquitto. */

import { afterAll } from 'vitest';
import { generateNodeKeys } from '../../../src/wire/keys.ts';
import { linkContract } from '../../contract/link.ts';
import { createCredentials } from '../link/link-fixture.ts';
import { startBackboneHost } from './backbone-fixture.ts';
import { brokerNames, startBroker } from './brokers.ts';

const mesh = generateNodeKeys();

for (const name of brokerNames) {
  const broker = await startBroker(name);
  afterAll(() => broker.stop());
  linkContract(
    `MQTT in Noise over ${name}`,
    () => startBackboneHost(broker.url(), createCredentials(mesh)),
    () => startBackboneHost(broker.url(), createCredentials(generateNodeKeys())),
  );
}
