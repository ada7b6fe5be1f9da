/** Loaded into the node under test: answers "sample" with what it holds after a garbage collection. */

import { setFlagsFromString } from 'node:v8';

process.on('message', (message) => {
  if (message !== 'sample') return;
  globalThis.gc();
  const { rss, external } = process.memoryUsage();
  const resources = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  // V8 counts every object by its kind, and prints a line for each.
  setFlagsFromString('--trace-gc-object-stats');
  globalThis.gc();
  setFlagsFromString('--no-trace-gc-object-stats');
  process.stdout.write(`${JSON.stringify({ event: 'sample', rss, external, resources })}\n`);
});
// The node ends when it is told to, whoever still listens.
process.channel.unref();
