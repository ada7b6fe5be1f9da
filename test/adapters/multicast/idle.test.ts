/** A quiet LAN stays quiet: what a node sends when nothing happens does not grow with the number of nodes. */

import { afterEach, expect, test } from 'vitest';

import { beaconOf, sees } from '../../contract/rung.ts';
import { createLab } from '../bonjour-lab/lab.ts';
import type { Lab } from '../bonjour-lab/lab.ts';
import { spawnRung } from '../bonjour-lab/remote-rung.ts';
import type { RemoteRung } from '../bonjour-lab/remote-rung.ts';

let lab: Lab | undefined;
const processes: RemoteRung[] = [];

/** A minute of the rungs' clocks takes 1.5 seconds. */
const speed = 40;

/** After this time on the clock of the rungs nothing of the start is left, in ms. */
const calmMs = 130_000;

/** How long is counted, in ms on the clock of the rungs. */
const countedMs = 300_000;

afterEach(async () => {
  for (const one of processes.splice(0)) {
    one.signal('SIGKILL');
    await one.ended;
  }
  lab?.close();
  lab = undefined;
});

/** UDP datagrams sent per node and minute by so many idle nodes. */
async function idleRate(kind: 'mdns' | 'multicast', count: number): Promise<number> {
  const created = createLab();
  lab = created;
  const rungs: RemoteRung[] = [];
  for (let at = 0; at < count; at += 1) {
    const rung = await spawnRung(created.host(`10.77.0.${at + 1}`), { kind, speed, seed: at });
    rungs.push(rung);
    processes.push(rung);
  }
  for (const [at, rung] of rungs.entries()) {
    await rung.start();
    await rung.announce(beaconOf(`${at}`));
  }
  const last = rungs.at(-1);
  for (const rung of rungs.slice(0, -1)) {
    await rung.waitFor('the last is seen', sees(beaconOf(`${count - 1}`)), 10_000);
  }
  const clockOf = async (): Promise<number> => Number(await last?.ask({ do: 'now' }));
  const sent = (): number => rungs.reduce((sum, rung) => sum + sentBy(created, rung), 0);
  const patience = { timeout: 28_000, interval: 20 };
  await expect.poll(clockOf, patience).toBeGreaterThan(calmMs);
  const [startedAt, before] = [await clockOf(), sent()];
  await expect.poll(clockOf, patience).toBeGreaterThan(startedAt + countedMs);
  const [endedAt, after] = [await clockOf(), sent()];
  // Quiet, but not so quiet that somebody seems gone.
  const losses = rungs.flatMap((rung) => rung.events.filter((event) => event.event === 'lost'));
  expect(losses).toEqual([]);
  return (after - before) / count / ((endedAt - startedAt) / 60_000);
}

function sentBy(created: Lab, rung: RemoteRung): number {
  const rows = created.within(rung.host, 'cat', '/proc/net/snmp').split('\n');
  const [names, values] = rows.filter((row) => row.startsWith('Udp:')).map((row) => row.split(' '));
  return Number(values?.[names?.indexOf('OutDatagrams') ?? 0]);
}

test.each([
  ['multicast', 2, 6],
  ['multicast', 8, 6],
  ['mdns', 2, 3],
  ['mdns', 8, 3],
] as const)(
  '%s: each of %i idle nodes sends %i datagrams a minute at most',
  async (kind, count, limit) => {
    const perMinute = await idleRate(kind, count);
    console.log(`${kind}, ${count} idle nodes: ${perMinute.toFixed(2)} datagrams a minute each`);
    expect(perMinute).toBeGreaterThan(0.5);
    expect(perMinute).toBeLessThanOrEqual(limit);
  },
  60_000,
);
