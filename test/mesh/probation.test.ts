import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createMesh, startMesh, startNode, type LabMesh, type MeshHost } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { linkedAs, listen, type Listener } from './traffic.ts';

const flags = ['--profile', 'fast'];

let mesh: LabMesh;
let newcomer: MeshHost;

shareLab({ hosts: 3 }, async (lab) => {
  mesh = await startMesh(lab, 2, { flags });
  await lab.host(0).mosquittoPub(['-q', '1', '-r', '-t', 'house/kept', '-m', 'x']);
  await lab.host(0).mosquittoPub(['-q', '1', '-r', '-t', 'guest/kept', '-m', 'y']);
  const opened = await lab.host(0).cli('invite', '--open', '5m', '--json');
  if (opened.code !== 0) throw new Error(opened.stderr);
  newcomer = await startNode(lab.host(2), flags);
});

async function linkedAll(): Promise<void> {
  const all = createMesh([...mesh.nodes, newcomer]);
  await linkedAs(all, (at) => [0, 1, 2].filter((other) => other !== at), 30_000);
}

function topicsOf(listener: Listener): readonly string[] {
  return listener.messages().map(({ topic }) => topic);
}

describe('a newcomer that came through an open window', () => {
  test('says and hears guest topics only, until an admin approves it', async () => {
    const waiting = await mesh
      .node(0)
      .process.waitForEvent((event) => event['event'] === 'pending', 20_000);
    expect(waiting['id']).toBe(newcomer.id);
    await linkedAll();
    const members = await Promise.all(mesh.nodes.map((node) => listen(node, '-q', '1', '-t', '#')));
    const own = await listen(newcomer, '-q', '1', '-t', '#');
    await newcomer.host.mosquittoPub(['-q', '1', '-t', 'house/light', '-m', 'on']);
    await newcomer.host.mosquittoPub(['-q', '0', '-t', 'house/light', '-m', 'on']);
    await newcomer.host.mosquittoPub(['-q', '1', '-r', '-t', 'house/retained', '-m', 'on']);
    await newcomer.host.mosquittoPub(['-q', '1', '-t', 'guest/hello', '-m', 'hi']);
    for (const { host } of mesh.nodes) {
      await host.mosquittoPub(['-q', '1', '-t', 'house/again', '-m', 'x']);
      await host.mosquittoPub(['-q', '0', '-t', 'house/signal', '-m', 'x']);
      await host.mosquittoPub(['-q', '1', '-t', `guest/from-${host.at}`, '-m', 'y']);
    }
    for (const each of members) {
      const from = 'guest/hello';
      await expect.poll(() => topicsOf(each), { timeout: 15_000 }).toContain(from);
      await expect.poll(() => topicsOf(each), { timeout: 15_000 }).toContain('guest/from-1');
    }
    for (const at of [0, 1]) {
      await expect.poll(() => topicsOf(own), { timeout: 15_000 }).toContain(`guest/from-${at}`);
    }
    await sleep(1_000);
    // What its own clients say stays with them; of the others it got what guests may see.
    for (const each of members) {
      expect(topicsOf(each).filter((topic) => /light|retained/.test(topic))).toEqual([]);
    }
    const foreign = topicsOf(own).filter(
      (topic) => !/^(guest|house\/(light|retained)$)/.test(topic),
    );
    expect(foreign).toEqual([]);
    expect(topicsOf(own)).toContain('guest/kept');

    const approved = await mesh.node(0).host.cli('approve', String(waiting['code']), '--json');
    expect(approved.code).toBe(0);
    await expect
      .poll(async () => JSON.stringify((await newcomer.host.cli('status', '--json')).json), {
        timeout: 15_000,
      })
      .not.toContain('on probation:');
    await linkedAll();
    await newcomer.host.mosquittoPub(['-q', '1', '-t', 'house/later', '-m', 'on']);
    await mesh.node(0).host.mosquittoPub(['-q', '1', '-t', 'house/now', '-m', 'x']);
    for (const each of members) {
      await expect.poll(() => topicsOf(each), { timeout: 15_000 }).toContain('house/later');
    }
    await expect.poll(() => topicsOf(own), { timeout: 15_000 }).toContain('house/now');
    await expect.poll(() => topicsOf(own), { timeout: 15_000 }).toContain('house/kept');
  });
});
