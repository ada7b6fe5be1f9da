/** The link contract on the memory twin. */

import { createMemoryLinkNetwork } from '../../../src/adapters/memory/link.ts';
import { generateNodeKeys, nodeIdOf } from '../../../src/wire/keys.ts';
import { createLinkRecord, linkContract, recording } from '../../contract/link.ts';
import type { LinkHost } from '../../contract/link.ts';

const network = createMemoryLinkNetwork();
let lastPort = 20_000;

async function host(mesh: number): Promise<LinkHost> {
  const node = nodeIdOf(generateNodeKeys().edPublic);
  lastPort += 1;
  const address = { host: '127.0.0.1', port: lastPort };
  const heard = createLinkRecord();
  const transport = network.join({
    node,
    address,
    certificate: Uint8Array.of(mesh),
    refuse: (certificate) => (certificate[0] === mesh ? undefined : 'another mesh'),
    handlers: recording(heard),
  });
  return { node, address, transport, heard };
}

linkContract(
  'in memory',
  () => host(1),
  () => host(2),
);
