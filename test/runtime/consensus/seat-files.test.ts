import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { createDiskReplicaLogs } from '../../../src/adapters/disk/replica-log.ts';
import { encodeRecord } from '../../../src/adapters/disk/record.ts';
import type { ReplicaLogs } from '../../../src/ports/replica-log.ts';
import { laySeat, openSeat } from '../../../src/runtime/consensus/seat-files.ts';

async function makeLogs(): Promise<{ readonly logs: ReplicaLogs; readonly seat: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-seat-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return { logs: createDiskReplicaLogs(directory), seat: join(directory, 'one') };
}

test('a seat that was laid down is whole, before and after it has been written to', async () => {
  const { logs } = await makeLogs();
  await laySeat(logs, 'one');
  for (const term of [0, 7]) {
    const opened = await openSeat(logs, 'one');
    if (opened.type !== 'whole') throw new Error(opened.reason);
    expect(opened.log.restored.hard.term).toBe(term);
    await opened.log.write({ hard: { term: 7, vote: 1 }, records: [] });
    await opened.log.close();
  }
});

test('a seat whose files are gone is lost: it would vote as if it had promised nothing', async () => {
  const { logs, seat } = await makeLogs();
  await laySeat(logs, 'one');
  await rm(seat, { recursive: true });
  expect(await openSeat(logs, 'one')).toEqual({ type: 'lost', reason: 'its files are missing' });
});

test.each(['log', 'slots', 'snapshot'])('a seat whose %s cannot be read is lost', async (file) => {
  const { logs, seat } = await makeLogs();
  await laySeat(logs, 'one');
  await rm(join(seat, file), { force: true });
  await mkdir(join(seat, file));
  const opened = await openSeat(logs, 'one');
  expect(opened.type === 'lost' && opened.reason).toContain('EISDIR');
});

test('a seat that a newer version wrote is shut, and everything stays as it is', async () => {
  const { logs, seat } = await makeLogs();
  await laySeat(logs, 'one');
  // Magic, version 2, nine bytes, their checksum: as a later version would write it.
  const newer = Buffer.from(encodeRecord(new Uint8Array(9)));
  newer.writeUInt8(2, 4);
  newer.writeUInt32BE(crc32(newer.subarray(13), crc32(newer.subarray(4, 9))), 9);
  await writeFile(join(seat, 'snapshot'), newer);
  const before = await Promise.all(['log', 'slots'].map((file) => readFile(join(seat, file))));
  const opened = await openSeat(logs, 'one');
  expect(opened.type === 'shut' && opened.reason).toContain('MYCEL_STORE_NEWER');
  expect(await Promise.all(['log', 'slots'].map((file) => readFile(join(seat, file))))).toEqual(
    before,
  );
  expect((await readdir(seat)).sort()).toEqual(['log', 'slots', 'snapshot']);
});
