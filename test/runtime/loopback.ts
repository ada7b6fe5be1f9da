/** Whole nodes of this process on loopback, with real sockets and real data directories, and no discovery but what they are told. */

import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import {
  createNode,
  type AgentHandles,
  type MeshEvents,
  type MeshMessage,
  type MeshNode,
  type NodeOptions,
} from '../../src/index.ts';

/** Longest wait for anything, in ms. */
export const patienceMs = 15_000;

/** Nodes with a home. */
export interface Loopback {
  /** Starts a node whose data directory bears its name. */
  up(name: string, options?: NodeOptions): Promise<MeshNode & AgentHandles>;
  /** Builds one without starting it. */
  build(name: string, options?: NodeOptions): Promise<MeshNode & AgentHandles>;
  dir(name: string): string;
  copy(from: string, to: string): Promise<void>;
  /** What a node has told since it was built. */
  told<Name extends keyof MeshEvents>(node: MeshNode, event: Name): readonly MeshEvents[Name][];
  [Symbol.asyncDispose](): Promise<void>;
}

const events = ['alert', 'expelled', 'joined', 'pending', 'link', 'member'] as const;

/** Makes a home for nodes. Each node gets free ports. */
export async function createLoopback(): Promise<Loopback> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-loopback-'));
  const nodes: (MeshNode & AgentHandles)[] = [];
  const heard = new Map<MeshNode, Map<string, unknown[]>>();
  const dir = (name: string): string => join(home, name);

  async function build(name: string, options: NodeOptions = {}): Promise<MeshNode & AgentHandles> {
    const node = await createNode({
      name,
      dataDir: dir(name),
      port: 0,
      guestPort: 0,
      interfaces: ['lo'],
      profile: 'loopback',
      mdns: false,
      multicast: false,
      logLevel: 'silent',
      ...options,
    });
    const log = new Map<string, unknown[]>();
    for (const event of events) {
      const list: unknown[] = [];
      log.set(event, list);
      node.on(event, (value) => list.push(value));
    }
    heard.set(node, log);
    nodes.push(node);
    return node;
  }

  return {
    dir,
    build,
    async up(name, options) {
      const node = await build(name, options);
      await node.start();
      return node;
    },
    copy: (from, to) =>
      cp(dir(from), dir(to), { recursive: true, filter: (path) => !/lock/.test(path) }),
    told: (node, event) => (heard.get(node)?.get(event) ?? []) as never,
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((node) => node.stop()));
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Builds a node in a home of its own, which goes with the test. */
export async function buildNode(
  name: string,
  options?: NodeOptions,
): Promise<MeshNode & AgentHandles> {
  const home = await createLoopback();
  onTestFinished(() => home[Symbol.asyncDispose]());
  return await home.build(name, options);
}

/** Builds and starts one. */
export async function startNode(
  name: string,
  options?: NodeOptions,
): Promise<MeshNode & AgentHandles> {
  const node = await buildNode(name, options);
  await node.start();
  return node;
}

/** Starts nodes that are one mesh: the first invites the others; all see and are linked with each other. */
export async function startMesh(
  ...names: readonly string[]
): Promise<readonly (MeshNode & AgentHandles)[]> {
  const nodes: (MeshNode & AgentHandles)[] = [];
  for (const name of names) {
    const node = await startNode(name);
    const [founder] = nodes;
    if (founder !== undefined) await node.join((await founder.invite()).invite);
    nodes.push(node);
  }
  await linked(...nodes);
  await until(() => nodes.every((node) => node.members().length === nodes.length));
  return nodes;
}

/** Waits until each of the nodes is linked with all the others and with nobody else. */
export async function linked(...nodes: readonly MeshNode[]): Promise<void> {
  for (const node of nodes) {
    const others = nodes.filter((other) => other !== node).map(({ id }) => id);
    await expect
      .poll(() => [...peersOf(node)].sort(), { timeout: patienceMs, interval: 20 })
      .toEqual(others.sort());
  }
}

/** Whom a node is linked with. */
export function peersOf(node: MeshNode): Set<string> {
  return new Set(node.status().links.map(({ peer }) => peer));
}

/** The port of a node's broker. */
export function portOf(node: MeshNode): number {
  return node.status().mqttPort;
}

/** The payload as text. */
export function textOf(message: MeshMessage): string {
  return new TextDecoder().decode(message.payload);
}

/** Looks again every few ms. @throws with the condition's own text when it does not hold in time */
export async function until(condition: () => boolean, ms: number = patienceMs): Promise<void> {
  await expect
    .poll(condition, { timeout: ms, interval: 5, message: `never: ${String(condition)}` })
    .toBe(true);
}
