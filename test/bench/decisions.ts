/** What a group of three voters does, each a process of its own: how soon it decides, how much, and who leads after a kill. */

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, quantile, row, type Row } from './row.ts';
import { startVoters } from './voters.ts';
import type { VoterGroup } from './voters.ts';

/** How long to measure. */
export interface DecisionsOptions {
  /** Times that the leader's process is killed. */
  readonly kills: number;
  /** Writes one after the other. */
  readonly writes: number;
  /** Seconds under load. */
  readonly seconds: number;
}

/** Writers at once under load. */
const writers = 256;

/** Bytes of one synced write of the comparison: what one command takes in the log, which keeps it twice. */
const recordBytes = 300;

/** Turns between commits and syncs, so that both meet the same machine. */
const turns = 10;

/** Measures. */
export async function decisions(options: DecisionsOptions): Promise<readonly Row[]> {
  await using group = await startVoters(3);
  const first = await group.settled();
  await first.ask('serial', { count: 500 });
  const count = Math.ceil(options.writes / turns);
  const syncs = { fsync: [] as number[], fdatasync: [] as number[] };
  const commits: number[] = [];
  for (let at = 0; commits.length < options.writes && at < 4 * turns; at += 1) {
    // At the leader itself: a busy one hands over, and from then on another node's writes have a longer way.
    const leader = await group.settled();
    for (const way of ['fsync', 'fdatasync'] as const) {
      syncs[way].push(...(await syncTimes(group.home, way, count)));
    }
    const took = await leader.ask('serial', { count });
    if ((await group.settled()) === leader) commits.push(...took);
  }
  const leader = await group.settled();
  const alone = await leader.ask('load', { writers: 1, seconds: options.seconds / 2 });
  const loaded = await leader.ask('load', { writers, seconds: options.seconds });
  const kills = await killLeaders(group, options.kills);
  const closed = { name: 'its link is seen to close', value: median(kills.closed) };
  return [
    row('commit-p50', 64, median(commits), 'ms', {
      name: 'one fsync',
      value: median(syncs.fsync),
    }),
    row('commit-p50-datasync', 64, median(commits), 'ms', {
      name: 'one fdatasync',
      value: median(syncs.fdatasync),
    }),
    row('commits', 64, loaded.perSecond, 'op/s', {
      name: 'one writer',
      value: alone.perSecond,
    }),
    row('leader-after-kill-p50', 0, median(kills.told), 'ms', closed),
    row('leader-after-kill-p99', 0, quantile(kills.told, 0.99), 'ms', {
      ...closed,
      value: quantile(kills.closed, 0.99),
    }),
  ];
}

/** On the file system that the journals lie on: a write that makes its file longer, and its sync. */
async function syncTimes(
  home: string,
  way: 'fsync' | 'fdatasync',
  count: number,
): Promise<number[]> {
  const file = await open(join(home, way), 'w');
  try {
    const took: number[] = [];
    for (let at = 0; at < count; at += 1) {
      const from = performance.now();
      await file.write(Buffer.alloc(recordBytes, 7), 0, recordBytes, at * recordBytes);
      await (way === 'fsync' ? file.sync() : file.datasync());
      took.push(performance.now() - from);
    }
    return took;
  } finally {
    await file.close();
  }
}

/** From kill -9 of the leader to the first answer that says who leads instead, and to the first link that closes. */
async function killLeaders(
  group: VoterGroup,
  count: number,
): Promise<{ readonly told: number[]; readonly closed: number[] }> {
  const told: number[] = [];
  const closed: number[] = [];
  for (let round = 0; round < count; round += 1) {
    const leader = await group.settled();
    const survivors = group.voters.filter((voter) => voter !== leader);
    const watches = survivors.map((voter) => voter.ask('successor', { not: leader.id }));
    // Anywhere between two heartbeats.
    await sleep(200 + 50 * Math.random());
    const killedAt = await leader.kill();
    const heard = await Promise.all(watches);
    const since = (at: string): number => Number(BigInt(at) - killedAt) / 1e6;
    told.push(Math.min(...heard.map(({ at }) => since(at))));
    closed.push(Math.min(...heard.map(({ closedAt }) => since(closedAt))));
    await group.restart(leader.name);
  }
  return { told, closed };
}
