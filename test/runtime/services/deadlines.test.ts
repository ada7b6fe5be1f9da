import { expect, test } from 'vitest';
import { createMemoryClock } from '../../../src/adapters/memory/clock.ts';
import { createDeadlines } from '../../../src/runtime/services/deadlines.ts';

test('each is told when its own time has come, whatever order they were set in, and an ended one never', () => {
  const clock = createMemoryClock();
  const deadlines = createDeadlines(clock);
  const told: string[] = [];
  const from = clock.now();
  const end = deadlines.watch(from + 100, () => told.push('ended'));
  deadlines.watch(from + 300, () => told.push('late'));
  deadlines.watch(from + 50, () => told.push('early'));
  deadlines.watch(from + 200, () => {
    told.push('middle');
    deadlines.watch(from + 250, () => told.push('set by another'));
  });
  end();
  clock.advance(99);
  expect(told).toEqual(['early']);
  clock.advance(100);
  expect(told).toEqual(['early']);
  clock.advance(60);
  expect(told).toEqual(['early', 'middle', 'set by another']);
  clock.advance(1_000);
  expect(told).toEqual(['early', 'middle', 'set by another', 'late']);
});

test('no alarm outlives what is watched when they are stopped', () => {
  const clock = createMemoryClock();
  const deadlines = createDeadlines(clock);
  const told: string[] = [];
  const end = deadlines.watch(clock.now() + 100, () => told.push('first'));
  deadlines.stop();
  end();
  const open = deadlines.watch(clock.now() + 100, () => told.push('second'));
  clock.advance(200);
  expect(told).toEqual(['second']);
  open();
});
