import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import type { Host } from './lab-host.ts';
import { startMesh, statesSeen } from './lab-mesh.ts';
import type { LabMesh } from './lab-mesh.ts';

/** How long the mesh is split, in ms. @default 6 s; the minute with MYCEL_SPLIT_MS=60000 */
const splitMs = Number(process.env['MYCEL_SPLIT_MS'] ?? 6_000);

/** Voters of the group, in a mesh that is large enough for so many. @default 3; five with MYCEL_SPLIT_VOTERS=5 */
const voterCount = Number(process.env['MYCEL_SPLIT_VOTERS'] ?? 3);
const nodeCount = voterCount === 5 ? 10 : 5;

/** All replicas are equal so long after healing, counted from when membership has the others back. */
const equalMs = 5_000;

async function json(host: Host, ...args: readonly string[]): Promise<unknown> {
  const { code, json: value, stderr } = await host.cli(...args, '--json');
  if (code !== 0) throw new Error(`mycel ${args.join(' ')}: exit ${code} ${stderr}`);
  return value;
}

async function fingerprints(hosts: readonly Host[]): Promise<Set<unknown>> {
  const all = await Promise.all(hosts.map((host) => json(host, 'state', 'status')));
  return new Set(all.map((status) => (status as { fingerprint: string }).fingerprint));
}

async function within(ms: number, what: string, holds: () => Promise<boolean>): Promise<number> {
  const from = performance.now();
  for (;;) {
    if (await holds()) return performance.now() - from;
    if (performance.now() - from > ms) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(20);
  }
}

/** The hosts that are cut off: the leader, voters until one is missing to half of them, and as many others. */
async function minorityOf(lab: Lab, mesh: LabMesh): Promise<readonly Host[]> {
  await json(lab.host(0), 'kv', 'put', 'split', '"before"');
  let view = { leader: '', voters: [] as readonly string[] };
  await within(180_000, `${voterCount} voters`, async () => {
    view = (await json(lab.host(0), 'leader')) as typeof view;
    return view.voters.length === voterCount;
  });
  const isVoter = ({ id }: { readonly id: string }): boolean => view.voters.includes(id);
  const [leader] = mesh.nodes.filter(({ id }) => id === view.leader);
  const followers = mesh.nodes.filter((node) => isVoter(node) && node !== leader);
  const voters = [leader, ...followers].slice(0, (voterCount - 1) / 2);
  const others = mesh.nodes.filter((node) => !isVoter(node)).slice(0, voters.length);
  return [...voters, ...others].map((node) => {
    if (node === undefined) throw new Error(JSON.stringify(view));
    return node.host;
  });
}

/** What is decided together is refused in clear words, for writing and for reading. */
async function expectRefused(host: Host): Promise<void> {
  for (const asked of [
    ['kv', 'put', 'split', '"minority"'],
    ['kv', 'get', 'split'],
  ]) {
    const { code, stderr } = await host.cli(...asked, '--timeout', '1s');
    expect(stderr).toContain('No majority of the voters could be reached');
    expect(code).toBe(1);
  }
}

describe('replicated state across hosts', () => {
  test(`split, with ${voterCount} voters, and writes on both sides: the smaller part refuses decisions; equal soon after healing, no add lost, nothing removed comes back`, async () => {
    await using lab = await createLab({ hosts: nodeCount });
    const mesh = await startMesh(lab, nodeCount, { flags: ['--profile', 'fast'] });
    await mesh.viewsComplete();
    const { hosts } = lab;
    await json(lab.host(0), 'state', 'add', 'tags', '"early"');
    await json(lab.host(0), 'state', 'set', 'gone', '1');
    await within(10_000, 'equal at first', async () => (await fingerprints(hosts)).size === 1);

    const minority = await minorityOf(lab, mesh);
    const majority = hosts.filter((host) => !minority.includes(host));
    const isCut = (host: Host): boolean => minority.includes(host);

    lab.partition(minority, majority);
    await within(30_000, 'both sides miss the other', async () =>
      mesh.nodes.every(({ process, host }) => {
        const seen = statesSeen(process);
        return mesh.nodes
          .filter((other) => isCut(other.host) !== isCut(host))
          .every(({ id }) => seen.get(id) === 'dead');
      }),
    );
    const until = performance.now() + splitMs;
    const added: string[] = ['early'];
    for (let round = 0; performance.now() < until || round < 2; round += 1) {
      for (const host of hosts) {
        const tag = `${host.at}-${round}`;
        await json(host, 'state', 'add', 'tags', JSON.stringify(tag));
        added.push(tag);
        await json(host, 'state', 'incr', 'hits', '1');
      }
    }
    await json(lab.host(nodeCount - 1), 'state', 'remove', 'gone');
    await json(lab.host(nodeCount - 1), 'state', 'remove', 'tags', '"early"');
    added.shift();
    expect((await fingerprints(hosts)).size).toBeGreaterThan(1);
    for (const host of minority) await expectRefused(host);
    await json(majority[0] as Host, 'kv', 'put', 'split', '"majority"', '--timeout', '10s');

    lab.heal();
    await mesh.viewsComplete(nodeCount, 60_000);
    const ms = await within(
      equalMs,
      'equal after healing',
      async () => (await fingerprints(hosts)).size === 1,
    );
    for (const host of minority) {
      expect(await json(host, 'kv', 'get', 'split', '--timeout', '20s')).toMatchObject({
        value: 'majority',
      });
    }
    for (const host of hosts) {
      const tags = (await json(host, 'state', 'get', 'tags')) as { value: string[] };
      expect([...tags.value].sort()).toEqual(added.toSorted());
      expect(await json(host, 'state', 'get', 'hits')).toMatchObject({ value: added.length });
      expect((await host.cli('state', 'get', 'gone')).code).toBe(1);
      // A report is closed when this node is equal with each peer that came back, or after 30 s.
      await within(40_000, 'a report', async () => {
        const { reports } = (await json(host, 'partitions')) as { reports: unknown[] };
        return reports.length > 0;
      });
    }
    console.log(
      `${nodeCount} nodes, ${voterCount} voters, split for ${splitMs} ms, ${added.length} adds: equal ${Math.round(ms)} ms after healing`,
    );
    expect(await mesh.stop()).toEqual(Array(nodeCount).fill(0));
  }, 480_000);

  test('a node that is killed under writes has every acknowledged one afterwards', async () => {
    await using lab = await createLab({ hosts: 1 });
    const host = lab.host(0);
    const acknowledged: number[] = [];
    let serial = 0;
    for (let life = 0; life < 4; life += 1) {
      await startMesh(lab, 1, { flags: ['--profile', 'fast'] });
      let isUp = true;
      const writer = async (): Promise<void> => {
        while (isUp) {
          const mine = serial++;
          const { code } = await host.cli('state', 'add', 'log', String(mine));
          if (code === 0) acknowledged.push(mine);
        }
      };
      const writers = [writer(), writer(), writer()];
      const wanted = acknowledged.length + 6;
      await within(60_000, 'writes', async () => {
        await host.exec(['true']);
        return acknowledged.length >= wanted;
      });
      await host.kill();
      isUp = false;
      await Promise.all(writers);
    }
    await startMesh(lab, 1, { flags: ['--profile', 'fast'] });
    const { value } = (await json(host, 'state', 'get', 'log')) as { value: number[] };
    expect(acknowledged.filter((one) => !value.includes(one))).toEqual([]);
    expect(value.length).toBeGreaterThanOrEqual(24);
  }, 240_000);
});
