/** Writes numbered records for ever and prints each number once its write was acknowledged. Killed by the test. */

import { writeSync } from 'node:fs';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { openDiskStore } from '../../../src/adapters/disk/disk-store.ts';

const [directory = '', first = '0', sizeText = '1000'] = process.argv.slice(2);
const store = await openDiskStore(directory, { log: createMemoryLog() });
const size = Number(sizeText);

writeSync(1, 'open\n');
for (let number = Number(first); ; number += 1) {
  const bytes = Buffer.alloc(size, number % 251);
  bytes.writeUInt32BE(number);
  await store.write('record', bytes);
  writeSync(1, `${number}\n`);
}
