/**
 * The bench: figures of this node beside what they are compared with, measured in one run.
 * Run: `npm run bench -- [--json FILE] [--quick] [--only PART,PART…]`, parts: footprint, throughput, nodes, calls, agents, decisions, state, gateway. Needs root for the footprint.
 */

import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { agents } from './agents.ts';
import { betweenNodes } from './between-nodes.ts';
import { calls } from './calls.ts';
import { decisions } from './decisions.ts';
import { footprint } from './footprint.ts';
import { gateway } from './gateway.ts';
import { table, type Row } from './row.ts';
import { stateSize } from './state-size.ts';
import { throughput } from './throughput.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});

const only = values.only?.split(',');
const wants = (part: string): boolean => only === undefined || only.includes(part);
const rows: Row[] = [];
if (wants('throughput')) {
  const sizes = values.quick ? [64] : [64, 1024, 64 * 1024];
  const pace = values.quick ? { rounds: 1, seconds: 2 } : { rounds: 3, seconds: 4 };
  rows.push(...(await throughput({ ...pace, isWhole: !values.quick, bytes: sizes })));
}
if (wants('nodes')) {
  rows.push(
    ...(await betweenNodes(values.quick ? { rounds: 1, seconds: 1 } : { rounds: 3, seconds: 4 })),
  );
}
if (wants('calls')) {
  rows.push(...(await calls(values.quick ? { rounds: 1, seconds: 1 } : { rounds: 3, seconds: 4 })));
}
if (wants('agents')) rows.push(...(await agents({ rounds: values.quick ? 1 : 3 })));
if (wants('decisions')) {
  rows.push(
    ...(await decisions(
      values.quick
        ? { kills: 3, writes: 100, seconds: 1 }
        : { kills: 100, writes: 1_000, seconds: 10 },
    )),
  );
}
if (wants('state')) {
  rows.push(
    ...(await stateSize(
      values.quick ? { keys: 5_000, cycles: 2_000 } : { keys: 100_000, cycles: 1_000_000 },
    )),
  );
}
if (wants('gateway')) {
  rows.push(
    ...(await gateway(
      values.quick
        ? {
            warmUp: 100,
            requests: 25,
            streams: 20,
            flightMs: 900,
            deviceStreams: 40,
            deviceWarmUp: 100,
          }
        : {
            warmUp: 4_000,
            requests: 500,
            streams: 200,
            flightMs: 10_000,
            deviceStreams: 300,
            deviceWarmUp: 4_000,
          },
    )),
  );
}
if (wants('footprint')) {
  rows.push(
    ...(await footprint(
      values.quick
        ? { rounds: 1, settleMs: 2_000, calmMs: 12_000, trafficMs: 20_000, writesMs: 0 }
        : { rounds: 5, settleMs: 15_000, calmMs: 20_000, trafficMs: 60_000, writesMs: 600_000 },
    )),
  );
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
console.log(table(rows));
