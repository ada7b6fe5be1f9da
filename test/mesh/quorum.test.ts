/** What was acknowledged stays, and locks have one holder, while real nodes on hosts of their own are killed under writes. */

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { callNode, connectControl } from '../../device/control-client.ts';
import { Failure } from '../../device/failure.ts';
import { createFence } from '../../src/index.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { createLab } from './lab.ts';
import type { Host } from './lab-host.ts';
import { startMesh, startNode } from './lab-mesh.ts';

/** How long nodes are killed, in ms. @default 15 s; five minutes with MYCEL_KILL_MS=300000 */
const killMs = Number(process.env['MYCEL_KILL_MS'] ?? 15_000);

/** A node is down for so long after a kill, in ms. */
const downMs = 700;

/** One decision is waited for so long, in ms. */
const timeoutMs = 4_000;

const flags = ['--profile', 'fast'];

/** Keys of one writer; a group holds 10 000 in all. */
const keysMax = 3_000;

/** What one writer, who writes nothing but rising numbers, asked for last at a key, and what was acknowledged last. */
interface Told {
  readonly asked: number;
  readonly acked: number | undefined;
}

/** Whether the value there is the one that was acknowledged last, or one that was asked for later. */
function isKept(value: unknown, { asked, acked }: Told): boolean {
  if (acked === undefined && value === undefined) return true;
  return typeof value === 'number' && value >= (acked ?? 0) && value <= asked;
}

/** Refusals and lost connections are what kills bring; anything else is a finding. */
const expected: ReadonlySet<string> = new Set([
  'MYCEL_NO_NODE',
  'MYCEL_CONTROL_LOST',
  'MYCEL_NO_ANSWER',
  'MYCEL_NO_QUORUM',
  'MYCEL_LOCK_BUSY',
  'MYCEL_NOT_RUNNING',
]);

async function unlessKilled<Result>(work: Promise<Result>): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Failure && expected.has(error.code)) return undefined;
    throw error;
  }
}

async function within(ms: number, what: string, holds: () => Promise<boolean>): Promise<void> {
  const from = performance.now();
  while (!(await holds())) {
    if (performance.now() - from > ms) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(50);
  }
}

/** Holds a lock for a moment on one host, again and again, and does something at a place that checks fencing tokens. */
async function useLock(
  host: Host,
  isOver: () => boolean,
  act: (token: number, owner: string) => void,
  owner: string,
): Promise<void> {
  while (!isOver()) {
    const client = await unlessKilled(connectControl(host.dataDir));
    if (client === undefined) {
      await sleep(100);
      continue;
    }
    let token = 0;
    let isLost = false;
    const ended = new Promise<void>((resolve) => {
      const end = (): void => {
        isLost = true;
        resolve();
      };
      client
        .stream(
          'lock',
          { name: 'sink', ttlMs: 2_000, waitMs: timeoutMs },
          {
            event(event) {
              if (event.type === 'granted') ({ token } = event);
              else end();
            },
            ended: end,
          },
        )
        .catch(end);
      void client.closed.then(end);
    });
    await Promise.race([ended, until(() => token > 0 || isOver())]);
    // A holder acts until it hears that the lock is lost, and once more: it may always hear too late.
    for (let turn = 0; token > 0 && turn < 5; turn += 1) {
      act(token, owner);
      if (isLost) break;
      await Promise.race([ended, sleep(20)]);
    }
    client.close();
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

test(
  'three voters killed at random under writes: nothing acknowledged is lost, and no lock is held twice',
  async () => {
    await using lab = await createLab({ hosts: 3, name: 'q' });
    const mesh = await startMesh(lab, 3, { flags });
    await mesh.viewsComplete();
    const { hosts } = lab;
    const leaderView = (host: Host) =>
      unlessKilled(callNode(host.dataDir, 'leader', { timeoutMs }));
    await within(40_000, 'three voters', async () => {
      const views = await Promise.all(hosts.map(leaderView));
      return views.every((view) => view?.voters.length === 3);
    });
    const seed = Math.floor(Math.random() * 2 ** 31);
    console.log(`seed ${seed}`);
    const random = createRandom(seed);
    const endsAt = performance.now() + killMs;
    const isOver = (): boolean => performance.now() > endsAt;

    // Of each key what was asked for last, and what was acknowledged last: there must be nothing older.
    const decided = new Map<string, Told>();
    const written = new Map<string, Told>();
    let decisions = 0;
    const writer = async (host: Host): Promise<void> => {
      for (let turn = 1; !isOver(); turn += 1) {
        const key = `kill/${host.at}/${turn % keysMax}`;
        const value = String(turn);
        const before = { decided: decided.get(key)?.acked, written: written.get(key)?.acked };
        decided.set(key, { asked: turn, acked: before.decided });
        const put = callNode(host.dataDir, 'kv-put', { key, value, timeoutMs });
        if ((await unlessKilled(put)) !== undefined) {
          decided.set(key, { asked: turn, acked: turn });
          decisions += 1;
        }
        written.set(key, { asked: turn, acked: before.written });
        const set = callNode(host.dataDir, 'state-set', { key, json: value });
        if ((await unlessKilled(set)) !== undefined) written.set(key, { asked: turn, acked: turn });
        else await sleep(50);
      }
    };

    const fence = createFence();
    const holderOf = new Map<number, string>();
    const tokens: number[] = [];
    const act = (token: number, owner: string): void => {
      try {
        fence.check(token);
      } catch {
        return;
      }
      const holder = holderOf.get(token);
      if (holder !== undefined && holder !== owner) {
        throw new Error(`${holder} and ${owner} both hold the lock with token ${token}`);
      }
      holderOf.set(token, owner);
      tokens.push(token);
    };

    let kills = 0;
    const killer = async (): Promise<void> => {
      while (!isOver()) {
        await sleep(500 + random.below(1_500));
        // Now and then all at once, as when the fuse blows.
        const victims = random.below(5) === 0 ? hosts : [hosts[random.below(3)] as Host];
        await Promise.all(victims.map((host) => host.kill()));
        kills += victims.length;
        await sleep(random.below(downMs));
        await Promise.all(victims.map((host) => startNode(host, flags)));
      }
    };
    await Promise.all([
      killer(),
      ...hosts.map(writer),
      ...hosts.map((host) => useLock(host, isOver, act, `host ${host.at}`)),
    ]);

    expect(kills).toBeGreaterThan(2);
    expect(decisions).toBeGreaterThan(10);
    expect(written.size).toBeGreaterThan(10);
    expect(holderOf.size).toBeGreaterThan(1);
    expect(tokens).toEqual(tokens.toSorted((left, right) => left - right));

    await within(40_000, 'a leader afterwards', async () => {
      const views = await Promise.all(hosts.map(leaderView));
      return views.every((view) => view?.leader !== undefined);
    });
    const lost: string[] = [];
    for (const [key, told] of decided) {
      const host = hosts[told.asked % 3] as Host;
      const found = await callNode(host.dataDir, 'kv-get', { key, timeoutMs: 20_000 });
      if (!isKept(found?.value, told)) lost.push(`${key}: ${JSON.stringify({ found, told })}`);
    }
    expect(lost).toEqual([]);
    await within(30_000, 'equal state', async () => {
      const all = await Promise.all(
        hosts.map((host) => callNode(host.dataDir, 'state-status', {})),
      );
      return new Set(all.map(({ fingerprint }) => fingerprint)).size === 1;
    });
    for (const host of hosts) {
      const rows = await callNode(host.dataDir, 'state-ls', { prefix: 'kill/' });
      const there = new Map(rows.map(({ key, value }) => [key, value]));
      const gone = [...written].filter(([key, told]) => !isKept(there.get(key), told));
      expect(gone).toEqual([]);
    }
    // A node that comes back has the seat that it had.
    const { voters } = (await leaderView(hosts[0] as Host)) ?? { voters: [] };
    expect(new Set(voters)).toEqual(new Set(mesh.nodes.map(({ id }) => id)));
    console.log(
      `${kills} kills in ${killMs} ms: ${decisions} decisions, ${decided.size} keys, ${holderOf.size} locks`,
    );
  },
  240_000 + killMs,
);
