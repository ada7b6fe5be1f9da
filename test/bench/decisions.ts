/** What a group of three voters does, each a process of its own: how soon it decides, how much, and who leads after a kill. */

import { setTimeout as sleep } from 'node:timers/promises';
import { median, quantile, row, type Row } from './row.ts';
import { startVoters } from './voters.ts';
import type { VoterGroup } from './voters.ts';
import { warmUp } from './warm-up.ts';

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

/** Writers at once while it warms up: few, so that each commit has letters of its own as those have that are timed. */
const warmingWriters = 8;

/** Commits in a row, and syncs in a row after them, so that both meet the same machine. */
const inRow = 10;

/** Measures. */
export async function decisions(options: DecisionsOptions): Promise<readonly Row[]> {
  await using group = await startVoters(3);
  await warmUp(async () => {
    const leader = await group.settled();
    const pace = { writers: warmingWriters, seconds: options.seconds / 10 };
    return (await leader.ask('load', pace)).perSecond;
  });
  const turns = Math.ceil(options.writes / inRow);
  const commits: number[] = [];
  const appends: number[] = [];
  const overwrites: number[] = [];
  for (let at = 0; commits.length < options.writes && at < 4 * turns; at += 1) {
    // At the leader itself: a busy one hands over, and from then on another node's writes have a longer way.
    const leader = await group.settled();
    const took = await leader.ask('serial', { count: inRow });
    if ((await group.settled()) !== leader) continue;
    const synced = await leader.ask('syncs', { count: inRow });
    commits.push(...took);
    appends.push(...synced.appends);
    overwrites.push(...synced.overwrites);
  }
  const leader = await group.settled();
  const alone = await leader.ask('load', { writers: 1, seconds: options.seconds / 2 });
  const loaded = await leader.ask('load', { writers, seconds: options.seconds });
  const kills = await killLeaders(group, options.kills);
  const closed = { name: 'its link is seen to close', value: median(kills.closed) };
  return [
    row('commit-p50', 64, median(commits), 'ms', {
      name: 'one fsync',
      value: median(appends),
    }),
    row('commit-p50-own-write', 64, median(commits), 'ms', {
      name: 'one synced write to a log',
      value: median(overwrites),
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
