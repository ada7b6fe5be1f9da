import { cpSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { createLab, type Lab } from './lab.ts';
import {
  createMesh,
  mintInvite,
  startMesh,
  startNode,
  type LabMesh,
  type MeshHost,
} from './lab-mesh.ts';
import { memberListOf, statusOf } from './reports.ts';
import { linkedAs } from './traffic.ts';
import { saidBy } from './views.ts';

const flags = ['--profile', 'fast'];

/** A revoked device is out everywhere within this time, in ms. */
const outMsMax = 10_000;

const revokedText = 'This device was revoked by an admin.';

let lab: Lab;
afterEach(async () => {
  await lab?.stop();
});

async function isOutAt(node: MeshHost, id: string): Promise<boolean> {
  const isMember = (await memberListOf(node)).get(id)?.['state'] === 'alive';
  return !isMember && !(await statusOf(node)).links.some(({ peer }) => peer === id);
}

/** Waits until the device is in nobody's view and on nobody's links, and gives the ms since `since`. */
async function outEverywhere(
  nodes: readonly MeshHost[],
  id: string,
  since: number,
): Promise<number> {
  for (const node of nodes) {
    await expect.poll(() => isOutAt(node, id), { timeout: 30_000, interval: 100 }).toBe(true);
  }
  return performance.now() - since;
}

async function sameEpoch(nodes: readonly MeshHost[], number: number): Promise<void> {
  for (const node of nodes) {
    await expect
      .poll(async () => (await statusOf(node)).mesh.epoch, { timeout: 15_000 })
      .toBe(number);
  }
}

async function linkedAll(mesh: LabMesh): Promise<void> {
  const all = mesh.nodes.map((_, at) => at);
  await linkedAs(mesh, (at) => all.filter((other) => other !== at), 30_000);
}

const revoke = (by: MeshHost, id: string) => by.host.cli('revoke', id, '--json');

async function expelledOf(node: MeshHost, ms = outMsMax): Promise<string> {
  const event = await node.process.waitForEvent((one) => one['event'] === 'expelled', ms);
  return String(event['reason']);
}

/** A message from one node reaches the others over links, and none the device that is out. */
async function hears(from: MeshHost, to: readonly MeshHost[]): Promise<void> {
  const subscribers = await Promise.all(
    to.map(({ host }) => host.mosquittoSub(['-q', '1', '-t', 'after/#'])),
  );
  await from.host.mosquittoPub(['-q', '1', '-t', 'after/it', '-m', 'still here']);
  for (const one of subscribers) await one.waitForCount(1, 10_000);
  for (const one of subscribers) await one.stop();
}

describe('a revoked device', () => {
  test('is out of a mesh of five within 10 s, cannot come back, and says why', async () => {
    lab = await createLab({ hosts: 6 });
    const mesh = await startMesh(lab, 4, { flags });
    const invite = await mintInvite(lab.host(0));
    const victim = await startNode(lab.host(4), [...flags, '--join', invite]);
    await linkedAll(createMesh([...mesh.nodes, victim]));
    const since = performance.now();
    expect((await revoke(mesh.node(0), victim.id)).code).toBe(0);
    // The nodes' own lines tell the time to the millisecond; asking each of them would take longer than it did.
    const times = await saidBy(mesh.nodes, victim.id, 'left', since, 30_000);
    const outMs = Math.max(...times);
    expect(outMs).toBeLessThan(outMsMax);
    await outEverywhere(mesh.nodes, victim.id, since);
    expect(await expelledOf(victim)).toBe(revokedText);
    expect((await statusOf(victim)).warnings.join(' ')).toContain(revokedText);
    expect((await statusOf(victim)).links).toEqual([]);
    await sameEpoch(mesh.nodes, 2);
    await hears(mesh.node(1), [mesh.node(0), mesh.node(2), mesh.node(3)]);

    // A fresh invite does not help an identity that is out; its old data directory knows that it is.
    const fresh = await mintInvite(lab.host(0));
    const joined = await victim.host.cli('join', fresh, '--json');
    expect(joined.code).toBe(1);
    expect(joined.stderr).toContain('MYCEL_REVOKED');
    await victim.host.kill();
    const again = await startNode(victim.host, flags);
    expect(await expelledOf(again)).toBe(revokedText);
    // Its used invite is nobody's any more, whoever brings it.
    const thief = lab.host(5).spawn(['up', '--json', ...flags, '--join', invite]);
    const refusal = await thief.waitForEvent((one) => one['event'] === 'alert', 15_000);
    expect(refusal['code']).toBe('MYCEL_INVITE_USED');
    for (const node of mesh.nodes) expect(await isOutAt(node, victim.id)).toBe(true);
    process.stdout.write(`revoked device out everywhere after ${Math.round(outMs)} ms\n`);
  });

  test('that kept its data directory from before learns at its first contact that it is out', async () => {
    lab = await createLab({ hosts: 3 });
    const mesh = await startMesh(lab, 3, { flags });
    await linkedAll(mesh);
    const victim = mesh.node(2);
    await victim.host.kill();
    expect((await revoke(mesh.node(0), victim.id)).code).toBe(0);
    await sameEpoch([mesh.node(0), mesh.node(1)], 2);
    const again = await startNode(victim.host, flags);
    expect(await expelledOf(again)).toBe(revokedText);
    expect(await isOutAt(mesh.node(0), victim.id)).toBe(true);
    expect(await isOutAt(mesh.node(1), victim.id)).toBe(true);
    // Another start needs nobody to tell it.
    await again.host.kill();
    lab.partition([lab.host(2)], [lab.host(0), lab.host(1)]);
    expect(await expelledOf(await startNode(victim.host, flags))).toBe(revokedText);
  });

  test('is thrown out of a partitioned half at its first contact with the other', async () => {
    lab = await createLab({ hosts: 5 });
    const mesh = await startMesh(lab, 5, { flags });
    await linkedAll(mesh);
    const [half, rest] = [lab.hosts.slice(3), lab.hosts.slice(0, 3)];
    const victim = mesh.node(4);
    lab.partition(half, rest);
    expect((await revoke(mesh.node(0), victim.id)).code).toBe(0);
    await outEverywhere(mesh.nodes.slice(0, 3), victim.id, performance.now());
    expect((await memberListOf(mesh.node(3))).get(victim.id)?.['state']).toBe('alive');
    lab.heal();
    const contact = performance.now();
    const outMs = await outEverywhere(mesh.nodes.slice(0, 4), victim.id, contact);
    expect(await expelledOf(victim, 20_000)).toBe(revokedText);
    await sameEpoch(mesh.nodes.slice(0, 4), 2);
    await linkedAll(createMesh(mesh.nodes.slice(0, 4)));
    process.stdout.write(
      `partitioned half rid of it ${Math.round(outMs)} ms after the cut was mended\n`,
    );
  });
});

describe('two admins', () => {
  test('that revoke at the same time while apart end in one mesh with one key', async () => {
    lab = await createLab({ hosts: 5 });
    const first = await startMesh(lab, 1, { flags });
    const admin = await mintInvite(lab.host(0), '--role', 'admin');
    const second = await startNode(lab.host(1), [...flags, '--join', admin]);
    const plain: MeshHost[] = [];
    for (const at of [2, 3, 4]) {
      const invite = await mintInvite(lab.host(at % 2));
      plain.push(await startNode(lab.host(at), [...flags, '--join', invite]));
    }
    const mesh = createMesh([...first.nodes, second, ...plain]);
    await linkedAll(mesh);
    expect((await statusOf(second)).mesh.isAdmin).toBe(true);
    const [three, four, five] = [mesh.node(2), mesh.node(3), mesh.node(4)];
    lab.partition([lab.host(0), lab.host(2)], [lab.host(1), lab.host(3), lab.host(4)]);
    const outcomes = await Promise.all([revoke(mesh.node(0), four.id), revoke(second, five.id)]);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0]);
    lab.heal();
    const left = [mesh.node(0), second, three];
    await outEverywhere(left, four.id, performance.now());
    await outEverywhere(left, five.id, performance.now());
    await linkedAll(createMesh(left));
    await hears(three, [mesh.node(0), second]);
    // Datagrams are understood again in every direction: nobody uses a key that another lacks.
    const before = await Promise.all(left.map(statusOf));
    await sleep(2_000);
    const after = await Promise.all(left.map(statusOf));
    const refused = after.map(
      ({ metrics }, at) =>
        (metrics.drops['datagram: epoch'] ?? 0) -
        (before[at]?.metrics.drops['datagram: epoch'] ?? 0),
    );
    expect(refused).toEqual([0, 0, 0]);
  });

  test('are one too many to lose: the second invites and revokes when the first is dead', async () => {
    lab = await createLab({ hosts: 4 });
    const first = await startMesh(lab, 1, { flags });
    const admin = await mintInvite(lab.host(0), '--role', 'admin');
    const second = await startNode(lab.host(1), [...flags, '--join', admin]);
    const third = await startNode(lab.host(2), [...flags, '--join', await mintInvite(lab.host(0))]);
    await linkedAll(createMesh([...first.nodes, second, third]));
    const founder = first.node(0);
    await founder.host.kill();
    const invite = await mintInvite(lab.host(1));
    const fourth = await startNode(lab.host(3), [...flags, '--join', invite]);
    await linkedAll(createMesh([second, third, fourth]));
    expect((await revoke(second, founder.id)).code).toBe(0);
    await sameEpoch([second, third, fourth], 2);
    // Whom the lost founder let in stays a member, also on a new link.
    for (const node of [second, third]) await node.host.kill();
    const back = [await startNode(lab.host(1), flags), await startNode(lab.host(2), flags)];
    await linkedAll(createMesh([...back, fourth]));
    const stolen = await startNode(lab.host(0), flags);
    expect(await expelledOf(stolen)).toBe(revokedText);
  });
});

describe('a copied card', () => {
  const isTold = (event: Readonly<Record<string, unknown>>): boolean =>
    event['event'] === 'expelled' || String(event['code']).startsWith('clone');

  /** Puts a copy of the card of one host into another. */
  function copyCard(from: number, to: number): void {
    cpSync(lab.host(from).dataDir, lab.host(to).dataDir, {
      recursive: true,
      filter: (path) => !/control\.sock$|lock/.test(path),
    });
  }

  test('is told to both devices that run it, both are kept out, and the mesh stays whole', async () => {
    lab = await createLab({ hosts: 4 });
    const mesh = await startMesh(lab, 3, { flags });
    await linkedAll(mesh);
    const original = mesh.node(2);
    copyCard(2, 3);
    const copy = await startNode(lab.host(3), flags);
    for (const one of [original, copy]) {
      const told = await one.process.waitForEvent(isTold, 30_000);
      expect(JSON.stringify(told)).toContain('copied card');
      expect((await statusOf(one)).warnings.join(' ')).toContain('copied card');
    }
    for (const node of mesh.nodes.slice(0, 2)) {
      const told = await node.process.waitForEvent((event) => event['code'] === 'clone', 15_000);
      expect(String(told['text'])).toContain(original.id);
    }
    await linkedAll(createMesh(mesh.nodes.slice(0, 2)));
    await hears(mesh.node(0), [mesh.node(1)]);
    expect((await statusOf(copy)).links).toEqual([]);
    expect((await statusOf(original)).links).toEqual([]);
  });

  test('that starts at the same time as the original is told to both, too', async () => {
    lab = await createLab({ hosts: 4 });
    const mesh = await startMesh(lab, 3, { flags });
    await linkedAll(mesh);
    await lab.host(2).kill();
    copyCard(2, 3);
    const both = await Promise.all([startNode(lab.host(2), flags), startNode(lab.host(3), flags)]);
    for (const one of both) await one.process.waitForEvent(isTold, 30_000);
    await hears(mesh.node(0), [mesh.node(1)]);
  });
});
