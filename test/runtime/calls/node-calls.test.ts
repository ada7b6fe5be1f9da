import type { Calls } from '../../../src/ports/calls.ts';
import { createMeshNode } from '../../../src/runtime/node.ts';
import { checkOptions } from '../../../src/runtime/options.ts';
import { createSystemAdapters } from '../../../src/system-adapters.ts';
import { callsContract } from '../../contract/calls.ts';
import { createLoopback, linked, until } from '../loopback.ts';
import type { Loopback } from '../loopback.ts';

/** Starts a node and gives its calls. */
async function callsUp(home: Loopback, name: string) {
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
    handles: { calls: world.calls as Calls },
  }));
  await node.start();
  return node;
}

callsContract('real', async () => {
  const home = await createLoopback();
  const ann = await callsUp(home, 'ann');
  const bob = await callsUp(home, 'bob');
  await bob.join((await ann.invite()).invite);
  await linked(ann, bob);
  await until(() => [ann, bob].every((node) => node.members().length === 2));
  return {
    ann,
    bob,
    leave: () => bob.stop(),
    async dispose() {
      await Promise.all([ann.stop(), bob.stop()]);
      await home[Symbol.asyncDispose]();
    },
  };
});
