import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createMesh, mintInvite, startMesh, startNode } from './lab-mesh.ts';
import { createLab } from './lab.ts';
import { median, membersOf, pubSubWorks, saidBy, spread, wronged } from './views.ts';

/** How the nodes find one another; `founder` is where the first one is. */
const ways: readonly {
  readonly name: string;
  readonly isUnicastOnly: boolean;
  flags(founder: string): readonly string[];
}[] = [
  { name: 'every way of discovery', isUnicastOnly: false, flags: () => [] },
  { name: 'no mDNS', isUnicastOnly: false, flags: () => ['--no-mdns'] },
  {
    name: 'a seed only, on a LAN without multicast',
    isUnicastOnly: true,
    flags: (founder) => [
      '--no-mdns',
      '--no-multicast',
      ...(founder === '' ? [] : ['--seed', founder]),
    ],
  },
  {
    name: 'nothing but its invite',
    isUnicastOnly: true,
    flags: () => ['--no-mdns', '--no-multicast'],
  },
];

test.for(ways)(
  'ten hosts that start together see one another within 2 s, and an eleventh within 1 s, with $name',
  async ({ name, isUnicastOnly, flags }) => {
    const count = 10;
    await using lab = await createLab({ hosts: count + 1 });
    for (const host of lab.hosts) host.dropMulticast(isUnicastOnly);
    const mesh = await startMesh(lab, count, { flags: (_, founder) => flags(founder) });
    const times = await mesh.viewTimes();

    const invite = await mintInvite(lab.host(0));
    const founder = `${lab.host(0).address}:${mesh.node(0).mqttPort}`;
    const newcomer = await startNode(lab.host(count), ['--join', invite, ...flags(founder)]);
    const larger = createMesh([...mesh.nodes, newcomer]);
    const joiningMs = await larger.viewsComplete();

    console.info(`${name}: cold start ${spread(times)}; newcomer ${Math.round(joiningMs)} ms`);
    expect(median(times)).toBeLessThan(2_000);
    expect(joiningMs).toBeLessThan(1_000);
    expect(wronged(larger.nodes, 0)).toEqual([]);
  },
);

test('a LAN that lets no UDP through has a mesh all the same, by links alone', async () => {
  await using lab = await createLab({ hosts: 4 });
  const noUdp = 'table inet closed {\nchain out {\ntype filter hook output priority 0;\n';
  for (const host of lab.hosts) {
    const input = `${noUdp}oifname "eth0" meta l4proto udp drop\n}\n}\n`;
    expect((await host.exec(['nft', '-f', '-'], { input })).code).toBe(0);
  }
  const mesh = await startMesh(lab, 4);
  const since = performance.now();
  const times = await mesh.viewTimes();
  await sleep(8_000);
  const ms = await pubSubWorks(mesh.nodes, 10_000);
  console.info(`no UDP: cold start ${spread(times)}; messages ${Math.round(ms)} ms`);
  expect(Math.max(...times)).toBeLessThan(10_000);
  expect(wronged(mesh.nodes, since)).toEqual([]);
});

test('a fresh node walks through an open window, on probation until its six digits are approved', async () => {
  await using lab = await createLab({ hosts: 3 });
  const mesh = await startMesh(lab, 2);
  await mesh.viewsComplete();
  const opened = await lab.host(0).cli('invite', '--open', '5m', '--json');
  expect(opened.code).toBe(0);

  const fresh = await startNode(lab.host(2), []);
  const all = createMesh([...mesh.nodes, fresh]);
  await all.viewsComplete();
  const pending = await mesh
    .node(0)
    .process.waitForEvent((one) => one['event'] === 'pending', 5_000);
  const code = String(pending['code']);
  expect(pending).toMatchObject({ id: fresh.id, name: fresh.name });
  expect(code).toMatch(/^[0-9]{6}$/);
  const household = async (): Promise<Record<string, unknown>> => {
    const { json } = await fresh.host.cli('status', '--json');
    return (json as { mesh: Record<string, unknown> }).mesh;
  };
  expect(await household()).toMatchObject({ isProvisional: false, probationCode: code });

  const wrong = code === '000000' ? '111111' : '000000';
  expect((await lab.host(0).cli('approve', wrong)).code).toBe(1);
  expect((await lab.host(0).cli('approve', code)).code).toBe(0);
  const end = performance.now() + 10_000;
  while ((await household())['probationCode'] !== undefined) {
    expect(performance.now(), 'still on probation').toBeLessThan(end);
    await sleep(100);
  }
  await pubSubWorks(all.nodes, 10_000);
});

test.for(['interface', 'cable'] as const)(
  'a node that starts with its %s down joins by itself when the network comes, and comes back to its mesh likewise',
  async (how) => {
    await using lab = await createLab({ hosts: 3 });
    const mesh = await startMesh(lab, 2);
    await mesh.viewsComplete();
    const invite = await mintInvite(lab.host(0));
    lab.host(2).linkDown(how);
    const fresh = await startNode(lab.host(2), ['--join', invite]);
    await sleep(3_000);
    expect((await membersOf(fresh)).size).toBe(1);

    const pluggedAt = performance.now();
    lab.host(2).linkUp(how);
    const first = await saidBy(mesh.nodes, fresh.id, 'alive', pluggedAt, 15_000);

    fresh.process.child.kill('SIGTERM');
    expect(await fresh.process.ended).toBe(0);
    lab.host(2).linkDown(how);
    const again = await startNode(lab.host(2), []);
    const pluggedAgainAt = performance.now();
    lab.host(2).linkUp(how);
    const second = await saidBy(mesh.nodes, fresh.id, 'alive', pluggedAgainAt, 15_000);
    await pubSubWorks([...mesh.nodes, again], 10_000);
    console.info(`${how} down at boot: joined ${spread(first)}, back ${spread(second)}`);
  },
);
