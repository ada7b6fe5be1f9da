/** A node that does nothing but have a stall responder; blocks its loop when told to. */

import { createInterface } from 'node:readline';
import { startStallResponder } from '../../../src/adapters/dgram/responder.ts';
import { nodeIdFromHash } from '../../../src/kernel/ids.ts';

const [mode = 'with'] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

if (mode === 'with') {
  const responder = await startStallResponder({
    host: '127.0.0.1',
    port: 0,
    node: nodeIdFromHash(Buffer.alloc(16, 1)),
    keys: [{ epoch: 7, key: Buffer.alloc(32, 9) }],
    failed: (error) => say(`failed ${error.message}`),
  });
  say(`port ${responder.port}`);
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (line === 'rss') return say(`rss ${process.memoryUsage.rss()}`);
      const until = performance.now() + Number(line);
      while (performance.now() < until);
    })
    // Nothing else holds the process: the responder must not either.
    .on('close', () => say('input closed'));
} else {
  say('port 0');
  createInterface({ input: process.stdin }).on('line', () =>
    say(`rss ${process.memoryUsage.rss()}`),
  );
}
