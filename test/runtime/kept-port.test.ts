/** A node that was given any free port has the same one after a restart: that is where the others look for it. */

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { createNode } from '../../src/index.ts';

/** The port of one life of the node. */
async function portOf(dataDir: string, port: number | undefined): Promise<number> {
  const node = await createNode({
    name: 'one',
    dataDir,
    ...(port === undefined ? {} : { port }),
    guestPort: 0,
    interfaces: ['lo'],
    profile: 'loopback',
    mdns: false,
    multicast: false,
    logLevel: 'silent',
  });
  await node.start();
  const { mqttPort } = node.status();
  await node.stop();
  return mqttPort;
}

/** Holds a port until the test is over, or `free` is called. */
async function hold(port: number): Promise<{ free(): Promise<void> }> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const free = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  onTestFinished(free);
  return { free };
}

test('any free port is the same after a restart, another one when it was taken meanwhile, and that one from then on', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'mycel-port-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const first = await portOf(dataDir, 0);
  expect(await portOf(dataDir, 0)).toBe(first);
  const taken = await hold(first);
  const second = await portOf(dataDir, 0);
  expect(second).not.toBe(first);
  await taken.free();
  expect(await portOf(dataDir, 0)).toBe(second);
});

test('a port that was asked for is not given up for the remembered one', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'mycel-port-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const first = await portOf(dataDir, 0);
  await hold(first);
  await expect(portOf(dataDir, first)).rejects.toMatchObject({ code: 'MYCEL_PORT_TAKEN' });
});
