/** The link contract where the only way between two nodes is a real mosquitto. */

import { afterAll } from 'vitest';
import { generateNodeKeys } from '../../../src/wire/keys.ts';
import { linkContract } from '../../contract/link.ts';
import { createCredentials } from '../link/link-fixture.ts';
import { startBackboneHost } from './backbone-fixture.ts';
import { startMosquitto } from './mosquitto.ts';

const broker = await startMosquitto();
afterAll(() => broker.stop());
const mesh = generateNodeKeys();

linkContract(
  'MQTT in Noise over a broker',
  () => startBackboneHost(broker.url(), createCredentials(mesh)),
  () => startBackboneHost(broker.url(), createCredentials(generateNodeKeys())),
);
