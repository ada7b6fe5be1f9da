/** A voter whose disk forgets what it had acknowledged, on real nodes of one mesh on loopback. */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createLoopback, linked } from '../loopback.ts';

test('a disk put back to what it was before its last answers loses its seat, and its node is given another', async () => {
  const home = await createLoopback();
  onTestFinished(() => home[Symbol.asyncDispose]());
  const one = await home.up('one');
  const others = [await home.up('two'), await home.up('three')] as const;
  for (const node of others) await node.join((await one.invite()).invite);
  const [, three] = others;
  await linked(one, ...others);
  await one.kv.put('count', 0);
  const threeVoters = async (): Promise<void> =>
    expect((await one.leader()).voters).toHaveLength(3);
  await vi.waitFor(threeVoters, { timeout: 20_000, interval: 50 });
  expect((await one.leader()).leader).toBe(one.id);

  const consensus = join(home.dir('three'), 'consensus');
  const seats = async (): Promise<string[]> =>
    (await readdir(consensus)).filter((name) => !name.includes('lost')).sort();
  const [seat = ''] = await seats();
  const log = join(consensus, seat, 'log');
  const before = await readFile(log);
  for (let count = 1; count <= 20; count += 1) await one.kv.put('count', count);
  // Two copies of a record of more than 50 bytes for each of them.
  await vi.waitFor(async () => {
    expect(written(await readFile(log))).toBeGreaterThan(written(before) + 20 * 2 * 50);
  }, 10_000);
  await three.stop();
  await writeFile(log, before);

  const back = await home.up('three');
  await vi.waitFor(async () => expect(await seats()).not.toContain(seat), {
    timeout: 20_000,
    interval: 50,
  });
  await vi.waitFor(threeVoters, { timeout: 20_000, interval: 50 });
  expect((await readdir(consensus)).some((name) => name.startsWith(`${seat}.lost`))).toBe(true);
  expect((await back.kv.get('count'))?.value).toBe(20);
}, 60_000);

/** Bytes before the zeros at the end. */
function written(log: Uint8Array): number {
  return log.findLastIndex((byte) => byte !== 0) + 1;
}
