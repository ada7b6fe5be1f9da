/** Draws a whole storm from a seed: which faults this run knows, how strong, on whom and when. */

import type { Millis } from '../../src/kernel/core.ts';
import { sample } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { DiskFate } from './disk.ts';
import { conditions, flapping, halves, isolate } from './faults.ts';
import type { Conditions, Fault, HostId, TimedFault } from './faults.ts';
import type { HostOptions } from './host.ts';
import { exponential } from './network.ts';

/** Every fault that comes and goes during a run. */
export const stormKinds = [
  'partition',
  'one-way',
  'isolate',
  'flap',
  'crash',
  'power-cut',
  'pause',
  'block',
  'suspend',
  'jump-wall',
  'reset-link',
  'stall-link',
  'slow-disk',
] as const;

/** One of them. */
export type StormKind = (typeof stormKinds)[number];

/** What may go wrong in a scenario and how badly. Each run draws a part of it. */
export interface FaultMenu {
  readonly kinds: readonly StormKind[];
  /** Mean time between two faults, in ms. */
  readonly gapMsMean: Millis;
  /** Mean time until a fault ends, in ms. */
  readonly lastMsMean: Millis;
  /** What a restarted host may find on its disk. */
  readonly diskFates: readonly DiskFate[];
  /** Upper bounds of the drawn network; the delay profile is drawn among the presets. */
  readonly lossRateMax: number;
  readonly duplicateRateMax: number;
  readonly reorderRateMax: number;
  /** Upper bounds of the drawn clocks. */
  readonly driftPpmMax: number;
  readonly wallOffsetMsMax: Millis;
}

/** All faults, at the strength a home network can show. */
export const harshMenu: FaultMenu = {
  kinds: stormKinds,
  gapMsMean: 4_000,
  lastMsMean: 5_000,
  diskFates: ['kept', 'kept', 'kept', 'lost', 'older'],
  lossRateMax: 0.3,
  duplicateRateMax: 0.3,
  reorderRateMax: 0.3,
  driftPpmMax: 200,
  wallOffsetMsMax: 30 * 86_400_000,
};

/** Draws the network of a run. */
export function drawConditions(menu: FaultMenu, random: Random): Conditions {
  const [base] = sample(random, [conditions.ideal, conditions.lan, conditions.wifi], 1);
  const share = (max: number): number => (random.below(2) === 0 ? 0 : random.unit() * max);
  return {
    ...(base ?? conditions.lan),
    lossRate: share(menu.lossRateMax),
    duplicateRate: share(menu.duplicateRateMax),
    reorderRate: share(menu.reorderRateMax),
    reorderMsMax: random.unit() * 200,
  };
}

/** Draws the machine of one host. */
export function drawHost(menu: FaultMenu, random: Random): HostOptions {
  const around = (max: number): number => (random.unit() * 2 - 1) * max;
  return {
    monotonicMs: random.below(1_000_000),
    driftPpm: around(menu.driftPpmMax),
    wallOffsetMs: Math.round(around(menu.wallOffsetMsMax)),
  };
}

/** Draws the faults of a run, each with its end, all inside the span. */
export function drawFaults(
  menu: FaultMenu,
  hosts: readonly HostId[],
  span: { start: Millis; end: Millis },
  random: Random,
): TimedFault[] {
  const kinds = sample(random, menu.kinds, 1 + random.below(menu.kinds.length));
  const storm: TimedFault[] = [];
  for (let at = span.start; kinds.length > 0;) {
    at += exponential(random, menu.gapMsMean);
    if (at >= span.end) break;
    const end = Math.min(span.end, at + exponential(random, menu.lastMsMean));
    const kind = kinds[random.below(kinds.length)] as StormKind;
    storm.push(...drawOne(kind, { menu, hosts, random, at, end, name: `cut-${storm.length}` }));
  }
  return storm;
}

interface Draw {
  readonly menu: FaultMenu;
  readonly hosts: readonly HostId[];
  readonly random: Random;
  readonly at: Millis;
  readonly end: Millis;
  readonly name: string;
}

function drawOne(kind: StormKind, draw: Draw): TimedFault[] {
  const { hosts, random, at, end, name } = draw;
  const host = hosts[random.below(hosts.length)] as HostId;
  const other = hosts[random.below(hosts.length)] as HostId;
  const forMs = end - at;
  const once = (fault: Fault): TimedFault[] => [{ at, fault }];
  const until = (fault: Fault, over: Fault): TimedFault[] => [
    { at, fault },
    { at: end, fault: over },
  ];
  switch (kind) {
    case 'partition':
      return until(halves(name, hosts, random), { type: 'heal', name });
    case 'one-way':
      return until(
        { type: 'partition', name, from: [host], to: hosts, isOneWay: true },
        { type: 'heal', name },
      );
    case 'isolate':
      return until(isolate(name, hosts, host), { type: 'heal', name });
    case 'flap': {
      const cut = { type: 'partition', name, from: [host], to: hosts } as const;
      const onMs = 100 + random.unit() * 1_000;
      return flapping(cut, { start: at, end, onMs, offMs: onMs });
    }
    case 'crash':
    case 'power-cut': {
      const disk = draw.menu.diskFates[random.below(draw.menu.diskFates.length)] ?? 'kept';
      return until(
        { type: 'crash', host, isPowerCut: kind === 'power-cut' },
        { type: 'restart', host, disk },
      );
    }
    case 'pause':
      return until({ type: 'pause', host }, { type: 'resume', host });
    case 'block':
      return once({ type: 'block', host, forMs: Math.min(forMs, 10_000) });
    case 'suspend':
      return once({ type: 'suspend', host, forMs });
    case 'jump-wall':
      return once({ type: 'jump-wall', host, byMs: Math.round((random.unit() - 0.5) * 1e9) });
    case 'reset-link':
      return once({ type: 'reset-link', left: host, right: other });
    case 'stall-link':
      return once({ type: 'stall-link', left: host, right: other, forMs });
    case 'slow-disk':
      return until(
        {
          type: 'slow-disk',
          host,
          writeMsMin: random.unit() * 30,
          writeMsMean: random.unit() * 300,
        },
        { type: 'slow-disk', host, writeMsMin: 0, writeMsMean: 0 },
      );
  }
}
