/** Control behind data: measured on real sockets with a network between that stands still. */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { Address } from '../../../src/kernel/address.ts';
import { headOfLineMs } from '../../../src/ports/link.ts';
import { generateNodeKeys } from '../../../src/wire/keys.ts';
import { createCredentials, startLinkHost } from './link-fixture.ts';

/** A cable to a host that can be held. */
async function cableTo(to: Address): Promise<{ address: Address; hold(isHeld: boolean): void }> {
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(to.port, to.host);
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => near.write(bytes));
    for (const one of [near, far]) one.on('error', () => {});
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    sockets.push(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return {
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    hold(isHeld) {
      for (const one of sockets) {
        if (isHeld) one.pause();
        else one.resume();
      }
    },
  };
}

test('a control frame behind data on a network that stands still is an incident, one on a free line is not', async () => {
  const mesh = generateNodeKeys();
  const ann = await startLinkHost(createCredentials(mesh));
  const bob = await startLinkHost(createCredentials(mesh));
  onTestFinished(async () => {
    await ann.transport.stop();
    await bob.transport.stop();
  });
  const cable = await cableTo(bob.address);
  const session = await ann.transport.dial(bob.node, [cable.address], AbortSignal.timeout(5000));
  await bob.heard.until(() => bob.heard.opened.length === 1);
  const counters = (): Record<string, number> => ann.metrics.snapshot().counters;
  const control = new Uint8Array(100);

  session.send('control', control);
  await bob.heard.until(() => bob.heard.frames.length === 1);
  expect(counters()['link.control_waits'] ?? 0).toBe(0);

  cable.hold(true);
  let frames = 0;
  const data = new Uint8Array(60_000);
  // Until the kernels of both ends are full and data waits in this process.
  while (session.queuedBytes() < 1024 * 1024) {
    session.send('data', data);
    frames += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const since = performance.now();
  session.send('control', control);
  await once(AbortSignal.timeout(3 * headOfLineMs), 'abort');
  cable.hold(false);
  await bob.heard.until(() => bob.heard.frames.length === frames + 2);
  const waitedMs = performance.now() - since;
  expect(counters()).toMatchObject({ 'link.control_waits': 1, 'link.head_of_line': 1 });
  const longest = ann.metrics.snapshot().gauges['link.control_wait_max_ms'] ?? 0;
  expect(longest).toBeGreaterThanOrEqual(2.9 * headOfLineMs);
  expect(longest).toBeLessThanOrEqual(waitedMs);

  // Data that is through is ahead of nobody.
  session.send('control', control);
  await bob.heard.until(() => bob.heard.frames.length === frames + 3);
  expect(counters()).toMatchObject({ 'link.control_waits': 1, 'link.head_of_line': 1 });
});
