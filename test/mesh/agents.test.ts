/** Agents on five hosts: killed, frozen and woken, they run on elsewhere with their state, and nowhere twice. */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { startMesh, type MeshHost } from './lab-mesh.ts';
import { listen, type Listener } from './traffic.ts';
import { shareLab } from './share-lab.ts';
import { saidBy } from './views.ts';

const count = 5;
const replicas = 50;
/** Counts in a topic of its own, under the fence it holds. */
const source = fileURLToPath(new URL('./counting-agent.mjs', import.meta.url));

interface Row {
  readonly instance: string;
  readonly node: string;
  readonly state: string;
}

/** Watches one of them from another node. */
const watching = fileURLToPath(new URL('./watching-agent.mjs', import.meta.url));

async function json(node: MeshHost, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await node.host.cli(...args, '--json');
  if (code !== 0) throw new Error(stderr);
}

let nodes: readonly MeshHost[];

shareLab({ hosts: count }, async (lab) => {
  const mesh = await startMesh(lab, count, {
    flags: (at) => (at === 0 ? ['--label', 'watches=yes'] : []),
  });
  nodes = mesh.nodes;
  await mesh.viewsComplete();
  const deployed = await nodes[0]?.host.cli(
    'deploy',
    source,
    '--replicas',
    String(replicas),
    '--json',
  );
  if (deployed?.code !== 0) throw new Error(deployed?.stderr);
  await settled(nodes, 60_000);
});

/** Brings every instance onto one node, by draining the others. */
async function concentrate(on: MeshHost): Promise<void> {
  const others = nodes.filter((node) => node !== on);
  for (const { host, name } of others) {
    const drained = await host.cli('drain', name, '--json');
    if (drained.code !== 0) throw new Error(drained.stderr);
  }
  await settled([on], 60_000);
  for (const { host, name } of others) await host.cli('drain', name, '--undo');
  // Views of who is drained are equal again.
  await sleep(1_000);
}

/** What a node says runs. */
async function rowsOf(node: MeshHost): Promise<readonly Row[]> {
  const rows = ((await node.host.cli('agents', '--json')).json ?? []) as readonly Row[];
  return rows.filter(({ instance }) => instance.startsWith('counting#'));
}

/** Waits until these nodes, and none else, run every instance. */
async function settled(on: readonly MeshHost[], ms: number): Promise<readonly Row[]> {
  const ids = new Set(on.map(({ id }) => id));
  const until = performance.now() + ms;
  for (;;) {
    const rows = await rowsOf(on[0] as MeshHost);
    const isSettled =
      rows.length === replicas &&
      rows.every(({ node, state }) => ids.has(node) && state === 'running');
    if (isSettled) return rows;
    if (performance.now() > until)
      throw new Error(
        `not settled: ${JSON.stringify(rows.filter(({ node, state }) => !ids.has(node) || state !== 'running').slice(0, 5))} of ${rows.length}`,
      );
    await sleep(100);
  }
}

interface Count {
  readonly instance: string;
  readonly fence: number;
  readonly count: number;
  readonly node: string;
}

function countsOf(listener: Listener): Count[] {
  return listener.messages().map(({ payload }) => JSON.parse(payload) as Count);
}

/**
 * What must hold of all that was counted, in the order in which one node heard it: under one fence one node, no count
 * falls behind what was kept, and once a new holder has spoken the old one is silent.
 */
function expectOneHolder(counts: readonly Count[]): void {
  const latest = new Map<string, Count>();
  const holders = new Map<string, string>();
  for (const one of counts) {
    const key = `${one.instance} ${one.fence}`;
    expect(holders.get(key) ?? one.node, key).toBe(one.node);
    holders.set(key, one.node);
    const before = latest.get(one.instance);
    if (before !== undefined) {
      expect(one.fence, `${one.instance} spoke under an old fence`).toBeGreaterThanOrEqual(
        before.fence,
      );
      // Of what was counted, at most the one not yet kept is counted again.
      expect(one.count, one.instance).toBeGreaterThanOrEqual(before.count);
    }
    latest.set(one.instance, one);
  }
}

test('a frozen node: its agents go on elsewhere, and when it wakes its copies do not act', async () => {
  const victim = nodes[3] as MeshHost;
  const others = nodes.filter((node) => node !== victim);
  await concentrate(victim);
  const listener = await listen(others[0] as MeshHost, '-t', 'counted/#', '-q', '1');
  await sleep(2_000);
  const since = performance.now();
  victim.host.freeze();
  const said = await saidBy(others, victim.id, 'dead', since, 20_000);
  const verdictAt = since + Math.max(...said);
  await settled(others, 15_000);
  console.info(
    `frozen: all run elsewhere ${Math.round(performance.now() - verdictAt)} ms after the verdict`,
  );
  victim.host.thaw();
  await saidBy(others, victim.id, 'alive', performance.now(), 15_000);
  // Time enough for the woken copies to act, if they did.
  await sleep(5_000);
  await settled(others, 10_000);
  await listener.stop();
  expectOneHolder(countsOf(listener));
});

test('a killed node: all 50 run within 3 s of the verdict, with what they had counted, none twice', async () => {
  const victim = nodes[4] as MeshHost;
  const others = nodes.filter((node) => node !== victim);
  await concentrate(victim);
  const watcher = others[0] as MeshHost;
  const alarms = await listen(watcher, '-t', 'watched/#', '-q', '1');
  await json(watcher, 'deploy', watching, '--label', 'watches=yes');
  const listener = await listen(watcher, '-t', 'counted/#', '-q', '1');
  await sleep(2_000);
  const since = performance.now();
  await victim.host.kill();
  const said = await saidBy(others, victim.id, 'dead', since, 20_000);
  const verdictAt = since + Math.max(...said);
  await settled(others, 15_000);
  const tookMs = performance.now() - verdictAt;
  await sleep(2_000);
  await listener.stop();
  await alarms.stop();
  // Who watched one of them heard it once: that its node is gone.
  expect(alarms.messages().map(({ payload }) => payload)).toEqual(['watching', 'unreachable']);
  console.info(
    `killed: ${replicas} agents run elsewhere ${Math.round(tookMs)} ms after the verdict`,
  );
  expectOneHolder(countsOf(listener));
  expect(tookMs).toBeLessThan(3_000);
});
