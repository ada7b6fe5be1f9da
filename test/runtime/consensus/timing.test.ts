import { expect, test } from 'vitest';
import { HeartbeatWatch, timingFor } from '../../../src/runtime/consensus/timing.ts';

test('nothing measured: the profile as it is', () => {
  expect(timingFor('wired', { syncMs: 0, lateMs: 0 })).toEqual({
    electionMsMin: 150,
    electionMsMax: 300,
    heartbeatMs: 50,
    hintStepMs: 40,
  });
  expect(timingFor('wifi', { syncMs: 0, lateMs: 0 }).electionMsMin).toBe(1_000);
});

test.each([
  // A timeout is at least twice the slowest sync, and a heartbeat plus ten times what heartbeats are late by.
  { syncMs: 75, lateMs: 10, factor: 1 },
  { syncMs: 76, lateMs: 0, factor: 2 },
  { syncMs: 0, lateMs: 11, factor: 2 },
  { syncMs: 0, lateMs: 30, factor: 4 },
  { syncMs: 400, lateMs: 0, factor: 8 },
  { syncMs: 60_000, lateMs: 60_000, factor: 8 },
])('syncs of $syncMs ms, heartbeats $lateMs ms late: times $factor', ({ factor, ...measured }) => {
  const { electionMsMin, electionMsMax, heartbeatMs } = timingFor('wired', measured);
  expect([electionMsMin, electionMsMax]).toEqual([150 * factor, 300 * factor]);
  // However patient this node is, its followers may not be.
  expect(heartbeatMs).toBe(50);
});

test('lateness is what a gap has over the interval, of one leader, without gaps that mean something else', () => {
  const watch = new HeartbeatWatch(50);
  expect(watch.lateMs()).toBe(0);
  for (let at = 0; at <= 5_000; at += 50) watch.heard(at, 1);
  // Sooner than promised, for a read.
  for (let at = 5_010; at <= 5_100; at += 10) watch.heard(at, 1);
  expect(watch.lateMs()).toBe(0);
  watch.heard(9_000, 2);
  watch.interrupted();
  watch.heard(20_000, 2);
  expect(watch.lateMs()).toBe(0);
  for (let at = 20_090; at <= 21_000; at += 90) watch.heard(at, 2);
  expect(watch.lateMs()).toBe(40);
});

test("a leader's silence is suspicious after three intervals and what gaps vary by, and an end of it is forgotten", () => {
  const watch = new HeartbeatWatch(50);
  expect(watch.phi(1_000_000)).toBe(0);
  for (let at = 0; at <= 5_000; at += 50) watch.heard(at, 1);
  expect(watch.phi(5_050)).toBeLessThan(0.1);
  // The longest usual silence, the pause, and four deviations of 100 ms.
  expect(watch.phi(5_000 + 50 + 150 + 400)).toBeGreaterThan(4);
  watch.interrupted();
  expect(watch.phi(9_000)).toBe(0);
});
