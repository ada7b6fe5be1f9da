/**
 * The bench: figures of this node beside what they are compared with, measured in one run.
 * Run: `npm run bench -- [--json FILE] [--quick] [--only footprint|throughput]`. Needs root for the footprint.
 */

import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { footprint } from './footprint.ts';
import { table, type Row } from './row.ts';
import { throughput } from './throughput.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});

const rows: Row[] = [];
if (values.only !== 'throughput') {
  rows.push(
    ...(await footprint(
      values.quick
        ? { rounds: 1, settleMs: 5_000, trafficMs: 10_000 }
        : { rounds: 5, settleMs: 15_000, trafficMs: 60_000 },
    )),
  );
}
if (values.only !== 'footprint') {
  rows.push(
    ...(await throughput(
      values.quick
        ? { rounds: 1, seconds: 2, bytes: [64] }
        : { rounds: 3, seconds: 4, bytes: [64] },
    )),
  );
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
console.log(table(rows));
