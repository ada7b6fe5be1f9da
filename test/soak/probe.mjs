/** Loaded into the node under test: answers "sample" with what it holds after a garbage collection. */

process.on('message', (message) => {
  if (message !== 'sample') return;
  globalThis.gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  const resources = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  process.send({ rss, heapUsed, external, resources });
});
// The node ends when it is told to, whoever still listens.
process.channel.unref();
