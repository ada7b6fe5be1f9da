/** Two nodes in one process that meet, talk and stop; nothing else ends the process. Argument: an empty directory. */

import { join } from 'node:path';
import { createNode } from '../../src/index.ts';

const [, , directory = ''] = process.argv;
const [ann, bob] = await Promise.all(
  ['ann', 'bob'].map((name, at) =>
    createNode({
      name,
      dataDir: join(directory, name),
      port: 20_000 + (process.pid % 20_000) + 20_000 * at,
      interfaces: ['lo'],
      profile: 'loopback',
    }),
  ),
);
if (ann === undefined || bob === undefined) throw new Error('there are two');
await Promise.all([ann.start(), bob.start()]);
const heard = bob.subscribe('t').next();
await bob.join((await ann.invite()).invite);
const linked = new Promise<void>((resolve) => {
  const timer = setInterval(() => {
    if (ann.status().links.length === 0 || ann.members().length < 2) return;
    clearInterval(timer);
    resolve();
  }, 10);
});
await linked;
await ann.publish('t', 'hello');
const { value } = await heard;
console.log(`heard ${new TextDecoder().decode(value?.payload)}`);
await Promise.all([ann.stop(), bob.stop()]);
console.log('stopped');
