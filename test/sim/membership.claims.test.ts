/** What the SWIM paper says and our parameters promise, measured on the production core in virtual time. */

import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../src/kernel/ids.ts';
import { swimProfiles } from '../../src/protocol/membership/profiles.ts';
import type { SwimProfile } from '../../src/protocol/membership/profiles.ts';
import type { Lifeguard, SwimEffect } from '../../src/protocol/membership/swim-types.ts';
import { addSwimHost, seesAlive, simMeta, simNodeId, stateIn } from './membership.ts';
import type { SwimHost, SwimLetter, SwimNodeOptions } from './membership.ts';
import { conditions, createWorld } from './world.ts';
import type { Conditions, HostOptions, World } from './world.ts';

const { wired } = swimProfiles;
/** The paper's and memberlist's behaviour, without what we added. */
const plain: Lifeguard = { lhaProbe: false, lhaSuspicion: false, buddy: false };

interface Mesh {
  readonly world: World<SwimLetter>;
  readonly ids: readonly NodeId[];
  readonly hosts: readonly SwimHost[];
}

/** A mesh in which everybody knows everybody. */
function mesh(
  count: number,
  seed: number,
  options: SwimNodeOptions & { readonly host?: HostOptions } = {},
): Mesh {
  const kindOf = (letter: SwimLetter): string =>
    letter instanceof Uint8Array ? 'bytes' : letter.kind;
  const world = createWorld<SwimLetter>({ seed, kindOf, stepsPerMsMax: 50_000 });
  const ids = Array.from({ length: count }, (_, at) => simNodeId(at + 1));
  const hosts = ids.map((id, at) =>
    addSwimHost(world, id, { seeds: ids.slice(Math.max(0, at - 2), at), ...options }, options.host),
  );
  const isComplete = (): boolean =>
    hosts.every((host) =>
      seesAlive(
        host,
        ids.filter((id) => id !== host.id),
      ),
    );
  if (world.waitFor(isComplete, 60_000, 250) === undefined) throw new Error('the mesh never met');
  world.runFor(3_000);
  return { world, ids, hosts };
}

function watchEffects(world: World<SwimLetter>, look: (host: string, effect: SwimEffect) => void) {
  world.observe((_, host, effect) => look(host, effect as SwimEffect));
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Periods to the first probe of a member when each other one goes through a shuffled list, exactly. */
function roundRobinPeriods(count: number): number {
  const length = count - 1;
  let periods = 0;
  for (let k = 0; k < 2 * length; k += 1) {
    let missed = 0;
    for (let rest = 1; rest <= length; rest += 1) {
      const inNext = Math.min(length, Math.max(0, k - rest));
      const inThis = Math.min(k, rest);
      missed += k <= rest ? 1 - k / length : (1 - inThis / length) * (1 - inNext / length);
    }
    periods += (missed / length) ** length;
  }
  return periods;
}

describe('SWIM, DSN 2002', () => {
  test.each([
    [10, 400_000],
    [50, 120_000],
  ])('V-S1: among %i a member is first probed after e/(e-1) periods', (count, ms) => {
    const { world } = mesh(count, 5, { config: { sparesPingers: false } });
    const start = world.now;
    const windows = new Map<string, Set<number>>();
    watchEffects(world, (_, effect) => {
      if (effect.type !== 'send' || effect.message.kind !== 'ping') return;
      const seen = windows.get(effect.message.target) ?? new Set();
      windows.set(effect.message.target, seen.add(Math.floor((world.now - start) / 1_000)));
    });
    world.runFor(ms);
    const waits: number[] = [];
    for (const seen of windows.values()) {
      for (let from = 0; from < ms / 1_000 - 20; from += 1) {
        let wait = 0;
        while (!seen.has(from + wait)) wait += 1;
        waits.push(wait + 1);
      }
    }
    const exact = roundRobinPeriods(count);
    expect(Math.abs(mean(waits) / exact - 1)).toBeLessThan(0.03);
    if (count >= 50) expect(Math.abs(mean(waits) / 1.58 - 1)).toBeLessThan(0.03);
  });

  test('V-S1b: with phases of their own the first verdict comes after about two periods', () => {
    const waits: number[] = [];
    for (let seed = 1; seed <= 60; seed += 1) {
      const { world, ids, hosts } = mesh(30, seed, { config: { sparesPingers: false } });
      const frozen = ids[7] as NodeId;
      world.runFor(world.random.below(1_000));
      world.inject({ type: 'pause', host: frozen });
      const others = hosts.filter(({ id }) => id !== frozen);
      const isSuspect = (): boolean => others.some((host) => stateIn(host, frozen) === 'suspect');
      waits.push((world.waitFor(isSuspect, 30_000) ?? Number.NaN) / 1_000);
    }
    expect(Math.abs(mean(waits) / 2 - 1)).toBeLessThan(0.1);
  });

  test('V-S2: each member sends two messages a period, whatever the size of the mesh', () => {
    const rates = [3, 10, 30, 100].map((count) => {
      const { world } = mesh(count, 3);
      const isQuiet = (): boolean => {
        const before = world.counters.of('gossip').sent;
        world.runFor(5_000);
        return world.counters.of('gossip').sent === before;
      };
      expect(world.waitFor(isQuiet, 60_000)).toBeDefined();
      const before = world.counters.sentTotal();
      world.runFor(60_000);
      return (world.counters.sentTotal() - before) / count / 60;
    });
    for (const rate of rates) {
      expect(rate).toBeGreaterThanOrEqual(1.98);
      expect(rate).toBeLessThanOrEqual(2.1);
    }
  });

  test.each([
    [0.05, 0, 1_000],
    [0.05, 1, 4_000],
    [0.1, 1, 2_000],
    [0.2, 3, 2_000],
  ])('V-S3: at %f loss and %i helpers rounds fail as the formula says', (q, k, seconds) => {
    const patient: SwimProfile = { ...wired, helperCount: k, suspicionMult: 1_000_000 };
    const { world, ids } = mesh(10, 11, {
      profile: patient,
      config: { lifeguard: plain, sparesPingers: false },
    });
    world.inject({ type: 'conditions', change: { lossRate: q } });
    const failedBefore = world.notes.get('probe-failed') ?? 0;
    world.runFor(seconds * 1_000);
    const failed = (world.notes.get('probe-failed') ?? 0) - failedBefore;
    const share = failed / (ids.length * seconds);
    const formula = (1 - (1 - q) ** 2) * (1 - (1 - q) ** 4) ** k;
    expect(Math.abs(share / formula - 1)).toBeLessThan(0.1);
  });

  test.each([
    [8, 9],
    [19, 9],
    [20, 12],
    [53, 12],
    [54, 15],
  ])('V-S4: among %i a suspicion lasts %i periods, three times the logarithm', (count, periods) => {
    const paper: SwimProfile = { ...wired, suspicionMult: 3, suspicionScale: 'swim' };
    const options = { profile: paper, config: { lifeguard: plain, sparesPingers: false } };
    const { world, ids } = mesh(count, 7, options);
    const frozen = ids[3] as NodeId;
    const since = new Map<string, number>();
    const waits: number[] = [];
    watchEffects(world, (host, effect) => {
      if (effect.type !== 'announce' || effect.member.node !== frozen) return;
      if (effect.member.state === 'suspect') since.set(host, world.now);
      const from = since.get(host);
      if (effect.member.state === 'dead' && from !== undefined) waits.push(world.now - from);
    });
    world.inject({ type: 'pause', host: frozen });
    world.waitFor(() => waits.length > 0, 60_000);
    // Whoever suspected first condemns first, and nobody's voice shortens it.
    expect(waits[0]).toBe(periods * wired.probeIntervalMs);
  });

  test('V-S5: news reaches the last member after a logarithm of beats', () => {
    const beats = [10, 32, 100].map((count) => {
      const waits: number[] = [];
      for (let seed = 1; seed <= 5; seed += 1) {
        const { world, hosts } = mesh(count, seed);
        world.runFor(10_000);
        const [teller] = hosts;
        if (teller === undefined) throw new Error('somebody tells');
        const { self } = teller.view();
        teller.feed({ type: 'metaChanged', meta: { ...self.meta, name: 'news' } });
        const hasHeard = (host: SwimHost): boolean =>
          host === teller ||
          host.view().members.some(({ node, meta }) => node === self.node && meta.name === 'news');
        const took = world.waitFor(() => hosts.every((host) => hasHeard(host)), 30_000, 20);
        waits.push((took ?? Number.NaN) / wired.gossipIntervalMs);
      }
      return mean(waits);
    });
    const [few = Number.NaN, some = Number.NaN, many = Number.NaN] = beats;
    console.info(`news: ${beats.map((one) => one.toFixed(2)).join(', ')} beats`);
    // The prototype needed 3.0 and 5.7 beats; here who has been silent passes news on without waiting for its beat.
    expect(few).toBeLessThan(3);
    expect(many).toBeLessThan(5.7);
    // Each time the mesh is 3.2 times as large it takes as many beats more.
    const steps = [some - few, many - some];
    expect(Math.min(...steps)).toBeGreaterThan(0.2);
    expect(Math.min(...steps) / Math.max(...steps)).toBeGreaterThan(0.6);
  });

  test('V-S6: at 10 % loss suspicion keeps a group together that falls apart without', () => {
    const deaths = [5, 0].map((suspicionMult) => {
      const slow: SwimProfile = {
        ...wired,
        probeIntervalMs: 2_000,
        helperCount: 1,
        suspicionMult,
      };
      const options = { profile: slow, config: { lifeguard: plain } };
      const { world } = mesh(17, 2, options);
      world.inject({ type: 'conditions', change: { lossRate: 0.1 } });
      let count = 0;
      watchEffects(world, (_, effect) => {
        if (effect.type === 'note' && effect.code === 'condemned') count += 1;
      });
      world.runFor(180_000);
      return count;
    });
    expect(deaths[0]).toBeLessThan((deaths[1] ?? 0) / 10);
  });
});

describe('how soon a frozen member is out', () => {
  /** Ms from SIGSTOP until the first, and until every other member calls it dead. */
  function freeze(count: number, seed: number, options: SwimNodeOptions): [number, number] {
    const { world, ids, hosts } = mesh(count, seed, options);
    const frozen = ids[count - 1] as NodeId;
    world.runFor(world.random.below(1_000));
    world.inject({ type: 'pause', host: frozen });
    const others = hosts.slice(0, -1);
    const isDead = (host: SwimHost): boolean => stateIn(host, frozen) === 'dead';
    const first = world.waitFor(() => others.some((host) => isDead(host)), 60_000) ?? Infinity;
    const rest = world.waitFor(() => others.every((host) => isDead(host)), 60_000) ?? Infinity;
    return [first, first + rest];
  }

  test.each([
    [3, 5_900, 40],
    [10, 5_900, 40],
    [30, 7_700, 12],
    [100, 9_700, 4],
  ])('with memberlist parameters among %i: the first verdict after about %i ms', (n, ms, runs) => {
    const profile = { ...wired, suspicionMult: 4 };
    const options = { profile, config: { sparesPingers: false } };
    const firsts = Array.from({ length: runs }, (_, at) => freeze(n, at + 1, options)[0]);
    expect(Math.abs(mean(firsts) / ms - 1)).toBeLessThan(0.2);
  });

  test('wired, 10 members: out of every view within ten seconds, in each of 150 runs', () => {
    const alls = Array.from({ length: 150 }, (_, at) => freeze(10, 1_000 + at, {})[1]);
    expect(quantile(alls, 0.5)).toBeLessThan(7_000);
    expect(Math.max(...alls)).toBeLessThan(10_000);
  });

  // Who is heard first would otherwise be the only voice but their own that anybody hears: two of the three it takes.
  test('killed, and its links closed: out of every view in the shortest time, whatever else is told just then', () => {
    for (let seed = 1; seed <= 120; seed += 1) {
      const { world, ids, hosts } = mesh(8, 5_000 + seed);
      const killed = ids[7] as NodeId;
      const others = hosts.filter(({ id }) => id !== killed);
      world.inject({ type: 'crash', host: killed });
      for (const host of others) host.feed({ type: 'linkClosed', node: killed });
      world.runFor(960);
      hosts[0]?.feed({ type: 'metaChanged', meta: { ...simMeta, labels: { rack: 'one' } } });
      const isGone = (): boolean => others.every((host) => stateIn(host, killed) === 'dead');
      expect(world.waitFor(isGone, 30_000)).toBeLessThan(4_800);
    }
  });

  test('who comes back is alive to everybody within a second', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const { world, ids, hosts } = mesh(10, seed);
      const frozen = ids[3] as NodeId;
      world.inject({ type: 'pause', host: frozen });
      world.runFor(seed % 2 === 0 ? 15_000 : 60_000);
      world.inject({ type: 'resume', host: frozen });
      const isWhole = (): boolean =>
        hosts.every((host) =>
          seesAlive(
            host,
            ids.filter((id) => id !== host.id),
          ),
        );
      expect(world.waitFor(isWhole, 30_000)).toBeLessThan(1_000);
    }
  });
});

describe('who must not be called dead', () => {
  test.each([3, 5, 10, 20])('a loop blocked for 5 s, among %i, in each of 60 runs', (count) => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const { world, ids } = mesh(count, 2_000 + seed);
      let dead = 0;
      watchEffects(world, (_, effect) => {
        if (effect.type === 'announce' && effect.member.state === 'dead') dead += 1;
      });
      world.runFor(world.random.below(1_000));
      world.inject({ type: 'block', host: ids[0] as NodeId, forMs: 5_000 });
      world.runFor(12_000);
      expect(dead).toBe(0);
    }
  });

  test.each<[string, Partial<Conditions>]>([
    ['a LAN', {}],
    ['Wi-Fi', conditions.wifi],
  ])('anybody under heavy loss (a fifth) for a minute on %s, in each of 15 runs', (_, change) => {
    for (let seed = 1; seed <= 15; seed += 1) {
      const { world } = mesh(10, 3_000 + seed);
      let dead = 0;
      watchEffects(world, (_host, effect) => {
        if (effect.type === 'announce' && effect.member.state === 'dead') dead += 1;
      });
      world.inject({ type: 'conditions', change: { ...change, lossRate: 0.2 } });
      world.runFor(60_000);
      expect(dead).toBe(0);
    }
  });
});
