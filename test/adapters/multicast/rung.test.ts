/** The hello rung on real networks: shared ports, filtered multicast, floods, and a joiner in a hurry. */

import { afterEach, expect, test } from 'vitest';

import { helloGroup, helloPort } from '../../../src/adapters/multicast/rung.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { encodeHello } from '../../../src/wire/hello.ts';
import { beaconOf, loses, sees } from '../../contract/rung.ts';
import { createLab } from '../bonjour-lab/lab.ts';
import type { Lab, LabHost } from '../bonjour-lab/lab.ts';
import { spawnBare, spawnRung } from '../bonjour-lab/remote-rung.ts';
import type { RemoteRung } from '../bonjour-lab/remote-rung.ts';

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

function hostAt(address: string): LabHost {
  lab ??= createLab();
  return lab.host(address);
}

async function rungOn(host: LabHost, speed = 1): Promise<RemoteRung> {
  const seed = processes.length + 1;
  const rung = await spawnRung(host, { kind: 'multicast', speed, seed });
  processes.push(rung);
  await rung.start();
  return rung;
}

async function bareOn(host: LabHost): Promise<RemoteRung> {
  const bare = await spawnBare(host);
  processes.push(bare);
  return bare;
}

function inject(bare: RemoteRung, packets: readonly Uint8Array[]): Promise<unknown> {
  const hex = packets.map((packet) => Buffer.from(packet).toString('hex'));
  const host = bare.host.address;
  return bare.ask({ do: 'inject', host, packets: hex, group: helloGroup, port: helloPort });
}

const here = beaconOf('here');
const there = beaconOf('there', 1884);
const helloOf = (label: string): Uint8Array =>
  encodeHello({ ...beaconOf(label), nonce: 1, isGoodbye: false, isAnswer: false });

test('several nodes of one host share the port, see each other and are seen from outside', async () => {
  const host = hostAt('10.77.0.1');
  const beacons = ['a', 'b', 'c'].map((label, at) => beaconOf(label, 2_000 + at));
  const rungs = [await rungOn(host), await rungOn(host), await rungOn(host)];
  const outside = await rungOn(hostAt('10.77.0.2'));
  for (const [at, rung] of rungs.entries()) await rung.announce(beacons[at] ?? here);
  for (const [at, rung] of [...rungs, outside].entries()) {
    for (const [other, beacon] of beacons.entries()) {
      if (other === at) continue;
      await rung.waitFor(`${at} sees ${other}`, sees(beacon, '10.77.0.1'), 5_000);
    }
  }
  expect((await outside.records()).length).toBe(3);
});

test('a joiner learns everyone by their answers, though no regular hello is due for a minute', async () => {
  // Their clocks run at a hundredth: what is due in half a second comes in fifty.
  const beacons = ['a', 'b', 'c', 'd'].map((label) => beaconOf(label));
  for (const [at, beacon] of beacons.entries()) {
    const resident = await rungOn(hostAt(`10.77.0.${at + 1}`), 0.01);
    await resident.announce(beacon);
  }
  const joiner = await spawnRung(hostAt('10.77.0.9'), { kind: 'multicast', speed: 1, seed: 9 });
  processes.push(joiner);
  const startedAt = Date.now();
  await joiner.announce(here);
  await joiner.start();
  for (const beacon of beacons) await joiner.waitFor('it sees all', sees(beacon), 5_000);
  const last = joiner.events.findLast((event) => event.event === 'seen');
  expect(last?.event === 'seen' ? last.at - startedAt : Infinity).toBeLessThan(400);
});

test('where the network drops multicast, broadcast finds the neighbours', async () => {
  const left = hostAt('10.77.0.1');
  const right = hostAt('10.77.0.2');
  for (const host of [left, right]) {
    lab?.within(host, 'nft', 'add', 'table', 'ip', 'lan');
    lab?.within(
      host,
      'nft',
      'add',
      'chain',
      'ip',
      'lan',
      'in',
      '{ type filter hook input priority 0; }',
    );
    lab?.within(
      host,
      'nft',
      'add',
      'rule',
      'ip',
      'lan',
      'in',
      'ip',
      'daddr',
      '224.0.0.0/4',
      'counter',
      'drop',
    );
  }
  const watcher = await rungOn(left);
  const speaker = await rungOn(right);
  await speaker.announce(here);
  await watcher.waitFor('seen by broadcast', sees(here, '10.77.0.2'), 5_000);
  const rules = lab?.within(left, 'nft', 'list', 'ruleset') ?? '';
  expect(Number(/counter packets (\d+)/.exec(rules)?.[1])).toBeGreaterThan(0);
});

test('a taken port is reported with its fix, and used once it is free', async () => {
  const host = hostAt('10.77.0.1');
  const holder = await bareOn(host);
  await holder.ask({ do: 'hold', port: helloPort });
  const speaker = await rungOn(hostAt('10.77.0.2'));
  await speaker.announce(here);
  const rung = await rungOn(host);
  const trouble = await rung.waitFor('trouble', (event) => event.event === 'trouble', 5_000);
  expect(trouble).toMatchObject({ problem: { reason: /EADDRINUSE/, fix: /ss -ulpn/ } });
  await holder.ask({ do: 'release' });
  await rung.waitFor('cured', (event) => event.event === 'trouble' && !event.problem, 15_000, 2);
  await rung.waitFor('the neighbour is seen', sees(here), 10_000);
});

test('a node that restarts is greeted as a newcomer, at once', async () => {
  const resident = await rungOn(hostAt('10.77.0.1'), 0.01);
  await resident.announce(here);
  const host = hostAt('10.77.0.2');
  const first = await rungOn(host);
  await first.announce(there);
  await first.waitFor('it sees the resident', sees(here), 5_000);
  await first.vanish();
  const second = await spawnRung(host, { kind: 'multicast', speed: 1, seed: 99 });
  processes.push(second);
  await second.announce(there);
  await second.start();
  await second.waitFor('it sees the resident again', sees(here), 1_000);
});

test('forged and garbled datagrams fill no table and push out no neighbour', async () => {
  const rung = await rungOn(hostAt('10.77.0.1'));
  const neighbour = await rungOn(hostAt('10.77.0.2'));
  await neighbour.announce(here);
  await rung.waitFor('the neighbour is seen', sees(here), 5_000);
  const forger = await bareOn(hostAt('10.77.0.66'));
  const random = createRandom(5);
  const garbage = Array.from({ length: 3_000 }, () =>
    Uint8Array.from({ length: random.below(200) }, () => random.below(256)),
  );
  await inject(forger, [...garbage, ...Array.from({ length: 3_000 }, (_, at) => helloOf(`${at}`))]);
  const records = await rung.records();
  expect(records.length).toBeLessThanOrEqual(256);
  expect(records.some((record) => record.node === here.node)).toBe(true);
  expect(rung.events.some(loses(here))).toBe(false);
  expect(rung.stderr()).toBe('');
});

test('hellos and goodbyes from outside of the LAN are not believed', async () => {
  const rung = await rungOn(hostAt('10.77.0.1'));
  const neighbour = await rungOn(hostAt('10.77.0.2'));
  await neighbour.announce(here);
  await rung.waitFor('the neighbour is seen', sees(here), 5_000);
  const stranger = await bareOn(hostAt('198.51.100.7'));
  const forger = await bareOn(hostAt('10.77.0.66'));
  const goodbye = encodeHello({ ...here, nonce: 1, isGoodbye: true, isAnswer: false });
  await inject(stranger, [helloOf('stranger'), goodbye]);
  await inject(forger, [goodbye, helloOf('last')]);
  await rung.waitFor('all of it has come', sees(beaconOf('last')), 5_000);
  expect(new Set((await rung.records()).map((record) => record.node))).toEqual(
    new Set([here.node, beaconOf('last').node]),
  );
});
