import { expect, test } from 'vitest';
import { startNode } from './loopback.ts';

/** How often values are set and deleted again. @default 20 000; the million with MYCEL_CYCLES=1000000 */
const cycles = Number(process.env['MYCEL_CYCLES'] ?? 20_000);

/** Below this a journal is never compacted, and it is at most twice as large when it is looked at. */
const restingBytesMax: number = 2 * 1024 * 1024;

/** On their way at once: they share syncs. */
const window = 500;

test('what is set and deleted again and again leaves nothing that grows', async () => {
  const node = await startNode('churning');
  const kept = node.state.register('kept');
  await kept.set('here');
  const before = node.state.status();
  let next = 0;
  const churn = async (): Promise<void> => {
    for (let at = next++; at < cycles; at = next++) {
      const register = node.state.register(`cycle/${at % window}`);
      await register.set({ at });
      await register.delete();
      await node.state.counter('count').increment(1);
    }
  };
  await Promise.all(Array.from({ length: window }, churn));
  const after = node.state.status();
  expect(node.state.counter('count').value()).toBe(cycles);
  expect(kept.get()).toBe('here');
  // The counter is one key more.
  expect(after.keys).toBe(before.keys + 1);
  expect(after.entries).toBe(before.entries + 1);
  expect(after.replicas).toBe(before.replicas);
  expect(after.contextIntervals).toBeLessThanOrEqual(before.contextIntervals + 1);
  expect(after.journal.bytes).toBeLessThan(restingBytesMax);
}, 600_000);
