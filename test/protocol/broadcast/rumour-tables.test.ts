/** The production core reproduces Tables 1 to 3 of Demers et al. 1987: 1000 sites, synchronous cycles. */

import { describe, expect, test } from 'vitest';
import type { RumourConfig } from '../../../src/protocol/broadcast/rumour.ts';
import { runEpidemics } from './synchronous-sites.ts';
import type { Epidemics } from './synchronous-sites.ts';

/** A line of a table as printed; `unit` is half of the last printed digit of each figure. */
interface Row {
  readonly k: number;
  readonly residue: number;
  readonly traffic: number;
  readonly trafficUnit: number;
  readonly lastCycle: number;
  readonly lastCycleUnit: number;
  /** Enough epidemics that two standard errors around the mean of many seeds stay inside every tolerance. */
  readonly runs: number;
}

const siteCount = 1000;
const seed = 1987;

/** The longest row takes 7 s alone; a busy machine may take several times that. */
const timeoutMs = 120_000;

function check(config: RumourConfig, row: Row): Epidemics {
  const found = runEpidemics({ ...config, k: row.k }, { siteCount, runs: row.runs, seed });
  const near = (measured: number, printed: number, share: number, unit: number): void => {
    expect(Math.abs(measured - printed)).toBeLessThanOrEqual(printed * share + unit);
  };
  near(found.traffic, row.traffic, 0.02, row.trafficUnit);
  near(found.lastCycle, row.lastCycle, 0.03, row.lastCycleUnit);
  if (row.k <= 4 && row.residue > 1e-4) near(found.residue, row.residue, 0.15, 0);
  else expect(found.residue).toBeLessThan(row.residue * 1.3 + 5e-5);
  // Every site misses each of the m·n pushes with probability 1 - 1/n (section 1.4): s = e^-m, for pushes only.
  if (config.exchange !== 'pull') near(-Math.log(found.residue), found.traffic, 0.03, 0);
  return found;
}

const push = { trafficUnit: 0.05, lastCycleUnit: 0.05, runs: 300 };

describe('Table 1: push, feedback, counter', () => {
  test.each<Row>([
    { ...push, k: 1, residue: 0.18, traffic: 1.7, lastCycle: 16.8 },
    { ...push, k: 2, residue: 0.037, traffic: 3.3, lastCycle: 16.9 },
    { ...push, k: 3, residue: 0.011, traffic: 4.5, lastCycle: 17.4 },
    { ...push, k: 4, residue: 0.0036, traffic: 5.6, lastCycle: 17.5 },
    { ...push, k: 5, residue: 0.0012, traffic: 6.7, lastCycle: 17.7 },
  ])(
    'k = $k leaves $residue, sends $traffic, ends after $lastCycle',
    (row) => {
      check({ exchange: 'push', judge: 'feedback', loss: 'counter' }, row);
    },
    timeoutMs,
  );
});

const blind = { ...push, lastCycleUnit: 0.5 };

describe('Table 2: push, blind, coin', () => {
  test.each<Row>([
    { ...blind, k: 2, residue: 0.2, traffic: 1.6, lastCycle: 33 },
    { ...blind, k: 3, residue: 0.06, traffic: 2.8, lastCycle: 32 },
    { ...blind, k: 4, residue: 0.021, traffic: 3.9, lastCycle: 32 },
    { ...blind, k: 5, residue: 0.008, traffic: 4.9, lastCycle: 32 },
  ])(
    'k = $k leaves $residue, sends $traffic, ends after $lastCycle',
    (row) => {
      check({ exchange: 'push', judge: 'blind', loss: 'coin' }, row);
    },
    timeoutMs,
  );

  test(
    'k = 1 leaves 0.96, and is a chain whose length has a closed form',
    () => {
      const config = { exchange: 'push', judge: 'blind', loss: 'coin' } as const;
      const printed = { k: 1, residue: 0.96, traffic: 0.04, trafficUnit: 0.005, lastCycle: 38 };
      const { lastCycle } = check(config, { ...blind, ...printed, runs: 6_000 });
      // The j-th telling finds one of n - j sites that do not know, out of n - 1.
      let expected = 0;
      let isUnbroken = 1;
      for (let told = 1; told < siteCount; told += 1) {
        isUnbroken *= (siteCount - told) / (siteCount - 1);
        expected += isUnbroken;
      }
      expect(Math.abs(lastCycle / expected - 1)).toBeLessThan(0.02);
    },
    timeoutMs,
  );
});

const pull = { trafficUnit: 0.05, lastCycleUnit: 0.05 };

describe('Table 3: pull, feedback, counter', () => {
  test.each<Row>([
    { ...pull, k: 1, residue: 3.1e-2, traffic: 2.7, lastCycle: 17.6, runs: 150 },
    { ...pull, k: 2, residue: 5.8e-4, traffic: 4.5, lastCycle: 15.4, runs: 700 },
    { ...pull, k: 3, residue: 4.0e-6, traffic: 6.1, lastCycle: 14.0, runs: 100 },
  ])(
    'k = $k leaves $residue, sends $traffic, ends after $lastCycle',
    (row) => {
      check({ exchange: 'pull', judge: 'feedback', loss: 'counter' }, row);
    },
    timeoutMs,
  );
});
