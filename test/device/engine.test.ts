/** What V8 really does after it was told: which code it compiles, and how large the young generation gets. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Works on numbers and on objects that live for a while, and tells what V8 made of it. */
const program = `
import { setImmediate as turnOfLoop, setInterval as every } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { beginSmall, growWithWork } from './device/engine.ts';

const kept = [];
function work() {
  let sum = 0;
  for (let at = 0; at < 2000; at += 1) sum = (sum * 31 + at) | 0;
  kept.push({ sum, text: String(sum) });
  if (kept.length > 60000) kept.splice(0, 30000);
  return sum;
}
function workFor(ms) {
  for (const end = performance.now() + ms; performance.now() < end; ) work();
}
const seen = () => ({
  isOptimized: (%GetOptimizationStatus(work) & 16) !== 0,
  youngBytes: getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size,
});
await beginSmall();
workFor(1000);
const started = seen();
growWithWork();
// Calm while it is looked at the process, and looked again.
let looks = 0;
for await (const _ of every(500)) if ((looks += 1) === 3) break;
workFor(50);
const calm = seen();
for (let at = 0; at < 600 && !(seen().isOptimized && seen().youngBytes > calm.youngBytes); at += 1) {
  workFor(50);
  await turnOfLoop();
}
console.log(JSON.stringify({ started, calm, busy: seen() }));
`;

test('compiles and makes room once there is more work than a start, and not before', async () => {
  const flags = ['--allow-natives-syntax', '--import', './test/typescript.mjs'];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...flags, '--input-type=module', '-e', program],
    { cwd: root, timeout: 60_000 },
  );
  const { started, calm, busy } = JSON.parse(stdout) as Record<
    'started' | 'calm' | 'busy',
    { isOptimized: boolean; youngBytes: number }
  >;
  expect(started).toEqual(calm);
  expect(calm.isOptimized).toBe(false);
  expect(calm.youngBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
  expect(busy.isOptimized).toBe(true);
  expect(busy.youngBytes).toBeGreaterThan(calm.youngBytes);
}, 90_000);
