/** A voter whose disk forgets what it had acknowledged, or cannot be read, on real nodes of one mesh on loopback. */

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Configuration } from '../../../src/protocol/consensus/messages.ts';
import { entryOfRecord } from '../../../src/wire/raft-codec.ts';
import { scanLog } from '../../../src/wire/replica-file.ts';
import { createLoopback, linked } from '../loopback.ts';

test('a disk put back to what it was before its last answers, or unreadable loses its seat, its node starts and is given another, and the founder without one begins no second group', async () => {
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
  let back = three;
  const spoil = {
    'put back': () => writeFile(log, before),
    // What reading it gives is an error, as from a worn card.
    unreadable: async (seatNow: string) => {
      await rm(join(consensus, seatNow, 'log'));
      await mkdir(join(consensus, seatNow, 'log'));
    },
  };
  for (const [kind, damage] of Object.entries(spoil)) {
    const [seatNow = ''] = await seats();
    await back.stop();
    await damage(seatNow);
    back = await home.up('three');
    // It has another one, and is a voter again.
    await vi.waitFor(
      async () => {
        const [fresh = seatNow] = await seats();
        expect(fresh, kind).not.toBe(seatNow);
        const { voters, outgoing } = await lastMembers(join(consensus, fresh));
        expect(voters, kind).toContain(Number(fresh.split('-')[1]));
        expect(outgoing).toEqual([]);
      },
      { timeout: 20_000, interval: 50 },
    );
    await vi.waitFor(threeVoters, { timeout: 20_000, interval: 50 });
    const told = home.told(back, 'alert').map(({ code }) => code);
    expect(told, kind).toContain('seat-given-up');
    const isKept = (await readdir(consensus)).some((name) => name.startsWith(`${seatNow}.lost`));
    expect(isKept, kind).toBe(true);
    expect((await back.kv.get('count'))?.value, kind).toBe(20);
  }

  // The founder begins no other group for having lost its seat in the one that goes on.
  const founders = join(home.dir('one'), 'consensus');
  const [lost = ''] = (await readdir(founders)).filter((name) => !name.includes('lost'));
  const { mqttPort: port } = one.status();
  await Promise.all([one.stop(), others[0].stop(), back.stop()]);
  await rm(join(founders, lost), { recursive: true });
  const founder = await home.up('one', { port });
  await expect(founder.kv.get('count', { deadlineMs: 500 })).rejects.toMatchObject({
    code: 'MYCEL_NO_QUORUM',
  });
  await Promise.all(['two', 'three'].map((name) => home.up(name)));
  expect((await founder.kv.get('count', { deadlineMs: 20_000 }))?.value).toBe(20);
}, 90_000);

/** Who decides, as the log of a replica says last. */
async function lastMembers(directory: string): Promise<Pick<Configuration, 'voters' | 'outgoing'>> {
  const { records } = scanLog(await readFile(join(directory, 'log')));
  const last = records.map(entryOfRecord).findLast((entry) => entry?.type === 'config');
  return last?.type === 'config' ? last.config : { voters: [], outgoing: [] };
}

/** Bytes before the zeros at the end. */
function written(log: Uint8Array): number {
  return log.findLastIndex((byte) => byte !== 0) + 1;
}
