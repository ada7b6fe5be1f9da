/** The link contract on real sockets. */

import { linkContract } from '../../contract/link.ts';
import { generateNodeKeys } from '../../../src/wire/keys.ts';
import { createCredentials, startLinkHost } from './link-fixture.ts';

const mesh = generateNodeKeys();

linkContract(
  'MQTT in Noise over TCP',
  () => startLinkHost(createCredentials(mesh)),
  () => startLinkHost(createCredentials(generateNodeKeys())),
);
