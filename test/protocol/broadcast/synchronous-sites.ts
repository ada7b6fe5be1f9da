/** A site park in lock step: every site acts once per cycle, as in the tables of Demers et al. 1987. */

import type { Core } from '../../../src/kernel/core.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createRumours } from '../../../src/protocol/broadcast/rumour.ts';
import type {
  RumourConfig,
  RumourEffect,
  RumourInput,
  RumourView,
} from '../../../src/protocol/broadcast/rumour.ts';

type Site = Core<RumourInput<null>, RumourEffect<null>, RumourView>;

/** Means over many epidemics. */
export interface Epidemics {
  /** Share of the sites that never hear the rumour. */
  readonly residue: number;
  /** Rumours sent, per site. */
  readonly traffic: number;
  /** Cycles until the last site that hears it hears it. */
  readonly lastCycle: number;
}

const periodMs = 100;

/** One rumour is about at a time, so small memories are enough, and a thousand of them stay in the cache. */
const small = { periodMs, rumoursMax: 4, knownMax: 4 };
const tick = { type: 'tick' } as const;

/** Lets `runs` rumours die out, one after the other, among `siteCount` production cores. */
export function runEpidemics(
  config: RumourConfig,
  options: { siteCount: number; runs: number; seed: number },
): Epidemics {
  const { siteCount, runs } = options;
  const random = createRandom(options.seed);
  const ids = Array.from({ length: siteCount }, (_, at) => `site-${at}` as NodeId);
  const indexOf = new Map(ids.map((id, at) => [id, at]));
  /** 1: the site has a deadline. In most cycles most sites sleep, and asking each of them is what would take the time. */
  const isAwake = new Uint8Array(siteCount);
  const sites: Site[] = ids.map(() => createRumours<null>({ ...config, ...small }, random.split()));
  let now = 0;

  function step(at: number, input: RumourInput<null>): readonly RumourEffect<null>[] {
    const site = sites[at] as Site;
    const effects = site.step(now, input);
    isAwake[at] = site.deadline() < Infinity ? 1 : 0;
    return effects;
  }
  const stepOf = (id: NodeId, input: RumourInput<null>): readonly RumourEffect<null>[] =>
    step(indexOf.get(id) ?? -1, input);

  for (const [at, self] of ids.entries()) {
    step(at, { type: 'peers', ids: ids.filter((id) => id !== self) });
  }
  let heardTotal = 0;
  let sentTotal = 0;
  let lastCycleTotal = 0;
  let heardInCycle = 0;

  function deliver(from: NodeId, to: NodeId, id: string): void {
    sentTotal += 1;
    for (const effect of stepOf(to, { type: 'received', from, id, item: null })) {
      if (effect.type === 'deliver') heardInCycle += 1;
      else if (effect.type === 'answer') {
        stepOf(from, { type: 'answered', from: to, id, wasNew: effect.wasNew });
      }
    }
  }

  /** One cycle: all sites act on what they knew before it, then everything arrives. Returns the rumours sent. */
  function cycle(): number {
    const outbox: { from: NodeId; effect: RumourEffect<null> }[] = [];
    now += periodMs;
    for (let at = 0; at < siteCount; at += 1) {
      if (isAwake[at] === 0 || (sites[at] as Site).deadline() > now) continue;
      const from = ids[at] as NodeId;
      for (const effect of step(at, tick)) outbox.push({ from, effect });
    }
    const sentBefore = sentTotal;
    for (const { from, effect } of outbox) {
      if (effect.type === 'push') deliver(from, effect.to, effect.id);
      if (effect.type !== 'ask') continue;
      for (const reply of stepOf(effect.to, { type: 'asked', from })) {
        if (reply.type === 'push') deliver(effect.to, from, reply.id);
      }
    }
    return sentTotal - sentBefore;
  }

  const isHot = (): boolean =>
    sites.some((site, at) => isAwake[at] === 1 && site.view().hot.length > 0);
  for (let run = 0; run < runs; run += 1) {
    step(random.below(siteCount), { type: 'learned', id: `rumour-${run}`, item: null });
    heardTotal += 1;
    let lastCycle = 0;
    for (let at = 1; ; at += 1) {
      heardInCycle = 0;
      const sent = cycle();
      heardTotal += heardInCycle;
      if (heardInCycle > 0) lastCycle = at;
      if (sent === 0 && !isHot()) break;
    }
    lastCycleTotal += lastCycle;
  }
  const all = siteCount * runs;
  return {
    residue: 1 - heardTotal / all,
    traffic: sentTotal / all,
    lastCycle: lastCycleTotal / runs,
  };
}
