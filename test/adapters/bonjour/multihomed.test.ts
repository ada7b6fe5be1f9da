/** A host on two LANs is found on both, on each at the address it has there. */

import { afterEach, expect, test } from 'vitest';

import { beaconOf, sees } from '../../contract/rung.ts';
import { createLab } from '../bonjour-lab/lab.ts';
import type { Lab, LabHost } from '../bonjour-lab/lab.ts';
import { spawnRung } from '../bonjour-lab/remote-rung.ts';
import type { RemoteRung } from '../bonjour-lab/remote-rung.ts';

const labs: Lab[] = [];
const processes: RemoteRung[] = [];

afterEach(async () => {
  for (const one of processes.splice(0)) {
    one.signal('SIGKILL');
    await one.ended;
  }
  for (const lab of labs.splice(0)) lab.close();
});

test.each(['mdns', 'multicast'] as const)('%s tells each LAN its own address', async (kind) => {
  async function rungOn(host: LabHost): Promise<RemoteRung> {
    const rung = await spawnRung(host, { kind, speed: 1, seed: processes.length });
    processes.push(rung);
    await rung.start();
    return rung;
  }
  const [wire, radio] = [createLab(), createLab()];
  labs.push(wire, radio);
  const both = wire.host('10.77.0.1');
  radio.attach(both, 'wlan0', '10.78.0.1');
  const middle = await rungOn(both);
  const left = await rungOn(wire.host('10.77.0.2'));
  const right = await rungOn(radio.host('10.78.0.2'));
  const [beacon, leftBeacon, rightBeacon] = [beaconOf('m'), beaconOf('l'), beaconOf('r')];
  await middle.announce(beacon);
  await left.announce(leftBeacon);
  await right.announce(rightBeacon);

  await middle.waitFor('it sees the wire', sees(leftBeacon, '10.77.0.2'), 5_000);
  await middle.waitFor('it sees the radio', sees(rightBeacon, '10.78.0.2'), 5_000);
  await left.waitFor('the wire sees it', sees(beacon, '10.77.0.1'), 5_000);
  await right.waitFor('the radio sees it', sees(beacon, '10.78.0.1'), 5_000);
  const hostsOf = async (rung: RemoteRung): Promise<unknown> =>
    (await rung.records()).map((record) => record.addresses.map((address) => address.host));
  expect(await hostsOf(left)).toEqual([['10.77.0.1']]);
  expect(await hostsOf(right)).toEqual([['10.78.0.1']]);
});
