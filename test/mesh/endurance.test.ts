import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { buildProgram } from './build-program.ts';
import type { Host } from './lab-host.ts';
import { mintInvite, startMesh, type MeshHost } from './lab-mesh.ts';
import { createLab } from './lab.ts';
import { heals, saidBy, wronged } from './views.ts';

/** Bytes of IP packets that a host sent, by transport. */
interface Sent {
  readonly tcp: number;
  readonly udp: number;
}

const counters = `
table inet sent {
  counter sent_tcp {}
  counter sent_udp {}
  chain out {
    type filter hook output priority 0;
    oifname "eth0" meta l4proto tcp counter name sent_tcp
    oifname "eth0" meta l4proto udp counter name sent_udp
  }
}
`;

async function countSent(host: Host): Promise<void> {
  const { code, stderr } = await host.exec(['nft', '-f', '-'], { input: counters });
  expect(code, stderr).toBe(0);
}

async function sentBy(host: Host): Promise<Sent> {
  const { stdout } = await host.exec(['nft', '-j', 'list', 'counters']);
  const { nftables } = JSON.parse(stdout) as {
    nftables: { counter?: { name: string; bytes: number } }[];
  };
  const bytesOf = (name: string): number =>
    nftables.find(({ counter }) => counter?.name === name)?.counter?.bytes ?? Number.NaN;
  return { tcp: bytesOf('sent_tcp'), udp: bytesOf('sent_udp') };
}

/** Everything a host sent on its cable, frames and all. */
async function deviceBytes(host: Host): Promise<number> {
  const { stdout } = await host.exec(['cat', '/proc/net/dev']);
  const fields = /eth0:(.*)/.exec(stdout)?.[1]?.trim().split(/\s+/);
  return Number(fields?.[8]);
}

/** What an idle node of a mesh of `count` sends, in bytes a second: mean over the nodes. */
async function idleTraffic(count: number): Promise<Sent & { readonly all: number }> {
  await using lab = await createLab({ hosts: count, name: `i${count}` });
  const mesh = await startMesh(lab, count);
  await mesh.viewsComplete();
  await sleep(20_000);
  await Promise.all(lab.hosts.map(countSent));
  const before = await Promise.all(lab.hosts.map(deviceBytes));
  const since = performance.now();
  await sleep(30_000);
  const sent = await Promise.all(lab.hosts.map(sentBy));
  const after = await Promise.all(lab.hosts.map(deviceBytes));
  const seconds = (performance.now() - since) / 1000;
  const mean = (figures: readonly number[]): number =>
    figures.reduce((sum, one) => sum + one, 0) / figures.length / seconds;
  return {
    tcp: mean(sent.map(({ tcp }) => tcp)),
    udp: mean(sent.map(({ udp }) => udp)),
    all: mean(after.map((bytes, at) => bytes - (before[at] ?? 0))),
  };
}

/** Whether one of these nodes shows a member as stalled in `mycel members`, within `ms`. */
async function isShownStalled(
  nodes: readonly MeshHost[],
  name: string,
  ms: number,
): Promise<boolean> {
  const end = performance.now() + ms;
  for (let at = 0; performance.now() < end; at += 1) {
    const { stdout = '' } = (await nodes[at % nodes.length]?.host.cli('members')) ?? {};
    const rows = stdout.split('\n');
    if (rows.some((row) => row.startsWith(name) && row.includes('(stalled)'))) return true;
    await sleep(250);
  }
  return false;
}

/** The labs start one after another: many programs that load at once would be what is measured. */
const startsAfterMs = { stalls: 10_000, cables: 15_000, idle: 20_000 };

describe.concurrent('over a minute', () => {
  test('a fifth of all packets lost on every host makes nobody call a healthy member dead', async () => {
    await using lab = await createLab({ hosts: 10, name: 'l' });
    const { nodes, ...mesh } = await startMesh(lab, 10);
    await mesh.viewsComplete();
    const since = performance.now();
    for (const host of lab.hosts) host.loss(20);
    await sleep(60_000);
    const isSuspicion = (event: Readonly<Record<string, unknown>>): boolean =>
      event['event'] === 'member' && event['state'] === 'suspect';
    const suspicions = nodes
      .flatMap(({ process }) => process.events())
      .filter(({ at, event }) => at >= since && isSuspicion(event));
    console.info(`loss: ${suspicions.length} suspicions, all taken back`);
    // Without them the packets were not lost and the test would prove nothing.
    expect(suspicions.length).toBeGreaterThan(0);
    expect(wronged(nodes, since)).toEqual([]);
  });

  test('a program that blocks its loop for 5 s is not called dead, and from the second time on says that it is stalled', async () => {
    await sleep(startsAfterMs.stalls);
    await using lab = await createLab({ hosts: 3, name: 's' });
    const { nodes, ...mesh } = await startMesh(lab, 2);
    await mesh.viewsComplete();
    const host = lab.host(2);
    const program = await buildProgram('stalling-node.ts', `${host.dataDir}-program.mjs`);
    const invite = await mintInvite(lab.host(0));
    const argv = [process.execPath, program, host.dataDir, 'busy', invite];
    const busy = host.start(argv, { env: { STALL_MS: '5000' } });
    const ready = await busy.line((line) => line.includes('"ready"'), 15_000);
    const { node: id } = JSON.parse(ready) as { node: string };
    const since = performance.now();
    await saidBy(nodes, id, 'alive', 0, 15_000);
    await sleep(3_000);

    const blocked = (): number => busy.lines.filter((line) => line.includes('"stalled"')).length;
    const stalls: boolean[] = [];
    for (let round = 0; round < 2; round += 1) {
      busy.child.kill('SIGUSR2');
      stalls.push(await isShownStalled(nodes, 'busy', 6_500));
      await busy.until('its end', () => (blocked() > round ? true : undefined), 10_000);
      await saidBy(nodes, id, 'alive', 0, 5_000);
    }
    expect(stalls).toEqual([false, true]);
    const dead = nodes.flatMap(({ process: one }) =>
      one.events().filter(({ event }) => event['state'] === 'dead'),
    );
    expect(dead).toEqual([]);
    const saidDead = busy.output.filter(({ at, text }) => at > since && text.includes('"dead"'));
    expect(saidDead).toEqual([]);
  });

  test('a pulled cable and a lost interface heal within 15 s of being back', async () => {
    await sleep(startsAfterMs.cables);
    await using lab = await createLab({ hosts: 4, name: 'c' });
    const { nodes, node, ...mesh } = await startMesh(lab, 4);
    await mesh.viewsComplete();
    const cut = [node(2), node(3)];
    const since = performance.now();
    node(2).host.linkDown('cable');
    node(3).host.linkDown('interface');
    await sleep(20_000);
    for (const { id } of cut) await saidBy(nodes.slice(0, 2), id, 'dead', since, 100);
    const pluggedAt = performance.now();
    lab.heal();
    console.info(`cable and interface: ${await heals(nodes, pluggedAt)}`);
  });

  test('an idle node sends as much in a mesh of ten as in a mesh of three', async () => {
    await sleep(startsAfterMs.idle);
    const [three, ten] = await Promise.all([idleTraffic(3), idleTraffic(10)]);
    const round = (figure: number): string => figure.toFixed(0);
    console.info(
      `idle: N=3 ${round(three.all)} B/s (UDP ${round(three.udp)}, TCP ${round(three.tcp)}); ` +
        `N=10 ${round(ten.all)} B/s (UDP ${round(ten.udp)}, TCP ${round(ten.tcp)})`,
    );
    expect(three.udp).toBeGreaterThan(0);
    expect(three.tcp).toBeGreaterThan(0);
    // Nothing is sent that often for each member: that would be four times as much.
    expect(ten.udp).toBeLessThan(1.3 * three.udp);
    expect(ten.all).toBeLessThan(1.3 * three.all);
    expect(three.all).toBeLessThan(600);
  });
});
