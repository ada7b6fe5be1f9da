/**
 * Runs the swarms of membership, routing, consensus and replicated state under fresh seeds until the time is over.
 * Run: `npm run sim -- [--minutes M]`, by default 10. `--seed N` replays one seed; a failure names its own.
 */

import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Seeds of each scenario in one round; fewer of those that take long. */
const seedsPerRound = 20;

const root = fileURLToPath(new URL('../..', import.meta.url));
const files = [
  'test/sim/membership.swarm.test.ts',
  'test/sim/routing.test.ts',
  'test/sim/raft.swarm.test.ts',
  'test/sim/state.swarm.test.ts',
];
const { values } = parseArgs({
  options: { seed: { type: 'string' }, minutes: { type: 'string', default: '10' } },
});

if (values.seed !== undefined) process.exit(round({ SEED: values.seed }));
const endsAt = performance.now() + Number(values.minutes) * 60_000;
let longestMs = 0;
let total = 0;
// No round is begun that would probably end too late, except the first.
while (total === 0 || performance.now() + longestMs < endsAt) {
  const base = randomInt(1_000_000, 2 ** 31);
  console.log(`seeds ${base} to ${base + seedsPerRound - 1} (replay one: npm run sim -- --seed N)`);
  const from = performance.now();
  const code = round({ SEED_BASE: String(base), SEED_MOST: String(seedsPerRound) });
  if (code !== 0) process.exit(code);
  longestMs = Math.max(longestMs, performance.now() - from);
  total += seedsPerRound;
}
console.log(`up to ${total} fresh seeds of each scenario, 0 violations`);

function round(environment: Readonly<Record<string, string>>): number {
  const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
  // Virtual time is judged; how long that takes on a busy machine is not.
  const patience = '--testTimeout=3600000';
  const args = [vitest, 'run', '--reporter=dot', '--maxWorkers=2', patience, ...files];
  const env = { ...process.env, ...environment };
  return spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).status ?? 1;
}
