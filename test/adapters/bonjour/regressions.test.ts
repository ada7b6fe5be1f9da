/** What kills or misleads bare bonjour-service leaves the mDNS rung unmoved. Each law shows both where it can. */

import { afterEach, expect, test } from 'vitest';

import { beaconOf, loses, sees } from '../../contract/rung.ts';
import { spawnBare, spawnRung } from '../bonjour-lab/remote-rung.ts';
import type { RemoteRung } from '../bonjour-lab/remote-rung.ts';
import { createLab } from '../bonjour-lab/lab.ts';
import type { Lab } from '../bonjour-lab/lab.ts';
import type { ListedService } from '../bonjour-lab/bare-child.ts';
import { beaconPacket, queryPacket } from '../bonjour-lab/mdns-packet.ts';

let lab: Lab | undefined;
const processes: RemoteRung[] = [];

afterEach(async () => {
  for (const one of processes.splice(0)) {
    one.signal('SIGKILL');
    await one.ended;
  }
  lab?.close();
  lab = undefined;
});

async function rungAt(address: string, speed = 1): Promise<RemoteRung> {
  lab ??= createLab();
  const rung = await spawnRung(lab.host(address), { kind: 'mdns', speed, seed: 7 });
  processes.push(rung);
  await rung.start();
  return rung;
}

async function bareAt(address: string): Promise<RemoteRung> {
  lab ??= createLab();
  const bare = await spawnBare(lab.host(address));
  processes.push(bare);
  return bare;
}

function inject(bare: RemoteRung, packets: readonly Buffer[]): Promise<unknown> {
  const host = bare.host.address;
  return bare.ask({
    do: 'inject',
    host,
    packets: packets.map((packet) => packet.toString('hex')),
    group: '224.0.0.251',
    port: 5353,
  });
}

async function listOf(bare: RemoteRung): Promise<readonly ListedService[]> {
  return (await bare.ask({ do: 'list' })) as readonly ListedService[];
}

/** UDP datagrams that the host has sent since it was made. */
function sentBy(rung: RemoteRung): number {
  const rows = (lab?.within(rung.host, 'cat', '/proc/net/snmp') ?? '').split('\n');
  const [names, values] = rows.filter((row) => row.startsWith('Udp:')).map((row) => row.split(' '));
  return Number(values?.[names?.indexOf('OutDatagrams') ?? 0]);
}

const here = beaconOf('here');
const fake = beaconOf('fake', 1999);

test('a peer that is silent for its TTL is lost; bare bonjour-service lists it for ever', async () => {
  const rung = await rungAt('10.77.0.1', 12);
  const bare = await bareAt('10.77.0.2');
  const forger = await bareAt('10.77.0.3');
  await bare.ask({ do: 'find', withTxt: false });
  await inject(forger, [beaconPacket(fake, 1)]);
  await rung.waitFor('the peer is seen', sees(fake, '10.77.0.3'), 5_000);
  await rung.waitFor('the peer is lost', loses(fake), 5_000);
  expect((await listOf(bare)).map((service) => service.name)).toEqual([fake.node]);
});

test('a question on a LAN without a default route is answered; bare bonjour-service dies of it', async () => {
  const rung = await rungAt('10.77.0.1');
  const bare = await bareAt('10.77.0.2');
  const asker = await rungAt('10.77.0.3');
  await rung.announce(here);
  await bare.ask({ do: 'publish', name: 'bare', port: 1 }).catch(() => undefined);
  await asker.burst();
  await asker.waitFor('the rung is seen', sees(here), 5_000);
  expect(await bare.ended).not.toBe('0 null');
  expect(bare.stderr()).toContain('ENETUNREACH');
  expect(rung.stderr()).toBe('');
});

test('a taken port 5353 is reported with its fix and used once it is free; bare dies of it', async () => {
  const bare = await bareAt('10.77.0.1');
  const other = await rungAt('10.77.0.2');
  await other.announce(here);
  await bare.ask({ do: 'hold', port: 5353 });
  const rung = await spawnRung(bare.host, { kind: 'mdns', speed: 1, seed: 3 });
  processes.push(rung);
  await rung.start();
  const trouble = await rung.waitFor('trouble', (event) => event.event === 'trouble', 5_000);
  expect(trouble).toMatchObject({ problem: { reason: /EADDRINUSE/, fix: /ss -ulpn/ } });
  const victim = await spawnBare(bare.host);
  processes.push(victim);
  await victim.ask({ do: 'find', withTxt: false }).catch(() => undefined);
  expect(await victim.ended).not.toBe('0 null');
  expect(victim.stderr()).toContain('EADDRINUSE');

  await bare.ask({ do: 'release' });
  await rung.waitFor('it works', (event) => event.event === 'trouble' && !event.problem, 15_000, 2);
  await rung.waitFor('the other is seen', sees(here), 5_000);
});

test('a record set without TXT is ignored; the txt filter of bare bonjour-service dies of it', async () => {
  const rung = await rungAt('10.77.0.1');
  const bare = await bareAt('10.77.0.2');
  const forger = await bareAt('10.77.0.3');
  await bare.ask({ do: 'find', withTxt: true });
  await inject(forger, [beaconPacket(here, 120), beaconPacket(fake, 120, false)]);
  await inject(forger, [beaconPacket(here, 120, false)]);
  expect(await bare.ended).not.toBe('0 null');
  await rung.waitFor('the honest one is seen', sees(here), 5_000);
  const records = await rung.records();
  expect(records.map(({ node, state }) => ({ node, state }))).toEqual([
    { node: here.node, state: 'member' },
  ]);
});

test('5000 invented services fill neither the table nor the memory, and push out no neighbour', async () => {
  const rung = await rungAt('10.77.0.1');
  const neighbour = await rungAt('10.77.0.2');
  const bare = await bareAt('10.77.0.3');
  const forger = await bareAt('10.77.0.4');
  await bare.ask({ do: 'find', withTxt: false });
  await neighbour.announce(here);
  await rung.waitFor('the neighbour is seen', sees(here), 5_000);
  const heapBefore = Number(await rung.ask({ do: 'memory' }));
  const invented = Array.from({ length: 5_000 }, (_, at) => beaconPacket(beaconOf(`${at}`), 300));
  await inject(forger, invented);
  expect((await listOf(bare)).length).toBeGreaterThan(256);
  const records = await rung.records();
  expect(records.length).toBeGreaterThan(64);
  expect(records.length).toBeLessThanOrEqual(256);
  expect(records.some((record) => record.node === here.node)).toBe(true);
  expect(Number(await rung.ask({ do: 'memory' })) - heapBefore).toBeLessThan(8_000_000);
});

test('a new address is in the records; bare bonjour-service tells the old one for ever', async () => {
  // The bare ones come first: without a route they would die of a rung's question.
  const bare = await bareAt('10.77.0.3');
  const browser = await bareAt('10.77.0.4');
  const routeOn = (one: RemoteRung): void => {
    lab?.within(one.host, 'ip', 'route', 'replace', 'default', 'dev', 'eth0');
  };
  routeOn(bare);
  await bare.ask({ do: 'publish', name: 'bare', port: 1 });
  lab?.readdress(bare.host, '10.77.0.3', '10.77.0.33');
  routeOn(bare);
  routeOn(browser);
  await browser.ask({ do: 'find', withTxt: false });
  const told = async (): Promise<unknown> =>
    (await listOf(browser)).find((service) => service.name === 'bare')?.addresses?.[0];
  await expect.poll(told, { timeout: 5_000 }).toBe('10.77.0.3');

  const rung = await rungAt('10.77.0.1');
  const watcher = await rungAt('10.77.0.2');
  await rung.announce(here);
  await watcher.waitFor('seen', sees(here, '10.77.0.1'), 5_000);
  lab?.readdress(rung.host, '10.77.0.1', '10.77.0.11');
  await watcher.waitFor('seen at the new address', sees(here, '10.77.0.11'), 15_000);
  const dump = (await rung.ask({ do: 'dump' })) as { records: { type: string; data: unknown }[] }[];
  const hosts = dump.flatMap(({ records }) => records.filter((record) => record.type === 'A'));
  expect(hosts.map((record) => record.data)).toEqual(['10.77.0.11']);
});

test('two devices with one identity do not silence each other', async () => {
  const left = await rungAt('10.77.0.1');
  const right = await rungAt('10.77.0.2');
  const watcher = await rungAt('10.77.0.3');
  await Promise.all([left.announce(here), right.announce(here)]);
  await watcher.waitFor('one is seen', sees(here), 5_000);
  await expect
    .poll(async () => (await watcher.records())[0]?.addresses.map((address) => address.host).sort())
    .toEqual(['10.77.0.1', '10.77.0.2']);
  expect(watcher.events.some(loses(here))).toBe(false);
});

test('a Docker bridge is neither announced nor used; bare bonjour-service announces it', async () => {
  const watcher = await rungAt('10.77.0.2');
  const rung = await rungAt('10.77.0.1');
  const inHost = (...command: string[]): void => void lab?.within(rung.host, ...command);
  inHost('ip', 'link', 'add', 'docker0', 'type', 'veth', 'peer', 'name', 'veth9');
  inHost('ip', 'addr', 'add', '172.17.0.1/16', 'dev', 'docker0');
  inHost('ip', 'link', 'set', 'veth9', 'up');
  inHost('ip', 'link', 'set', 'docker0', 'up');
  inHost('ip', 'route', 'add', 'default', 'dev', 'eth0');
  const again = await spawnRung(rung.host, { kind: 'mdns', speed: 1, seed: 9 });
  processes.push(again);
  await again.start();
  await again.announce(here);
  await watcher.waitFor('seen', sees(here, '10.77.0.1'), 5_000);
  const [record] = await watcher.records();
  expect(record?.addresses).toEqual([{ host: '10.77.0.1', port: here.port }]);

  const bare = await spawnBare(rung.host);
  processes.push(bare);
  await bare.ask({ do: 'publish', name: 'bare', port: 1 });
  await bare.ask({ do: 'find', withTxt: false });
  await expect
    .poll(async () => (await listOf(bare)).find((service) => service.name === 'bare')?.addresses)
    .toContain('172.17.0.1');
});

test('packets from outside of the LAN are not believed', async () => {
  const rung = await rungAt('10.77.0.1');
  const stranger = await bareAt('198.51.100.7');
  const neighbour = await bareAt('10.77.0.2');
  await inject(stranger, [beaconPacket(fake, 120)]);
  await inject(neighbour, [beaconPacket(here, 120)]);
  await rung.waitFor('the neighbour is seen', sees(here), 5_000);
  expect((await rung.records()).map((record) => record.node)).toEqual([here.node]);
});

test('a flood of 6000 questions is answered by a few packets', async () => {
  const rung = await rungAt('10.77.0.1');
  const asker = await bareAt('10.77.0.2');
  const watcher = await rungAt('10.77.0.3');
  await rung.announce(here);
  await watcher.waitFor('seen', sees(here), 5_000);
  const before = sentBy(rung);
  const startedAt = performance.now();
  const flood = Array.from({ length: 100 }, () => queryPacket('_mycel._tcp.local', 60));
  await inject(asker, flood);
  const changed = { ...here, state: 'open' } as const;
  await rung.announce(changed);
  await watcher.waitFor('still there', sees(changed), 5_000);
  const seconds = (performance.now() - startedAt) / 1_000;
  const sent = sentBy(rung) - before;
  // It was heard, so an answer to the asker alone is among them.
  expect(sent).toBeGreaterThan(2);
  expect(sent).toBeLessThan(26 + 10 * seconds);
});

test('services come and go at run time, and the node stays', async () => {
  const rung = await rungAt('10.77.0.1');
  const watcher = await rungAt('10.77.0.2');
  await rung.announce(here);
  await watcher.waitFor('seen', sees(here), 5_000);
  const service = { type: 'http', name: 'dashboard', port: 8080, txt: { path: '/' } };
  await rung.ask({ do: 'addService', service });
  const names = async (): Promise<string[]> => {
    const dump = (await rung.ask({ do: 'dump' })) as { records: { name: string }[] }[];
    return dump.flatMap(({ records }) => records.map((record) => record.name));
  };
  expect(await names()).toContain('dashboard._http._tcp.local');
  await rung.ask({ do: 'removeService', service });
  expect(await names()).not.toContain('dashboard._http._tcp.local');
  await watcher.burst();
  expect(watcher.events.some(loses(here))).toBe(false);
  await expect(
    rung.ask({ do: 'addService', service: { ...service, name: 'a.b' } }),
  ).rejects.toThrow('name');
});
