/** A voter whose state is not what its log says, on real nodes of one mesh on loopback. */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { decodeRecord, encodeRecord } from '../../../src/adapters/disk/record.ts';
import { decodeMachineState, encodeMachineState } from '../../../src/wire/machine-codec.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../src/wire/raft-codec.ts';
import { createLoopback, linked } from '../loopback.ts';

/** Puts a key into the state that a replica has kept, as a state that was saved apart from its index would have it. */
async function addKey(file: string, key: string): Promise<void> {
  const record = decodeRecord(await readFile(file));
  const snapshot = record.type === 'whole' ? decodeSnapshot(record.payload) : undefined;
  if (snapshot === undefined || snapshot === 'newer') throw new Error('no snapshot');
  const state = decodeMachineState(snapshot.data);
  if (state === undefined) throw new Error('no state');
  const values = [...state.values, [key, 1, new Uint8Array([0xf5])] as const];
  const data = encodeMachineState({ ...state, values });
  await writeFile(file, encodeRecord(encodeSnapshot({ ...snapshot, data })));
}

test('bug 8: a replica whose state has parted ways with the others is found by comparing, and loses its seat (etcd 3.5.0, PR#13967)', async () => {
  const home = await createLoopback();
  onTestFinished(() => home[Symbol.asyncDispose]());
  const one = await home.up('one');
  const others = [await home.up('two'), await home.up('three')] as const;
  for (const node of others) await node.join((await one.invite()).invite);
  await linked(one, ...others);
  await one.kv.put('count', 7);
  const threeVoters = async (): Promise<void> =>
    expect((await one.leader()).voters).toHaveLength(3);
  await vi.waitFor(threeVoters, { timeout: 20_000, interval: 50 });

  const consensus = join(home.dir('three'), 'consensus');
  const seats = async (): Promise<string[]> =>
    (await readdir(consensus)).filter((name) => !name.includes('lost')).sort();
  const [seat = ''] = await seats();
  await others[1].stop();
  await addKey(join(consensus, seat, 'snapshot'), 'phantom');
  const back = await home.up('three');
  const told = (node: typeof back): string[] => home.told(node, 'alert').map(({ code }) => code);
  await vi.waitFor(() => expect(told(back)).toContain('seat-given-up'), {
    timeout: 20_000,
    interval: 50,
  });
  await vi.waitFor(
    async () => {
      const [fresh = seat] = await seats();
      expect(fresh).not.toBe(seat);
      expect(await readdir(join(consensus, fresh))).toContain('snapshot');
    },
    { timeout: 20_000, interval: 50 },
  );
  await vi.waitFor(threeVoters, { timeout: 20_000, interval: 50 });
  for (const node of [one, others[0]]) expect(told(node)).not.toContain('seat-given-up');
  expect(await back.kv.keys()).toEqual(['count']);
}, 60_000);
