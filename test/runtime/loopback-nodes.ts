/** Real nodes inside the test's own process, on loopback, each with a data directory of its own. */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { createNode } from '../../src/index.ts';
import type { MeshMessage, MeshNode, NodeOptions } from '../../src/index.ts';

/** Builds a node that is not started; it is stopped and its files are removed with the test. */
export async function buildNode(name: string, options: NodeOptions = {}): Promise<MeshNode> {
  const dataDir = await mkdtemp(join(tmpdir(), `mycel-${name}-`));
  const port = await freePort();
  const node = await createNode({
    name,
    dataDir,
    port,
    interfaces: ['lo'],
    profile: 'loopback',
    mdns: false,
    multicast: false,
    ...options,
  });
  onTestFinished(async () => {
    await node.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  return node;
}

/** Builds and starts one. */
export async function startNode(name: string, options: NodeOptions = {}): Promise<MeshNode> {
  const node = await buildNode(name, options);
  await node.start();
  return node;
}

/** Starts nodes that are one mesh: the first invites the others; all see and are linked with each other. */
export async function startMesh(...names: readonly string[]): Promise<readonly MeshNode[]> {
  const nodes: MeshNode[] = [];
  for (const name of names) {
    const node = await startNode(name);
    const [founder] = nodes;
    if (founder !== undefined) await node.join((await founder.invite()).invite);
    nodes.push(node);
  }
  await until(() => nodes.every((node) => node.status().links.length === nodes.length - 1));
  await until(() => nodes.every((node) => node.members().length === nodes.length));
  return nodes;
}

/** The port of a node's broker. */
export function portOf(node: MeshNode): number {
  return node.status().mqttPort;
}

/** Looks again every few milliseconds. @throws when the condition does not hold within 10 s. */
export async function until(condition: () => boolean, ms = 10_000): Promise<void> {
  await vi.waitFor(
    () => {
      if (!condition()) throw new Error(`never: ${String(condition)}`);
    },
    { timeout: ms, interval: 5 },
  );
}

/** The payload as text. */
export function textOf(message: MeshMessage): string {
  return new TextDecoder().decode(message.payload);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
