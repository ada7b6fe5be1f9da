import fs from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { DirectWrites } from '../../../src/adapters/disk/direct-writes.ts';
import { createDiskReplicaLogs } from '../../../src/adapters/disk/replica-log.ts';
import { createMemoryReplicaLogs } from '../../../src/adapters/memory/replica-log.ts';
import type { ReplicaLog } from '../../../src/ports/replica-log.ts';
import { record, replicaLogContract } from '../../contract/replica-log.ts';
import { bundleProgram, startProgram } from '../child.ts';

/** Has the loop wait for writes, or never, whatever the pace of the disk. */
function writeBy(way: 'loop' | 'pool'): { mockRestore(): void } {
  return vi.spyOn(DirectWrites.prototype, 'mayWait').mockReturnValue(way === 'loop');
}

for (const way of ['loop', 'pool'] as const) {
  replicaLogContract(`disk, written by the ${way}`, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mycel-replica-'));
    const spy = writeBy(way);
    return {
      logs: createDiskReplicaLogs(directory),
      async dispose() {
        spy.mockRestore();
        await rm(directory, { recursive: true, force: true });
      },
    };
  });
}

replicaLogContract('memory', async () => ({
  logs: createMemoryReplicaLogs(),
  dispose: async () => undefined,
}));

async function makeDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-replica-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function openWhole(directory: string): Promise<ReplicaLog> {
  const opening = await createDiskReplicaLogs(directory).open('one');
  if (opening.type !== 'whole') throw new Error(opening.reason);
  onTestFinished(() => opening.log.close());
  return opening.log;
}

/** What was written to a log: behind it there are zeros, to where the file was made longer ahead. */
async function writtenTo(file: string): Promise<Uint8Array> {
  const bytes = await readFile(file);
  return bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1);
}

test('power cut: wherever the file ends, all that was synced before is there and the torn rest is gone', async () => {
  const directory = await makeDirectory();
  const log = await openWhole(directory);
  await log.write({ hard: { term: 1, vote: 1 }, records: [record(1), record(2)] });
  const file = join(directory, 'one', 'log');
  const synced = (await writtenTo(file)).length;
  await log.write({ records: [record(3, 1, 40), record(4, 1, 40)] });
  const slots = join(directory, 'one', 'slots');
  const unmarked = await readFile(slots);
  const whole = await writtenTo(file);
  await log.close();
  for (let length = synced; length < whole.length; length += 3) {
    await writeFile(file, whole.subarray(0, length));
    await writeFile(slots, unmarked);
    const opened = await openWhole(directory);
    // A record of 69 bytes, two of them, and then both again.
    const count = 2 + Math.min(2, Math.floor((length - synced) / 69));
    expect(opened.restored.records).toHaveLength(count);
    await opened.close();
    // What is left is there twice from now on, and nothing else is.
    expect((await writtenTo(file)).length).toBe(synced + (count - 2) * 2 * 69);
  }
});

test('an end that is missing although a slot says that it was durable opens as rotten: at a stop, and when it is 5 s old', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const directory = await makeDirectory();
  const log = await openWhole(directory);
  const [file, slots] = [join(directory, 'one', 'log'), join(directory, 'one', 'slots')];
  const openCut = async (length: number): Promise<string> => {
    await writeFile(file, whole.subarray(0, length));
    const opening = await createDiskReplicaLogs(directory).open('one');
    if (opening.type === 'rotten') return opening.reason;
    await opening.log.close();
    return `${opening.log.restored.records.length} records`;
  };
  await log.write({ hard: { term: 1, vote: 1 }, records: [record(1), record(2)] });
  await log.write({ records: [record(3)] });
  const soon = await readFile(slots);
  const after = async (ms: number, before: Uint8Array): Promise<Uint8Array> => {
    // What was written before has been seen to.
    await log.write({ records: [] });
    vi.advanceTimersByTime(ms - 1);
    expect(await readFile(slots)).toEqual(before);
    vi.advanceTimersByTime(1);
    // Not by vi.waitFor: that would let the time of the test pass.
    for (;;) {
      const now = await readFile(slots);
      if (!now.equals(before)) return now;
      await new Promise(setImmediate);
    }
  };
  const later = await after(5_000, soon);
  const latest = await after(5_000, later);
  await log.write({ records: [record(4)] });
  await log.close();
  const atStop = await readFile(slots);
  const whole = await writtenTo(file);
  const batch = whole.length / 4;
  // Of each: the records it vouches for, and where the first copy of the last of them ends.
  for (const [marks, durable, copied] of [
    [soon, 0, 0],
    [later, 2, 1],
    [latest, 3, 2.5],
    [atStop, 4, 3.5],
  ] as const) {
    for (let length = 0; length <= whole.length; length += Math.floor(batch / 4)) {
      await writeFile(slots, marks);
      const found = await openCut(length);
      if (length >= durable * batch) expect(found).toMatch(/^\d records/);
      // One whole copy of the last batch is enough.
      else if (length >= copied * batch) expect(found).toBe(`${durable} records`);
      else expect(found, `${length}`).toMatch(/^its log has lost what it held/);
    }
  }
});

test('what a slot says of a log counts no more once a snapshot has replaced it', async () => {
  const directory = await makeDirectory();
  const log = await openWhole(directory);
  for (let index = 1; index <= 4; index += 1) await log.write({ records: [record(index)] });
  await log.close();
  const slots = join(directory, 'one', 'slots');
  for (const [keepFrom, content] of [
    [2, 1],
    [3, 2],
    // The same snapshot once more.
    [4, 2],
  ] as const) {
    const again = await openWhole(directory);
    const bytes = new Uint8Array(9).fill(content);
    await again.write({ snapshot: { bytes, keepFrom, isForeign: false }, records: [] });
    // The power goes before anything is said of the new log.
    const left = await readFile(slots);
    await again.close();
    await writeFile(slots, left);
    const found = await openWhole(directory);
    expect(found.restored.records.map(({ index }) => index)[0]).toBe(keepFrom);
    await found.close();
  }
});

test('bit rot: a changed byte is mended from the copy, wherever it is, also in what was written last', async () => {
  const directory = await makeDirectory();
  const log = await openWhole(directory);
  for (let index = 1; index <= 4; index += 1) await log.write({ records: [record(index)] });
  await log.close();
  const file = join(directory, 'one', 'log');
  const whole = await writtenTo(file);
  const lastBegins = (whole.length / 4) * 3;
  for (let at = 0; at < whole.length; at += 5) {
    const bytes = Uint8Array.from(whole);
    bytes[at] = (bytes[at] as number) ^ 0x10;
    await writeFile(file, bytes);
    const opening = await createDiskReplicaLogs(directory).open('one');
    if (opening.type !== 'whole') throw new Error(`byte ${at}: ${opening.reason}`);
    expect(opening.log.restored.records).toEqual([1, 2, 3, 4].map((index) => record(index)));
    expect(opening.mended, `byte ${at}`).toBe(at < lastBegins ? 1 : 0);
    await opening.log.close();
    expect(Uint8Array.from(await writtenTo(file))).toEqual(Uint8Array.from(whole));
  }
});

test('bit rot: both copies changed in front of something durable opens as rotten', async () => {
  const directory = await makeDirectory();
  const log = await openWhole(directory);
  for (let index = 1; index <= 4; index += 1) await log.write({ records: [record(index)] });
  await log.close();
  const file = join(directory, 'one', 'log');
  const whole = await writtenTo(file);
  const batch = whole.length / 4;
  for (let at = 0; at < 3 * batch; at += 7) {
    const bytes = Uint8Array.from(whole);
    const other = Math.floor(at / batch) * batch + ((at + batch / 2) % batch);
    for (const place of [at, other]) bytes[place] = (bytes[place] as number) ^ 0x10;
    await writeFile(file, bytes);
    const opening = await createDiskReplicaLogs(directory).open('one');
    expect(opening.type, `byte ${at}`).toBe('rotten');
  }
});

test('a log that does not hold what was written to it fails when a snapshot is to shorten it', async () => {
  const directory = await makeDirectory();
  const log = await openWhole(directory);
  for (let index = 1; index <= 4; index += 1) await log.write({ records: [record(index)] });
  const file = join(directory, 'one', 'log');
  const whole = await writtenTo(file);
  await writeFile(file, whole.subarray(0, whole.length / 2));
  const snapshot = { bytes: new Uint8Array(9), keepFrom: 2, isForeign: false };
  await expect(log.write({ snapshot, records: [] })).rejects.toMatchObject({
    code: 'MYCEL_STORE_FAILED',
  });
});

test('rot is found in what a snapshot left, in the snapshot, and in term and vote', async () => {
  const directory = await makeDirectory();
  const log = await openWhole(directory);
  await log.write({ hard: { term: 2, vote: 1 }, records: [1, 2, 3, 4].map((at) => record(at)) });
  const bytes = new Uint8Array(100).fill(5);
  await log.write({ snapshot: { bytes, keepFrom: 2, isForeign: false }, records: [] });
  await log.close();
  for (const [file, ...choices] of [
    // Both copies of the first batch.
    ['log', [20, 20 + 32]],
    ['snapshot', [40]],
    ['slots', [10], [4096 + 10]],
  ] as const) {
    const path = join(directory, 'one', file);
    const whole = await readFile(path);
    for (const places of choices) {
      const changed = Uint8Array.from(whole);
      for (const place of places) changed[place] = (changed[place] as number) ^ 1;
      await writeFile(path, changed);
      const opening = await createDiskReplicaLogs(directory).open('one');
      expect(opening.type, `${file} ${places.join()}`).toBe('rotten');
    }
    await writeFile(path, whole);
  }
  const kept = await readFile(join(directory, 'one', 'log'));
  await rm(join(directory, 'one', 'log'));
  expect((await createDiskReplicaLogs(directory).open('one')).type).toBe('rotten');
  await writeFile(join(directory, 'one', 'log'), kept);
  await rm(join(directory, 'one', 'slots'));
  expect((await createDiskReplicaLogs(directory).open('one')).type).toBe('rotten');
});

test('a log is made longer ahead of what is written, and what it holds is found wherever that ends', async () => {
  const directory = await makeDirectory();
  const file = join(directory, 'one', 'log');
  let log = await openWhole(directory);
  const sizes = new Set<number>();
  // Some 400 KB, in writes that end before, at and behind every place where it becomes longer.
  for (let index = 1; index <= 60; index += 1) {
    await log.write({ records: [record(index, 1, 3_300 + 7 * index)] });
    sizes.add((await stat(file)).size);
    if (index % 20 > 0) continue;
    await log.close();
    log = await openWhole(directory);
    expect(log.restored.records.map((one) => one.index)).toEqual(
      Array.from({ length: index }, (_, at) => at + 1),
    );
  }
  expect(sizes.size).toBeGreaterThan(2);
  expect(sizes.size).toBeLessThan(10);
  // One write longer than all of that.
  await log.write({ records: [record(61, 1, 300_000)] });
  await log.write({ records: [record(62)] });
  await log.close();
  log = await openWhole(directory);
  expect(log.restored.records).toHaveLength(62);
  await log.close();
});

test('two generations of what was set aside are kept', async () => {
  const directory = await makeDirectory();
  const logs = createDiskReplicaLogs(directory);
  for (let round = 0; round < 4; round += 1) {
    const opening = await logs.open('one');
    if (opening.type === 'whole') await opening.log.close();
    await logs.setAside('one');
  }
  expect((await readdir(directory)).sort()).toEqual(['one.lost-1', 'one.lost-2']);
});

/** Has the next write fail: one that the loop waits for, or one by a thread of the pool. */
async function failNextWrite(directory: string, way: 'loop' | 'pool'): Promise<void> {
  const eio = Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' });
  if (way === 'loop') {
    const spy = vi.spyOn(fs, 'writeSync').mockImplementationOnce(() => {
      spy.mockRestore();
      syncBuiltinESMExports();
      throw eio;
    });
    syncBuiltinESMExports();
    return;
  }
  const probe = await open(join(directory, 'probe'), 'w');
  const prototype = Object.getPrototypeOf(probe) as { write(): Promise<unknown> };
  await probe.close();
  const spy = vi.spyOn(prototype, 'write').mockImplementationOnce(() => {
    spy.mockRestore();
    return Promise.reject(eio);
  });
}

test.each(['loop', 'pool'] as const)(
  'a failed write by the %s, which is a failed sync, is never tried again: every write after it fails',
  async (way) => {
    const directory = await makeDirectory();
    const log = await openWhole(directory);
    const spy = writeBy(way);
    onTestFinished(() => spy.mockRestore());
    await log.write({ records: [record(1)] });
    await failNextWrite(directory, way);
    for (const index of [2, 3]) {
      const write = log.write({ records: [record(index)] });
      await expect(write).rejects.toMatchObject({ code: 'MYCEL_STORE_FAILED' });
    }
  },
);

test('kill -9 in the middle of writing: every acknowledged record is there', async () => {
  const directory = await makeDirectory();
  const bundle = await bundleProgram(new URL('replica-writer.ts', import.meta.url).pathname);
  onTestFinished(() => bundle.dispose());
  for (let round = 0; round < 8; round += 1) {
    const program = startProgram(bundle.file, [directory]);
    await program.line(() => program.lines.length > 3 + round * 2, 20_000);
    for (let turn = 0; turn < round; turn += 1) await new Promise(setImmediate);
    program.child.kill('SIGKILL');
    await program.ended;
    const acknowledged = Number(program.lines.at(-1));
    const log = await openWhole(directory);
    const { records, hard } = log.restored;
    expect(records.length).toBeGreaterThanOrEqual(acknowledged);
    expect(hard.term).toBeGreaterThanOrEqual(acknowledged);
    expect(
      records.every(({ index, payload }, at) => index === at + 1 && payload[0] === index % 256),
    ).toBe(true);
    await log.close();
  }
});
