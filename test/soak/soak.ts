/**
 * The soak: one node stays while others join and part, and what it holds must not grow.
 * Run: `npm run soak -- [--minutes M] [--cycles C]`, by default 500 cycles in 30 minutes. Fails when something grows.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { grownKinds, type Census } from './census.ts';
import { startResident } from './resident.ts';
import { judge, type Sample } from './verdict.ts';
import { createVisits } from './visitor.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    cycles: { type: 'string', default: '500' },
  },
});
const cycles = Number(values.cycles);
const endsAfterMs = Number(values.minutes) * 60_000;

const home = await mkdtemp(join(tmpdir(), 'mycel-soak-'));
const resident = await startResident(join(home, 'resident'));
const visit = createVisits(resident, home);
const samples: Sample[] = [];
let settled: Census | undefined;
let latest: Census | undefined;
const startedAt = performance.now();
try {
  for (let cycle = 1; cycle <= cycles; cycle += 1) {
    await visit(cycle);
    const { sample, census } = await resident.sample(cycle);
    samples.push(sample);
    // The caches that a visit fills first are full by then.
    if (cycle === Math.ceil(cycles * 0.3)) settled = census;
    latest = census;
    const elapsedMs = performance.now() - startedAt;
    if (cycle % Math.ceil(cycles / 20) === 0) console.log(line(sample, elapsedMs));
    // Whatever was done in time counts: a slow machine makes the run shorter, not longer.
    if (elapsedMs > endsAfterMs) break;
    await sleep(Math.max(0, (endsAfterMs / cycles) * cycle - elapsedMs));
  }
} finally {
  await resident.stop();
  await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

const { findings, hasGrown } = judge(samples);
console.log(findings.join('\n'));
if (settled !== undefined && latest !== undefined) {
  console.log(`own objects that grew most, in bytes: ${grownKinds(settled, latest, 8)}`);
}
if (hasGrown) process.exitCode = 1;

function line(sample: Sample, elapsedMs: number): string {
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
  const { cycle, rss, own, compiled, external, descriptors, resources } = sample;
  return `${(elapsedMs / 1000).toFixed(0)} s, cycle ${cycle}: RSS ${mb(rss)}, own objects ${mb(own)}, compiled ${mb(compiled)}, external ${mb(external)}, ${descriptors} descriptors, ${resources} resources`;
}
