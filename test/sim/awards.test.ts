/** Exactly one winner (V-T1): without a ledger effects happen twice, behind a fence never, and nothing is lost. */

import { describe, expect, test } from 'vitest';
import { heavyAwardFaults, noAwardFaults, simulateAwards } from './awards.ts';

// AWARD_TASKS=100000 is the long run.
const tasks = Number(process.env['AWARD_TASKS'] ?? 4_000);
const share = (part: number): number => part / tasks;

describe('tasks awarded under faults', () => {
  test('without faults the naive contract net repeats what is slow, the ledger repeats nothing', () => {
    const naive = simulateAwards('naive', noAwardFaults, tasks, 1);
    expect(share(naive.duplicated)).toBeGreaterThan(0.01);
    expect(share(naive.duplicated)).toBeLessThan(0.05);
    const leased = simulateAwards('leased', noAwardFaults, tasks, 1);
    expect(leased).toMatchObject({ duplicated: 0, lost: 0, startsPerTask: 1 });
  });

  test('one message in twenty lost: acknowledgements help, leases help more', () => {
    const lossy = { ...noAwardFaults, loss: 0.05 };
    const [naive, acknowledged, leased] = (['naive', 'acknowledged', 'leased'] as const).map(
      (policy) => simulateAwards(policy, lossy, tasks, 2),
    );
    expect(share(naive?.duplicated ?? 0)).toBeGreaterThan(0.04);
    expect(acknowledged?.duplicated).toBeLessThan(naive?.duplicated ?? 0);
    expect(leased?.duplicated).toBeLessThan((acknowledged?.duplicated ?? 0) / 3);
    for (const report of [naive, acknowledged, leased]) expect(report?.lost).toBe(0);
  });

  test('heavy faults: naive repeats more than a tenth, leases alone some, the fence nothing; none is lost', () => {
    const [naive, acknowledged, leased, fenced] = (
      ['naive', 'acknowledged', 'leased', 'fenced'] as const
    ).map((policy) => simulateAwards(policy, heavyAwardFaults, tasks, 3));
    if (process.env['AWARD_TASKS'] !== undefined) {
      console.table({ naive, acknowledged, leased, fenced });
    }
    expect(share(naive?.duplicated ?? 0)).toBeGreaterThan(0.1);
    expect(leased?.duplicated).toBeGreaterThan(0);
    expect(leased?.duplicated).toBeLessThan((naive?.duplicated ?? 0) / 3);
    expect(fenced?.duplicated).toBe(0);
    for (const report of [naive, acknowledged, leased, fenced]) expect(report?.lost).toBe(0);
  });
});
