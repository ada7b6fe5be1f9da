/** What the nodes of a mesh said about one another, and when: verdicts, returns, and who was wronged. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { LabMesh, MeshHost } from './lab-mesh.ts';

/** When a node last began to say `state` of a member after `since` and has not taken it back; undefined if it does not. */
function saysSince(node: MeshHost, id: string, state: string, since: number): number | undefined {
  let from: number | undefined;
  for (const { at, event } of node.process.events()) {
    if (event['event'] !== 'member' || event['id'] !== id) continue;
    if (event['state'] !== state) from = undefined;
    else if (at >= since) from ??= at;
  }
  return from;
}

/** Waits until every one of `observers` says `state` of the member, and gives the ms each took from `since` on. */
export async function saidBy(
  observers: readonly MeshHost[],
  id: string,
  state: string,
  since: number,
  ms: number,
): Promise<readonly number[]> {
  return await Promise.all(
    observers.map(async (node) => {
      const look = (): number | undefined => saysSince(node, id, state, since);
      return (await node.process.until(`${id} ${state} at ${node.name}`, look, ms)) - since;
    }),
  );
}

/** Every time since `since` that one of these nodes called another one of them dead, in words. */
export function wronged(nodes: readonly MeshHost[], since: number): readonly string[] {
  const names = new Map(nodes.map(({ id, name }) => [id, name]));
  return nodes.flatMap(({ name, process }) =>
    process
      .events()
      .filter(({ at, event }) => at >= since && event['state'] === 'dead')
      .filter(({ event }) => names.has(String(event['id'])))
      .map(({ at, event }) => {
        const after = `after ${Math.round(at - since)} ms`;
        return `${name} called ${names.get(String(event['id']))} dead ${after}`;
      }),
  );
}

/** What `mycel members --json` says of each member on this node, by id. */
export async function membersOf(
  node: MeshHost,
): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>> {
  const { code, json, stderr } = await node.host.cli('members', '--json');
  if (code !== 0) throw new Error(`mycel members: exit ${code} ${stderr}`);
  const list = json as readonly Readonly<Record<string, unknown>>[];
  return new Map(list.map((member) => [String(member['id']), member]));
}

/** Waits until each of these nodes holds each other one alive in its list, and gives the ms from `since` on. */
export async function allAliveAgain(
  nodes: readonly MeshHost[],
  since: number,
  ms: number,
): Promise<number> {
  const waits = nodes.map(async (node) => {
    for (;;) {
      const members = await membersOf(node);
      const missing = nodes.filter((other) => members.get(other.id)?.['state'] !== 'alive');
      if (missing.length === 0) return performance.now() - since;
      if (performance.now() > since + ms) {
        const names = missing.map((one) => `${one.name} ${String(members.get(one.id)?.['state'])}`);
        throw new Error(`after ${ms} ms ${node.name} still thinks: ${names.join(', ')}`);
      }
      await sleep(100);
    }
  });
  return Math.max(...(await Promise.all(waits)));
}

/** Publishes on every node and waits until every node's own clients have heard all; gives the ms it took. */
export async function pubSubWorks(nodes: readonly MeshHost[], ms: number): Promise<number> {
  const since = performance.now();
  const topic = `across/${Math.round(since)}`;
  const ears = await Promise.all(
    nodes.map(({ host, mqttPort }) =>
      host.mosquittoSub(['-p', `${mqttPort}`, '-q', '1', '-t', `${topic}/#`]),
    ),
  );
  try {
    await Promise.all(
      nodes.map(({ host, mqttPort, name }) =>
        host.mosquittoPub(['-p', `${mqttPort}`, '-q', '1', '-t', `${topic}/${name}`, '-m', name]),
      ),
    );
    await Promise.all(ears.map((ear) => ear.waitForCount(nodes.length, ms)));
    return performance.now() - since;
  } finally {
    await Promise.all(ears.map((ear) => ear.stop()));
  }
}

/** Sorted figures in words: p50 and the longest. */
export function spread(figures: readonly number[]): string {
  const sorted = figures.toSorted((left, right) => left - right);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return `p50 ${Math.round(middle)} ms, max ${Math.round(sorted.at(-1) ?? 0)} ms`;
}

/** The middle of the figures. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((left, right) => left - right);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Infinity;
}
