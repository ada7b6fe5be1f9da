/** Swarm testing: every knob from a seed, a storm in which nothing bad may happen, then calm in which good must come. */

import type { Millis } from '../../src/kernel/core.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import { drawConditions, drawFaults, drawHost } from './draw-faults.ts';
import type { FaultMenu } from './draw-faults.ts';
import { conditions, createWorld } from './world.ts';
import type { HostOptions, World, WorldOptions } from './world.ts';

/** What a scenario builds its hosts from. */
export interface SwarmDraw {
  readonly hostCount: number;
  /** Chance for the scenario's own knobs. */
  readonly random: Random;
  /** The drawn machine of the next host. */
  nextHost(): HostOptions;
}

/** What is run: hosts with cores on them, and the weather they live in. */
export interface Scenario<Message, Subject> {
  readonly name: string;
  /** One is drawn per run. */
  readonly hostCounts: readonly number[];
  /** How long the storm lasts. */
  readonly safetyMs: Millis;
  /** How long after the storm everything must be well, at the latest. */
  readonly livenessMs: Millis;
  /** How long everything must be well without a break to count; stale views can look well for a moment. @default 5_000 */
  readonly steadyMs?: Millis;
  readonly menu: FaultMenu;
  readonly world?: Omit<WorldOptions<Message>, 'seed' | 'network'>;
  build(world: World<Message>, draw: SwarmDraw): Subject;
}

/** Watches one run. Each question is answered with what is wrong, or undefined. */
export interface Watch {
  /** Asked throughout the run: what must never be. */
  always?(): string | undefined;
  /** Asked once the storm is over: what is not yet as it must become. */
  eventually?(): string | undefined;
}

/** A property of a scenario. Checkers live in test/sim/checkers. */
export interface Checker<Message, Subject> {
  readonly name: string;
  watch(world: World<Message>, subject: Subject): Watch;
}

/** A run that went wrong. */
export interface SwarmFailure {
  readonly seed: number;
  readonly at: Millis;
  readonly problem: string;
  /** The latest happenings before it. */
  readonly tail: readonly string[];
}

/** What a swarm found. */
export interface SwarmReport {
  readonly scenario: string;
  readonly runCount: number;
  readonly virtualMs: Millis;
  readonly messageCount: number;
  readonly failures: readonly SwarmFailure[];
}

/** How often the checkers look, in virtual ms. */
const lookEveryMs = 100;

/** One run in so many is run twice, and its two traces compared. */
const replayEvery = 10;

/** Runs a scenario under every seed. */
export function swarm<Message, Subject>(options: {
  scenario: Scenario<Message, Subject>;
  seeds: readonly number[];
  checkers: readonly Checker<Message, Subject>[];
  /** Ends at the first failure, and runs nothing twice: for planted bugs. @default false */
  isHunt?: boolean;
}): SwarmReport {
  const failures: SwarmFailure[] = [];
  let virtualMs = 0;
  let messageCount = 0;
  for (const [at, seed] of options.seeds.entries()) {
    const run = runSeed(options.scenario, options.checkers, seed);
    virtualMs += run.world.now;
    messageCount += run.world.counters.sentTotal();
    const isReplayed = at % replayEvery === 0 && options.isHunt !== true;
    const failure = run.failure ?? (isReplayed ? replay(options, run) : undefined);
    if (failure === undefined) continue;
    failures.push(failure);
    if (options.isHunt === true) break;
  }
  const { name } = options.scenario;
  return { scenario: name, runCount: options.seeds.length, virtualMs, messageCount, failures };
}

/**
 * The seeds to run: only `SEED` from the environment when it is set, else the kept ones and `count` more.
 * `SEED_BASE` moves the range, for runs over fresh ones (`npm run sim`). `SEED_COUNT` is how many more, whatever the
 * scenario's own count; `SEED_MOST` only cuts that, so that scenarios whose seeds take long keep their few.
 * @throws {RangeError} when one of these is no number
 */
export function seedsFor(count: number, kept: readonly number[]): number[] {
  const only = numberFrom('SEED');
  if (only !== undefined) return [only];
  const base = numberFrom('SEED_BASE') ?? 1;
  const most = numberFrom('SEED_MOST') ?? Infinity;
  const length = Math.min(most, numberFrom('SEED_COUNT') ?? count);
  return [...kept, ...Array.from({ length }, (_, at) => base + at)];
}

/** How long a test of a swarm may take, in ms: longer when `SEED_COUNT` asks for more than two minutes of seeds. */
export function swarmPatienceMs(): number {
  // `npm run sim` has all the time there is.
  if (numberFrom('SEED_MOST') !== undefined) return 3_600_000;
  return Math.max(120_000, 5_000 * (numberFrom('SEED_COUNT') ?? 0));
}

function numberFrom(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name}=${text}`);
  return value;
}

/** Fails with every failing seed and how to run it again. */
export function expectNoFailures(report: SwarmReport): void {
  if (report.failures.length === 0) return;
  const lines = report.failures.map(({ seed, at, problem }) => {
    return `  seed ${seed} at ${at.toFixed(0)} ms: ${problem} (replay with SEED=${seed})`;
  });
  const tail = report.failures[0]?.tail.slice(-40) ?? [];
  const head = `${report.scenario}: ${lines.length} of ${report.runCount} seeds failed`;
  throw new Error([head, ...lines, 'the last events of the first one:', ...tail].join('\n'));
}

interface Run<Message> {
  readonly seed: number;
  readonly world: World<Message>;
  readonly failure: SwarmFailure | undefined;
}

function runSeed<Message, Subject>(
  scenario: Scenario<Message, Subject>,
  checkers: readonly Checker<Message, Subject>[],
  seed: number,
): Run<Message> {
  const chance = createRandom(seed).split();
  const network = drawConditions(scenario.menu, chance);
  const world = createWorld<Message>({ ...scenario.world, seed, network });
  const fail = (problem: string): Run<Message> => {
    return { seed, world, failure: { seed, at: world.now, problem, tail: world.trace.tail() } };
  };
  try {
    const subject = scenario.build(world, {
      hostCount: scenario.hostCounts[chance.below(scenario.hostCounts.length)] ?? 3,
      random: chance.split(),
      nextHost: () => drawHost(scenario.menu, chance),
    });
    const watches = checkers.map(({ name, watch }) => ({ name, watch: watch(world, subject) }));
    const ask = (question: 'always' | 'eventually'): string | undefined => {
      for (const { name, watch } of watches) {
        const problem = watch[question]?.();
        if (problem !== undefined) return `${name}: ${problem}`;
      }
      return undefined;
    };

    const span = { start: 0, end: scenario.safetyMs };
    world.plan(drawFaults(scenario.menu, world.hostIds(), span, chance));
    const broken = runWatched(world, scenario.safetyMs, () => ask('always'));
    if (broken !== undefined) return fail(broken);

    calm(world);
    const end = world.now + scenario.livenessMs;
    const steadyMs = scenario.steadyMs ?? 5_000;
    for (let goodSince = world.now; world.now - goodSince < steadyMs;) {
      const worse = runWatched(world, world.now + lookEveryMs, () => ask('always'));
      if (worse !== undefined) return fail(worse);
      const missing = ask('eventually');
      if (missing === undefined) continue;
      if (world.now >= end) return fail(`not within ${scenario.livenessMs} ms: ${missing}`);
      goodSince = world.now;
    }
    return { seed, world, failure: undefined };
  } catch (error) {
    return fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}

/** Runs to `end` and stops at the first problem. */
function runWatched<Message>(
  world: World<Message>,
  end: Millis,
  problemNow: () => string | undefined,
): string | undefined {
  while (world.now < end) {
    world.runUntil(Math.min(end, world.now + lookEveryMs));
    const problem = problemNow();
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Ends every fault: a good network, every host up and running. */
function calm<Message>(world: World<Message>): void {
  world.inject({ type: 'heal' });
  world.inject({ type: 'conditions', change: conditions.lan });
  for (const host of world.hostIds()) {
    world.inject({ type: 'slow-disk', host, writeMsMin: 0, writeMsMean: 0 });
    world.inject({ type: 'resume', host });
    if (world.host(host).phase() === 'down') world.inject({ type: 'restart', host });
  }
}

function replay<Message, Subject>(
  options: {
    scenario: Scenario<Message, Subject>;
    checkers: readonly Checker<Message, Subject>[];
  },
  first: Run<Message>,
): SwarmFailure | undefined {
  const second = runSeed(options.scenario, options.checkers, first.seed);
  if (second.world.trace.hash() === first.world.trace.hash()) return undefined;
  const problem = 'the same seed gave another trace: something draws on ambient time or chance';
  return { seed: first.seed, at: first.world.now, problem, tail: [] };
}
