import type { MeshPort } from '../../src/ports/mesh.ts';
import { createMeshNode } from '../../src/runtime/node.ts';
import { checkOptions } from '../../src/runtime/options.ts';
import { createSystemAdapters } from '../../src/system-adapters.ts';
import { meshContract } from '../contract/mesh.ts';
import { createLoopback, linked, until } from './loopback.ts';
import type { Loopback } from './loopback.ts';

/** Starts a node and gives its mesh port. */
async function portUp(home: Loopback, name: string) {
  const options = checkOptions({
    name,
    dataDir: home.dir(name),
    port: 0,
    guestPort: 0,
    interfaces: ['lo'],
    profile: 'loopback',
    mdns: false,
    multicast: false,
    logLevel: 'silent',
  });
  const node = await createMeshNode(options, createSystemAdapters(options), (world) => ({
    parts: [],
    handles: { port: world.mesh },
  }));
  await node.start();
  return node;
}

meshContract('real', async () => {
  const home = await createLoopback();
  const nodes = await Promise.all(['ann', 'bob', 'eve'].map((name) => portUp(home, name)));
  const [ann, bob, eve] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
  const { invite } = await ann.invite({ uses: 2 });
  await bob.join(invite);
  await eve.join(invite);
  await linked(...nodes);
  await until(() => nodes.every(({ port }) => port.peers().length === 2));
  return {
    ports: nodes.map(({ port }) => port) as unknown as readonly [MeshPort, MeshPort, MeshPort],
    leave: () => eve.stop(),
    async dispose() {
      await Promise.all(nodes.map((node) => node.stop()));
      await home[Symbol.asyncDispose]();
    },
  };
});
