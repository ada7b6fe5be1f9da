/** What the nodes of a mesh said about one another, and when: verdicts, returns, and who was wronged. */

import { statesSeen, type MeshHost } from './lab-mesh.ts';

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

/** Waits until each of these nodes last said `alive` of each other one, and gives the ms from `since` on. */
async function allAliveAgain(
  nodes: readonly MeshHost[],
  since: number,
  ms: number,
): Promise<number> {
  const times = nodes.map(({ process, id, name }) => {
    const others = nodes.filter((other) => other.id !== id);
    const look = (): number | undefined => {
      const states = statesSeen(process);
      const isWhole = others.every((other) => states.get(other.id) === 'alive');
      return isWhole ? (process.events().at(-1)?.at ?? since) : undefined;
    };
    return process.until(`${others.length} members alive at ${name}`, look, ms);
  });
  return Math.max(...(await Promise.all(times)), since) - since;
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

/**
 * Waits until everybody sees everybody and messages reach every client. In words, how long each took from `since` on.
 * @throws when it takes 15 s or a healthy member was called dead meanwhile.
 */
export async function heals(nodes: readonly MeshHost[], since: number): Promise<string> {
  const viewsMs = await allAliveAgain(nodes, since, 15_000);
  await pubSubWorks(nodes, 15_000);
  const healedMs = performance.now() - since;
  const words = `views ${Math.round(viewsMs)} ms, messages ${Math.round(healedMs)} ms`;
  if (healedMs >= 15_000) throw new Error(`it took too long: ${words}`);
  const verdicts = wronged(nodes, since);
  if (verdicts.length > 0) throw new Error(verdicts.join('\n'));
  return words;
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
