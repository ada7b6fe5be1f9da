/** The simulator keeps its own promises: a world that lies proves nothing about the cores in it. */

import { describe, expect, test } from 'vitest';
import type { Core } from '../../src/kernel/core.ts';
import { flapping, halves, isolate } from './faults.ts';
import { heartbeatAdapter } from './heartbeat.ts';
import type { Beat, HeartbeatInput, HeartbeatView } from './heartbeat.ts';
import { conditions, createWorld } from './world.ts';
import type { Host, HostOptions, World, WorldOptions } from './world.ts';

interface Setup {
  readonly names: readonly string[];
  readonly periodMs?: number;
  readonly isDurable?: boolean;
  readonly via?: 'datagram' | 'link';
  readonly host?: HostOptions;
}

function worldOf(
  options: WorldOptions<Beat>,
  setup: Setup,
): { world: World<Beat>; hosts: Host<HeartbeatInput, HeartbeatView>[] } {
  const world = createWorld<Beat>(options);
  const hosts = setup.names.map((self) => {
    const config = {
      self,
      peers: setup.names.filter((name) => name !== self),
      periodMs: setup.periodMs ?? 100,
      timeoutMs: 2_000,
      isDurable: setup.isDurable ?? false,
    };
    return world.addHost(self, heartbeatAdapter(config, setup.via), setup.host);
  });
  return { world, hosts };
}

/** Two hosts of which only the first one speaks. */
function speakerAndListener(
  options: WorldOptions<Beat>,
  setup: Omit<Setup, 'names'> = {},
): { world: World<Beat>; ear: Host<HeartbeatInput, HeartbeatView> } {
  const world = createWorld<Beat>(options);
  const common = { periodMs: setup.periodMs ?? 100, timeoutMs: 1e9, isDurable: false };
  const via = setup.via ?? 'datagram';
  world.addHost('mouth', heartbeatAdapter({ ...common, self: 'mouth', peers: ['ear'] }, via));
  const deaf = { ...common, self: 'ear', peers: [], periodMs: 1e9 };
  const ear = world.addHost('ear', heartbeatAdapter(deaf, via), setup.host);
  return { world, ear };
}

const five = { names: ['ann', 'bob', 'cyd', 'dan', 'eve'] };

function stormyHash(seed: number): string {
  const network = { ...conditions.wifi, lossRate: 0.1, duplicateRate: 0.1, reorderRate: 0.1 };
  const { world } = worldOf({ seed, network: { ...network, reorderMsMax: 50 } }, five);
  world.plan([
    { at: 1_000, fault: halves('split', five.names, world.random) },
    { at: 3_000, fault: { type: 'pause', host: 'bob' } },
    { at: 5_000, fault: { type: 'heal' } },
    { at: 6_000, fault: { type: 'resume', host: 'bob' } },
    { at: 7_000, fault: { type: 'crash', host: 'cyd' } },
    { at: 8_000, fault: { type: 'restart', host: 'cyd', disk: 'older' } },
  ]);
  world.runUntil(20_000);
  return world.trace.hash();
}

describe('determinism', () => {
  test('the same seed gives the same trace', () => {
    expect(stormyHash(7)).toBe(stormyHash(7));
  });

  test('different seeds give different traces', () => {
    const hashes = new Set([1, 2, 3, 4, 5, 6, 7, 8].map(stormyHash));
    expect(hashes.size).toBe(8);
  });

  test('a core that draws from ambient chance is caught by its trace', () => {
    const run = (): string => {
      const world = createWorld<Beat>({ seed: 1 });
      let at = 0;
      const core: Core<'tick', number, null> = {
        step(now) {
          at = now + 1 + Math.random();
          return [1];
        },
        deadline: () => at,
        view: () => null,
      };
      world.addHost('rogue', { build: () => core, tick: 'tick', receive: () => 'tick', run() {} });
      world.runUntil(100);
      return world.trace.hash();
    };
    expect(run()).not.toBe(run());
  });
});

describe('the network', () => {
  test('loses the configured share of datagrams', () => {
    const network = { ...conditions.ideal, lossRate: 0.2 };
    const { world } = speakerAndListener({ seed: 3, network }, { periodMs: 1 });
    world.runUntil(50_000);
    const { sent, delivered, dropped } = world.counters.of('beat');
    expect(sent).toBeGreaterThan(49_000);
    expect(Math.abs((dropped.loss ?? 0) / sent - 0.2)).toBeLessThan(0.01);
    expect(sent - delivered - (dropped.loss ?? 0)).toBeLessThanOrEqual(1);
  });

  test('delays by the minimum plus an exponential of the configured mean', () => {
    const network = { ...conditions.ideal, delayMsMin: 3, delayMsMean: 5 };
    const world = createWorld<Beat>({ seed: 4, network });
    const delays: number[] = [];
    const silent: Core<Beat | undefined, never, null> = {
      step(now, beat) {
        if (beat !== undefined) delays.push(now - beat.count);
        return [];
      },
      deadline: () => Infinity,
      view: () => null,
    };
    world.addHost('ear', {
      build: () => silent,
      tick: undefined,
      receive: (_, beat) => beat,
      run() {},
    });
    const adapter = heartbeatAdapter({
      self: 'mouth',
      peers: ['ear'],
      periodMs: 1,
      timeoutMs: 1e9,
      isDurable: false,
    });
    // The clock is the message: the beat carries the instant it was sent.
    const run: typeof adapter.run = (effect, tools) => {
      if (effect.type === 'send') tools.send('ear', { type: 'beat', count: tools.now() });
    };
    world.addHost('mouth', { ...adapter, run });
    world.runUntil(20_000);
    const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
    const late = delays.filter((delay) => delay > 3 + 5 * Math.log(2)).length / delays.length;
    expect(delays.length).toBeGreaterThan(19_900);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(3);
    expect(Math.abs(mean - 8)).toBeLessThan(0.2);
    expect(Math.abs(late - 0.5)).toBeLessThan(0.02);
  });

  test('doubles the configured share of datagrams', () => {
    const network = { ...conditions.ideal, duplicateRate: 0.3 };
    const { world } = speakerAndListener({ seed: 5, network }, { periodMs: 1 });
    world.runUntil(20_000);
    const { sent, delivered } = world.counters.of('beat');
    expect(Math.abs(delivered / sent - 1.3)).toBeLessThan(0.02);
  });

  test('delivers in order when delays are constant, and out of order when told to', () => {
    const inversions = (reorderRate: number): number => {
      const network = { ...conditions.ideal, reorderRate, reorderMsMax: 40 };
      const { world, ear } = speakerAndListener({ seed: 6, network }, { periodMs: 1 });
      world.runUntil(500);
      const counts = ear.view().heard.flatMap((line) => line.match(/\d+/)?.map(Number) ?? []);
      return counts.filter((count, at) => at > 0 && count < (counts[at - 1] ?? 0)).length;
    };
    expect(inversions(0)).toBe(0);
    expect(inversions(0.2)).toBeGreaterThan(20);
  });

  test('drops what exceeds the capacity of a path', () => {
    const network = { ...conditions.ideal, delayMsMin: 10, pathCapacity: 4 };
    const { world } = speakerAndListener({ seed: 7, network }, { periodMs: 1 });
    world.runUntil(10_000);
    const { sent, delivered, dropped } = world.counters.of('beat');
    expect(delivered / sent).toBeLessThan(0.45);
    expect(dropped.capacity ?? 0).toBeGreaterThan(5_000);
  });

  test('keeps a condition of one directed path to that path', () => {
    const { world } = worldOf({ seed: 8 }, { names: ['ann', 'bob'] });
    world.inject({ type: 'conditions', change: { lossRate: 1 }, from: 'ann', to: 'bob' });
    world.runUntil(5_000);
    expect(world.host('bob').view()).toMatchObject({ up: [] });
    expect(world.host('ann').view()).toMatchObject({ up: ['bob'] });
  });
});

describe('partitions', () => {
  const upOf = (host: Host<HeartbeatInput, HeartbeatView> | undefined): string[] =>
    [...(host?.view().up ?? [])].sort();

  test('a partition silences both sides to each other and heals', () => {
    const { world, hosts } = worldOf({ seed: 9 }, five);
    world.runUntil(10_000);
    world.inject({
      type: 'partition',
      name: 'cut',
      from: ['ann', 'bob'],
      to: ['cyd', 'dan', 'eve'],
    });
    world.runFor(10_000);
    expect(upOf(hosts[0])).toEqual(['bob']);
    expect(upOf(hosts[4])).toEqual(['cyd', 'dan']);
    world.inject({ type: 'heal', name: 'cut' });
    world.runFor(10_000);
    expect(upOf(hosts[0])).toEqual(['bob', 'cyd', 'dan', 'eve']);
  });

  test('a one-way partition silences one direction only', () => {
    const { world, hosts } = worldOf({ seed: 10 }, { names: ['ann', 'bob'] });
    world.inject({ type: 'partition', name: 'cut', from: ['ann'], to: ['bob'], isOneWay: true });
    world.runUntil(10_000);
    expect(upOf(hosts[0])).toEqual(['bob']);
    expect(upOf(hosts[1])).toEqual([]);
  });

  test('an isolated host hears nobody', () => {
    const { world, hosts } = worldOf({ seed: 11 }, five);
    world.inject(isolate('cut', five.names, 'cyd'));
    world.runUntil(10_000);
    expect(upOf(hosts[2])).toEqual([]);
    expect(upOf(hosts[0])).toEqual(['bob', 'dan', 'eve']);
  });

  test('a flapping partition is noticed each time', () => {
    const { world } = worldOf({ seed: 12 }, { names: ['ann', 'bob'] });
    const cut = { type: 'partition', name: 'flap', from: ['ann'], to: ['bob'] } as const;
    world.plan(flapping(cut, { start: 1_000, end: 41_000, onMs: 5_000, offMs: 5_000 }));
    world.runUntil(50_000);
    expect(world.notes.get('down')).toBe(8);
    expect(world.notes.get('up')).toBe(10);
  });
});

describe('a link', () => {
  const numbersOf = (ear: Host<HeartbeatInput, HeartbeatView>): number[] =>
    ear.view().heard.flatMap((line) => line.match(/(?<=mouth )\d+/)?.map(Number) ?? []);

  test('delivers everything in order under loss and reordering', () => {
    const network = { ...conditions.wifi, lossRate: 0.3, reorderRate: 0.3, reorderMsMax: 80 };
    const { world, ear } = speakerAndListener({ seed: 13, network }, { periodMs: 50, via: 'link' });
    world.runUntil(20_000);
    const numbers = numbersOf(ear);
    expect(numbers.length).toBeGreaterThan(300);
    expect(numbers).toEqual(numbers.map((_, at) => at + 1));
  });

  test('stalls through a short partition and loses nothing', () => {
    const { world, ear } = speakerAndListener({ seed: 14 }, { via: 'link' });
    world.runUntil(1_000);
    world.inject({ type: 'partition', name: 'cut', from: ['mouth'], to: ['ear'] });
    world.runFor(5_000);
    expect(numbersOf(ear).length).toBeLessThan(12);
    world.inject({ type: 'heal' });
    world.runFor(5_000);
    const numbers = numbersOf(ear);
    expect(numbers.length).toBeGreaterThan(105);
    expect(numbers).toEqual(numbers.map((_, at) => at + 1));
  });

  test('is reset when it stalls for too long, and both ends are told', () => {
    const { world, ear } = speakerAndListener({ seed: 15 }, { via: 'link' });
    world.runUntil(1_000);
    world.inject({ type: 'partition', name: 'cut', from: ['mouth'], to: ['ear'] });
    world.runFor(20_000);
    expect(ear.view().heard).toContain('reset mouth');
    expect(world.host('mouth').view()).toMatchObject({
      heard: expect.arrayContaining(['reset ear']) as unknown,
    });
    expect(world.counters.of('beat').dropped.reset ?? 0).toBeGreaterThan(100);
  });

  test('to a killed process is reset at once, to a powerless machine only after the timeout', () => {
    const resetAfter = (isPowerCut: boolean): number | undefined => {
      const { world } = speakerAndListener({ seed: 16 }, { via: 'link' });
      world.runUntil(1_000);
      world.inject({ type: 'crash', host: 'ear', isPowerCut });
      const mouth = world.host('mouth') as Host<HeartbeatInput, HeartbeatView>;
      return world.waitFor(() => mouth.view().heard.includes('reset ear'), 30_000);
    };
    expect(resetAfter(false)).toBeLessThan(200);
    expect(resetAfter(true)).toBeGreaterThan(14_000);
  });
});

describe('a host', () => {
  test('a pause delays timers and messages; both come after it', () => {
    const { world, ear } = speakerAndListener({ seed: 17 });
    world.runUntil(1_000);
    const before = ear.view().heard.length;
    world.inject({ type: 'pause', host: 'ear' });
    world.runFor(3_000);
    expect(ear.view().heard.length).toBe(before);
    world.inject({ type: 'resume', host: 'ear' });
    expect(ear.view().heard.length).toBe(before + 30);
  });

  test('a full socket buffer drops datagrams of a paused host', () => {
    const { world, ear } = speakerAndListener({ seed: 18 }, { host: { socketBufferMax: 10 } });
    world.inject({ type: 'pause', host: 'ear' });
    world.runFor(3_000);
    world.inject({ type: 'resume', host: 'ear' });
    expect(ear.view().heard.length).toBe(11);
    expect(world.counters.of('beat').dropped.buffer).toBe(20);
  });

  test.each([
    ['before-messages', 'tick'],
    ['after-messages', 'ann'],
  ] as const)('after a block the late timer runs %s', (lateTick, first) => {
    const { world, hosts } = worldOf({ seed: 19 }, { names: ['ann', 'bob'], host: { lateTick } });
    world.runUntil(1_050);
    const before = hosts[1]?.view().heard.length ?? 0;
    world.inject({ type: 'block', host: 'bob', forMs: 1_000 });
    world.runFor(1_000);
    expect(hosts[1]?.view().heard[before]?.split(' ')[0]).toBe(first);
    expect(hosts[1]?.view().heard.slice(before, before + 11)).toContain('tick');
  });

  test('a pause outlives a block that ends within it', () => {
    const { world, hosts } = worldOf({ seed: 20 }, { names: ['ann', 'bob'] });
    world.inject({ type: 'block', host: 'bob', forMs: 100 });
    world.inject({ type: 'pause', host: 'bob' });
    world.runFor(1_000);
    expect(hosts[1]?.phase()).toBe('frozen');
    world.inject({ type: 'resume', host: 'bob' });
    expect(hosts[1]?.phase()).toBe('running');
  });

  test('a crash loses memory and keeps the disk', () => {
    const { world, hosts } = worldOf({ seed: 21 }, { names: ['ann', 'bob'], isDurable: true });
    world.runUntil(10_050);
    const count = hosts[0]?.view().count ?? 0;
    expect(count).toBe(101);
    world.inject({ type: 'crash', host: 'ann' });
    expect(() => hosts[0]?.view()).toThrow('host ann is down');
    world.runFor(1_000);
    world.inject({ type: 'restart', host: 'ann' });
    expect(hosts[0]?.view()).toMatchObject({ count: count + 1, up: [] });
  });

  test('a restart finds a lost disk empty and an older disk behind', () => {
    const countAfter = (disk: 'lost' | 'older'): number => {
      const { world, hosts } = worldOf({ seed: 22 }, { names: ['ann', 'bob'], isDurable: true });
      world.runUntil(10_050);
      world.inject({ type: 'crash', host: 'ann' });
      world.inject({ type: 'restart', host: 'ann', disk });
      return hosts[0]?.view().count ?? -1;
    };
    expect(countAfter('lost')).toBe(1);
    expect(countAfter('older')).toBeGreaterThan(90);
    expect(countAfter('older')).toBeLessThan(102);
  });

  test('what follows a write waits for the disk, and a crash in between sends nothing', () => {
    const { world } = worldOf({ seed: 23 }, { names: ['ann', 'bob'], isDurable: true });
    world.runUntil(1_050);
    world.inject({ type: 'slow-disk', host: 'ann', writeMsMin: 500, writeMsMean: 0 });
    const sentBefore = world.counters.of('beat').sent;
    world.runFor(400);
    expect(world.counters.of('beat').sent).toBe(sentBefore + 4);
    world.inject({ type: 'crash', host: 'ann' });
    world.runFor(1_000);
    expect(world.counters.of('beat').sent).toBe(sentBefore + 14);
  });

  test('a suspended host hears nothing, its monotonic clock stands still, and it learns the gap', () => {
    const { world, hosts } = worldOf({ seed: 24 }, { names: ['ann', 'bob'] });
    world.runUntil(1_000);
    const before = { monotonic: hosts[0]?.now() ?? 0, wall: hosts[0]?.wallMs() ?? 0 };
    world.inject({ type: 'suspend', host: 'ann', forMs: 60_000 });
    world.runFor(60_000);
    expect((hosts[0]?.now() ?? 0) - before.monotonic).toBeLessThan(1);
    expect((hosts[0]?.wallMs() ?? 0) - before.wall).toBe(60_000);
    expect(hosts[0]?.view().heard.at(-1)).toBe('woke 60000');
    expect(world.counters.of('beat').dropped.suspended).toBeGreaterThan(590);
  });

  test('a fast clock beats more often; a jump of wall time changes nothing but wall time', () => {
    const count = (host: HostOptions): number => {
      const { world, hosts } = worldOf({ seed: 25 }, { names: ['ann', 'bob'], host });
      world.at(5_000, { type: 'jump-wall', host: 'ann', byMs: -1e9 });
      world.runUntil(100_001);
      return hosts[0]?.view().count ?? 0;
    };
    expect(count({})).toBe(1_001);
    expect(count({ driftPpm: 10_000, monotonicMs: 12_345.678 })).toBe(1_011);
  });
});

describe('guards', () => {
  const stuck = (deadline: number): Core<'tick', never, null> => ({
    step: () => [],
    deadline: () => deadline,
    view: () => null,
  });
  const addStuck = (deadline: number): (() => void) => {
    const world = createWorld<Beat>({ seed: 199 });
    const core = stuck(deadline);
    world.addHost('loop', { build: () => core, tick: 'tick', receive: () => 'tick', run() {} });
    return () => world.runUntil(1_000);
  };

  test('a core whose deadline stays in the past is a livelock, named with time and seed', () => {
    expect(addStuck(500)).toThrow('livelock at 500.000 ms on host loop, seed 199');
  });

  test('a deadline that is not a number is refused', () => {
    expect(() => addStuck(NaN)).toThrow('host loop: its deadline is not a number');
  });
});

test('a hundred hosts run hundreds of times faster than real time', () => {
  const names = Array.from({ length: 100 }, (_, at) => `host-${at}`);
  const began = process.cpuUsage();
  const { world } = worldOf({ seed: 26 }, { names, periodMs: 250 });
  world.runUntil(60_000);
  const { user, system } = process.cpuUsage(began);
  const spent = (user + system) / 1000;
  expect(world.counters.sentTotal()).toBeGreaterThan(24_000);
  // Measured at more than 300 times; a tenth of it is asked, so that a busy machine does not fail.
  expect(60_000 / spent).toBeGreaterThan(30);
});
