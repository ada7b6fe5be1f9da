/** Loaded into the node under test: answers "sample" with what it holds after a garbage collection. */

import { getHeapCodeStatistics } from 'node:v8';

process.on('message', (message) => {
  if (message !== 'sample') return;
  globalThis.gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  const resources = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  const code = getHeapCodeStatistics();
  const codeUsed = code.code_and_metadata_size + code.bytecode_and_metadata_size;
  process.send({ rss, heapUsed: heapUsed - codeUsed, codeUsed, external, resources });
});
// The node ends when it is told to, whoever still listens.
process.channel.unref();
