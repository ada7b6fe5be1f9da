/** What was spent, given away and is waiting outlives a full disk: it is kept in memory, told of, and on disk once there is room. */

import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, test, vi } from 'vitest';

import { openSpendLog, spendWaitingMax } from '../../gateway/policy/spend-log.ts';
import type { DiskTrouble } from '../../gateway/policy/row-file.ts';
import type { SpendLine, SpendLog } from '../../gateway/policy/spend-log.ts';
import { openEscrowLog } from '../../gateway/policy/escrow-log.ts';
import type { Transfer } from '../../gateway/policy/escrow-log.ts';
import { chatOf, startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';

const stamp = { minute: 30_000_000, day: 20_833, month: 24_323, total: 0 };

let ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

/** A disk of a few pages: `fill` leaves no room, `free` gives it back. */
async function smallDisk(): Promise<{ dir: string; fill(): Promise<void>; free(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'mycel-spend-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', dir]);
  ends.push(async () => {
    execFileSync('umount', ['--lazy', dir]);
    await rm(dir, { recursive: true });
  });
  const filler = join(dir, 'filler');
  return {
    dir,
    async fill() {
      await writeFile(filler, Buffer.alloc(128 * 1024)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOSPC') throw error;
      });
    },
    free: () => rm(filler),
  };
}

const lineOf = (account: string, tokens: number, minute = stamp.minute): SpendLine => ({
  account,
  amounts: { tokens, usd: 0, requests: 1 },
  stamp: { ...stamp, minute },
});

/** Tokens and requests of an account, over all lines. */
function sumOf(lines: readonly SpendLine[], account: string): readonly number[] {
  const own = lines.filter((line) => line.account === account);
  const add = (unit: 'tokens' | 'requests'): number =>
    own.reduce((sum, { amounts }) => sum + amounts[unit], 0);
  return [add('tokens'), add('requests')];
}

test('a full disk is told of once, and takes where it broke off what waited, in order', async () => {
  const disk = await smallDisk();
  const file = join(disk.dir, 'gateway', 'spend');
  const told: (DiskTrouble | undefined)[] = [];
  const log: SpendLog = openSpendLog(file, stamp, (trouble) => told.push(trouble));
  log.append(lineOf('a', 1));
  await vi.waitFor(async () => expect(await readFile(file, 'utf8')).not.toBe(''));
  await disk.fill();
  // More than the rest of the page that the file has: one of them is torn.
  for (let at = 0; at < 200; at += 1) log.append(lineOf('a', 10, stamp.minute + at));
  await vi.waitFor(() => expect(told).toHaveLength(1));
  expect(told[0]?.reason).toBe('ENOSPC');
  expect(log.trouble()?.waiting).toBeGreaterThan(100);
  for (let at = 0; at < 10; at += 1) log.append(lineOf('b', 5));
  await disk.free();
  await vi.waitFor(() => expect(log.trouble()).toBeUndefined(), 10_000);
  expect(told).toHaveLength(2);
  expect(await log.close()).toBeUndefined();
  const text = await readFile(file, 'utf8');
  const rows = text.trimEnd().split('\n');
  expect(rows).toHaveLength(211);
  expect(rows.map((row) => (JSON.parse(row) as unknown[])[0]).join('')).toBe(
    `${'a'.repeat(201)}${'b'.repeat(10)}`,
  );
  const { before } = openSpendLog(file, stamp);
  expect([sumOf(before, 'a'), sumOf(before, 'b')]).toEqual([
    [2001, 201],
    [50, 10],
  ]);
});

test('what waits has a bound, and loses nothing over it', async () => {
  const disk = await smallDisk();
  const file = join(disk.dir, 'gateway', 'spend');
  const log = openSpendLog(file, stamp);
  await disk.fill();
  const count = 5 * spendWaitingMax;
  for (let at = 0; at < count; at += 1) {
    log.append(lineOf(at % 2 === 0 ? 'a' : 'b', 1, stamp.minute + Math.floor(at / 100)));
    if (at % 1000 === 0) await vi.waitFor(() => expect(log.trouble()).toBeDefined());
  }
  expect(log.trouble()?.waiting).toBeLessThanOrEqual(2 * spendWaitingMax);
  await disk.free();
  await vi.waitFor(() => expect(log.trouble()).toBeUndefined(), 10_000);
  await log.close();
  const { before } = openSpendLog(file, stamp);
  expect([sumOf(before, 'a'), sumOf(before, 'b')]).toEqual([
    [count / 2, count / 2],
    [count / 2, count / 2],
  ]);
});

test('a gateway on a full disk answers, says what is wrong, and its budget holds after a restart', async () => {
  const disk = await smallDisk();
  const config = {
    principals: [{ name: 'p', tokenEnv: 'TOKEN', budget: { tokens: { day: 10_000 } } }],
  };
  const env = { TOKEN: 'secret-token' };
  const dataDir = disk.dir;
  const start = (): ReturnType<typeof startGateway> =>
    startGateway(1, config, {}, env, [], { dataDir });
  const headers = { authorization: 'Bearer secret-token' };
  let live = await start();
  ends.push(() => live.close());
  const ask = async (prompt: string): Promise<number> => {
    const response = await live.post('/v1/chat/completions', chatOf(prompt), headers);
    await response.text();
    return response.status;
  };
  const spent = async (): Promise<unknown> => {
    const response = await fetch(`${live.url}/mycel/usage`, { headers });
    const { budgets } = (await response.json()) as { budgets: { spent: number }[] };
    return budgets[0]?.spent;
  };
  const troubles = async (): Promise<readonly unknown[]> => {
    const health = (await (await fetch(`${live.url}/health`)).json()) as { trouble?: string };
    const metrics = await (await fetch(`${live.url}/metrics`, { headers })).text();
    return [health.trouble, /^mycel_llm_trouble (\d)$/m.exec(metrics)?.[1]];
  };
  expect(await ask('one')).toBe(200);
  expect(await troubles()).toEqual([undefined, '0']);
  await disk.fill();
  // A page of settlements is what the file may still have room for.
  for (let at = 0; at < 120; at += 1) expect(await ask(`more ${at}`)).toBe(200);
  await vi.waitFor(async () =>
    expect(await troubles()).toEqual([expect.stringContaining('ENOSPC'), '1']),
  );
  const before = await spent();
  await disk.free();
  await vi.waitFor(async () => expect(await troubles()).toEqual([undefined, '0']), 10_000);
  expect(live.reports).toEqual([
    expect.stringMatching(/ENOSPC.*Make room/),
    'The disk has taken all that was spent.',
  ]);
  await live.close();
  live = await start();
  expect(await spent()).toBe(before);
});

test('a gateway starts on a disk that is full already, with what it knew, and says what it cannot write', async () => {
  const disk = await smallDisk();
  const config = {
    gateways: 2,
    offline: ['queue' as const],
    principals: [{ name: 'p', tokenEnv: 'TOKEN', budget: { tokens: { day: 10_000 } } }],
  };
  const headers = { authorization: 'Bearer secret-token' };
  let live: LiveGateway | undefined;
  ends.push(async () => live?.close());
  const startIn = async (dataDir: string): Promise<LiveGateway> => {
    await live?.close();
    live = undefined;
    live = await startGateway(1, config, {}, { TOKEN: 'secret-token' }, [], { dataDir });
    return live;
  };
  const ask = async ({ post }: LiveGateway, prompt: string): Promise<number> => {
    const response = await post('/v1/chat/completions', chatOf(prompt), headers);
    await response.text();
    return response.status;
  };
  const spentAt = async ({ url }: LiveGateway): Promise<unknown> => {
    const response = await fetch(`${url}/mycel/usage`, { headers });
    return ((await response.json()) as { budgets: { spent: number }[] }).budgets[0]?.spent;
  };
  const troubleAt = async ({ url }: LiveGateway): Promise<string | undefined> =>
    ((await (await fetch(`${url}/health`)).json()) as { trouble?: string }).trouble;

  const known = join(disk.dir, 'known');
  const before = await startIn(known);
  expect(await ask(before, 'one')).toBe(200);
  const spent = await spentAt(before);
  await disk.fill();
  expect(await spentAt(await startIn(known))).toBe(spent);
  const fresh = join(disk.dir, 'fresh');
  const first = await startIn(fresh);
  for (let at = 0; at < 3; at += 1) expect(await ask(first, `more ${at}`)).toBe(200);
  await vi.waitFor(async () => expect(await troubleAt(first)).toMatch(/what was spent.*ENOSPC/));
  const now = await spentAt(first);
  await disk.free();
  await vi.waitFor(async () => expect(await troubleAt(first)).toBeUndefined(), 10_000);
  expect(await spentAt(await startIn(fresh))).toBe(now);
});

test('what was given away is not forgotten with a line that a full disk took half of', async () => {
  const disk = await smallDisk();
  const file = join(disk.dir, 'gateway', 'escrow');
  const given = (holder: string, sum: number): Transfer => ({
    account: 'principal/p',
    unit: 'tokens',
    period: 'day',
    stamp: stamp.day,
    way: 'given',
    holder,
    sum,
  });
  const log = await openEscrowLog(file, stamp);
  await log.append(given('a', 1));
  await disk.fill();
  await expect(log.append(given('x'.repeat(8_000), 2))).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(await readFile(file, 'utf8')).toMatch(/x$/);
  await disk.free();
  await log.append(given('b', 3));
  await log.close();
  await disk.fill();
  // A full disk does not keep it from being opened and read, and is not told that it gave what it did not.
  const next = await openEscrowLog(file, stamp);
  const sums = new Map(next.before.map(({ holder, sum }) => [holder, sum]));
  expect([sums.get('a'), sums.get('b')]).toEqual([1, 3]);
  await next.close();
});
