/** A mesh cut in two: each agent does what its policy says, on both sides, and after the cut has healed. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createLab } from './lab.ts';
import { startMesh, statesSeen, type MeshHost } from './lab-mesh.ts';
import { listen, type Listener } from './traffic.ts';

const policies = {
  paused: 'pause-minority',
  merged: 'run-everywhere-and-merge',
  sticky: 'sticky-home',
} as const;

type Name = keyof typeof policies;

interface Said {
  readonly agent: Name;
  readonly node: string;
  readonly fence: number;
  readonly seen: readonly string[];
}

async function json(node: MeshHost, ...args: readonly string[]): Promise<unknown> {
  const { code, json: value, stderr } = await node.host.cli(...args, '--json');
  if (code !== 0) throw new Error(`mycel ${args.join(' ')}: exit ${code} ${stderr}`);
  return value;
}

async function within(ms: number, what: string, holds: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > until) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(150);
  }
}

/** Who runs what, as a node knows it. */
async function placed(node: MeshHost): Promise<Record<string, string>> {
  const rows = (await json(node, 'agents')) as { agent: string; node: string; state: string }[];
  const running = rows.filter(({ state }) => state === 'running');
  return Object.fromEntries(running.map(({ agent, node: at }) => [agent, at]));
}

const saidOf = (listener: Listener, agent: Name, from = 0): Said[] =>
  listener
    .messages()
    .slice(from)
    .map(({ payload }) => JSON.parse(payload) as Said)
    .filter((one) => one.agent === agent);

test('split 3|2 with the agents on the smaller side', async () => {
  await using lab = await createLab({ hosts: 5 });
  const mesh = await startMesh(lab, 5, { flags: ['--profile', 'fast'] });
  await mesh.viewsComplete();
  const founder = mesh.node(0);
  await json(founder, 'kv', 'put', 'ready', '1');
  let voters: readonly string[] = [];
  await within(30_000, 'voters', async () => {
    ({ voters } = (await json(founder, 'leader')) as { voters: string[] });
    return voters.length >= 3;
  });
  // The smaller side must not hold a majority of the voters: it is made of those who do not vote, if there are any.
  const byVote = [...mesh.nodes].sort(
    (one, other) => Number(voters.includes(other.id)) - Number(voters.includes(one.id)),
  );
  const large = byVote.slice(0, 3);
  const small = byVote.slice(3);
  const [first, second, third] = large as [MeshHost, MeshHost, MeshHost];
  const [home, other] = small as [MeshHost, MeshHost];
  const dir = await mkdtemp(join(tmpdir(), 'mycel-split-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const source = await readFile(new URL('./split-agent.mjs', import.meta.url), 'utf8');
  for (const node of [first, second, third, other]) await json(node, 'drain', node.name);
  for (const [name, policy] of Object.entries(policies)) {
    const path = join(dir, `${name}.mjs`);
    await writeFile(path, source.replace('POLICY-OF', policy).replace('POLICY', name));
    await json(first, 'deploy', path);
  }
  const here = { paused: home.id, merged: home.id, sticky: home.id };
  await within(30_000, 'all run at home', async () => {
    const now = await placed(first);
    return (
      JSON.stringify(now) === JSON.stringify({ ...now, ...here }) && Object.keys(now).length === 3
    );
  });
  for (const node of [first, second, third, other]) await json(node, 'drain', node.name, '--undo');
  const atLarge = await listen(first, '-t', 'split/#');
  const atSmall = await listen(other, '-t', 'split/#');
  await within(10_000, 'all are heard', async () =>
    (Object.keys(policies) as Name[]).every((name) => saidOf(atLarge, name).length > 1),
  );
  const fenceBefore = saidOf(atLarge, 'paused').at(-1)?.fence ?? 0;

  lab.partition(
    large.map(({ host }) => host),
    small.map(({ host }) => host),
  );
  await within(30_000, 'both sides miss the other', async () =>
    mesh.nodes.every((node) => {
      const seen = statesSeen(node.process);
      const theirs = large.includes(node) ? small : large;
      return theirs.every(({ id }) => seen.get(id) === 'dead');
    }),
  );
  // The larger side runs what may run there, and never what is at home elsewhere.
  await within(30_000, 'the larger side runs the paused and the merged one', async () => {
    const now = await placed(first);
    return now['paused'] !== undefined && now['merged'] !== undefined;
  });
  await within(30_000, 'the smaller side has paused', async () => {
    const now = await placed(home);
    return now['paused'] === undefined && now['merged'] === home.id && now['sticky'] === home.id;
  });
  const marks = { large: atLarge.messages().length, small: atSmall.messages().length };
  await sleep(4_000);
  const apart = (name: Name): { large: Said[]; small: Said[] } => ({
    large: saidOf(atLarge, name, marks.large),
    small: saidOf(atSmall, name, marks.small),
  });
  expect(apart('paused').small).toEqual([]);
  expect(apart('paused').large.length).toBeGreaterThan(2);
  expect(apart('paused').large.every(({ fence }) => fence > fenceBefore)).toBe(true);
  expect(apart('merged').small.every(({ node }) => node === home.id)).toBe(true);
  expect(apart('merged').large.every(({ node }) => node !== home.id)).toBe(true);
  expect(apart('merged').large.length).toBeGreaterThan(2);
  expect(apart('merged').small.length).toBeGreaterThan(2);
  expect(apart('sticky').large).toEqual([]);
  expect(apart('sticky').small.length).toBeGreaterThan(2);

  lab.heal();
  await mesh.viewsComplete(5, 60_000);
  await within(30_000, 'one of each runs', async () => {
    const all = await Promise.all(mesh.nodes.map(placed));
    const names = all.map((now) =>
      JSON.stringify(
        Object.keys(now)
          .sort()
          .map((name) => now[name]),
      ),
    );
    return new Set(names).size === 1 && Object.keys(all[0] ?? {}).length === 3;
  });
  // Both sides of the split are in the state of the one that goes on.
  const away = apart('merged').large.at(-1)?.node ?? '';
  await within(20_000, 'the states are merged', async () => {
    const last = saidOf(atLarge, 'merged').at(-1);
    return last !== undefined && [home.id, away].every((id) => last.seen.includes(id));
  });
  expect((await placed(first))['sticky']).toBe(home.id);
  await Promise.all([atLarge.stop(), atSmall.stop()]);
  // Never two holders of one lock: its tokens only rise, and each is of one node.
  const holders = new Map<number, string>();
  let highest = 0;
  for (const { fence, node } of saidOf(atLarge, 'paused')) {
    expect(holders.get(fence) ?? node).toBe(node);
    holders.set(fence, node);
    expect(fence).toBeGreaterThanOrEqual(highest);
    highest = fence;
  }
}, 240_000);
