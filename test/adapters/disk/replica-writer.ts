/** Appends records to a replica's log for ever, some at once, and prints how many are acknowledged. Killed by the test. */

import { writeSync } from 'node:fs';
import { createDiskReplicaLogs } from '../../../src/adapters/disk/replica-log.ts';

const [directory = ''] = process.argv.slice(2);
const opening = await createDiskReplicaLogs(directory).open('one');
if (opening.type !== 'whole') throw new Error(opening.reason);
const { log } = opening;

for (let next = log.restored.records.length + 1; ;) {
  const writes = Array.from({ length: 1 + (next % 3) }, (_, at) => {
    const payload = new Uint8Array(100 + ((next + at) % 7) * 3_000).fill(next + at);
    const records = [{ index: next + at, term: 1, type: 1, payload }];
    return log.write({ hard: { term: next + at, vote: 1 }, records });
  });
  next += writes.length;
  await Promise.all(writes);
  writeSync(1, `${next - 1}\n`);
}
