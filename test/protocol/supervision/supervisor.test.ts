/** Supervision as in OTP: who is restarted, in what order, how soon, and when it is too much. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { createSupervisor } from '../../../src/protocol/supervision/supervisor.ts';
import type {
  SupervisorConfig,
  SupervisorEffect,
  SupervisorInput,
} from '../../../src/protocol/supervision/supervisor.ts';
import { createTies, tiesMax } from '../../../src/protocol/supervision/ties.ts';
import { describeLaws } from '../../laws/laws.ts';

/** A family a, b, c under one supervisor whose stops are obeyed at once. */
function family(config: SupervisorConfig) {
  const core = createSupervisor({ backoffMs: 100, ...config }, createRandom(1));
  let now = 0;
  const log: string[] = [];
  const run = (effects: readonly SupervisorEffect[]): void => {
    for (const effect of effects) {
      log.push(`${effect.type} ${effect.child}`);
      if (effect.type === 'start') feed({ type: 'started', child: effect.child, run: effect.run });
      if (effect.type === 'stop') {
        feed({ type: 'ended', child: effect.child, run: effect.run, how: 'normal' });
      }
    }
  };
  const feed = (input: SupervisorInput): void => run(core.step(now, input));
  for (const child of ['a', 'b', 'c']) feed({ type: 'added', child, restart: 'permanent' });
  log.length = 0;
  return {
    core,
    feed,
    at: (then: number) => void (now = then),
    end(child: string, how: 'normal' | 'failure' = 'failure') {
      const found = core.view().children.find((one) => one.child === child);
      feed({ type: 'ended', child, run: found?.run ?? 0, how });
    },
    /** Lets time pass until nothing is due; returns what happened since the last call. */
    happened(untilMs = 60_000): string[] {
      while (core.deadline() <= untilMs) {
        now = Math.max(now, core.deadline());
        feed({ type: 'tick' });
      }
      return log.splice(0);
    },
  };
}

describe('strategies', () => {
  test.each([
    ['one-for-one' as const, ['start b']],
    ['one-for-all' as const, ['stop c', 'stop a', 'start a', 'start b', 'start c']],
    ['rest-for-one' as const, ['stop c', 'start b', 'start c']],
  ])('%s', (strategy, expected) => {
    const one = family({ strategy });
    one.end('b');
    expect(one.happened()).toEqual(expected);
    expect(one.core.view().children.map(({ state }) => state)).toEqual([
      'running',
      'running',
      'running',
    ]);
  });

  test('a transient child that ends well is gone, one that fails comes back, a temporary one never does', () => {
    const one = family({});
    one.feed({ type: 'added', child: 'well', restart: 'transient' });
    one.feed({ type: 'added', child: 'ill', restart: 'transient' });
    one.feed({ type: 'added', child: 'once', restart: 'temporary' });
    one.happened();
    one.end('well', 'normal');
    one.end('ill');
    one.end('once');
    expect(one.happened()).toEqual(['release well', 'release once', 'start ill']);
  });

  test('what is removed is stopped and stays away, also while it waits for its restart', () => {
    const one = family({});
    one.feed({ type: 'removed', child: 'a' });
    one.end('b');
    one.feed({ type: 'removed', child: 'b' });
    expect(one.happened()).toEqual(['stop a', 'release a', 'release b']);
    expect(one.core.view().children.map(({ child }) => child)).toEqual(['c']);
  });

  test('a word about an earlier run is void', () => {
    const one = family({});
    one.end('b');
    one.happened();
    one.feed({ type: 'ended', child: 'b', run: 1, how: 'failure' });
    expect(one.happened()).toEqual([]);
  });
});

describe('intensity and back-off', () => {
  test('pauses double up to the longest, and a child that ran well starts over', () => {
    const one = family({ intensity: 100, backoffMsMax: 400, healthyMs: 10_000 });
    const pauses: number[] = [];
    for (let at = 1_000; at < 6_000; at += 1_000) {
      one.at(at);
      one.end('a');
      pauses.push(one.core.deadline() - at);
      one.happened(at + 900);
    }
    const bounds = [100, 200, 400, 400, 400];
    for (const [at, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(bounds[at] ?? 0);
      expect(pause).toBeLessThanOrEqual((bounds[at] ?? 0) * 1.25);
    }
    one.at(30_000);
    one.end('a');
    expect(one.core.deadline()).toBeLessThanOrEqual(30_125);
  });

  test('one restart too many within the period ends all, last first, and tells the one above', () => {
    const one = family({ intensity: 2, periodMs: 10_000 });
    for (const at of [100, 1_100]) {
      one.at(at);
      one.end('b');
      one.happened(at + 900);
    }
    one.at(2_100);
    one.end('b');
    expect(one.happened().toSorted()).toEqual(
      ['stop c', 'release c', 'stop a', 'release a', 'release b', 'escalate b'].toSorted(),
    );
    expect(one.core.view()).toEqual({ isOver: true, children: [] });
    one.feed({ type: 'added', child: 'd', restart: 'permanent' });
    expect(one.happened()).toEqual(['refuse d']);
  });

  test('as many restarts over a longer time are no reason to give up', () => {
    const one = family({ intensity: 2, periodMs: 1_000 });
    for (let at = 2_000; at < 40_000; at += 2_000) {
      one.at(at);
      one.end('b');
      one.happened(at + 1_900);
    }
    expect(one.core.view().isOver).toBe(false);
  });
});

describe('links and monitors', () => {
  test('a monitor hears of an end once, a link passes on failures only', () => {
    const ties = createTies();
    const ref = ties.monitor('w', 's');
    ties.link('s', 'l');
    ties.link('s', 'l');
    expect(ties.ended('s', 'failure')).toEqual([
      { type: 'tell', watcher: 'w', subject: 's', ref, reason: 'failure' },
      { type: 'fail', agent: 'l', because: 's' },
    ]);
    expect(ties.ended('s', 'failure')).toEqual([]);
    ties.link('s', 'l');
    expect(ties.ended('l', 'normal')).toEqual([]);
    expect(ties.ended('s', 'failure')).toEqual([]);
  });

  test('what was taken back is not told, and an ended watcher is forgotten', () => {
    const ties = createTies();
    const ref = ties.monitor('w', 's') ?? 0;
    ties.demonitor(ref);
    ties.monitor('gone', 's');
    ties.link('a', 's');
    ties.unlink('s', 'a');
    ties.ended('gone', 'normal');
    expect(ties.ended('s', 'failure')).toEqual([]);
  });

  test('ties are bounded', () => {
    const ties = createTies();
    for (let at = 0; at < tiesMax; at += 1) ties.monitor('w', `s${at}`);
    expect(ties.monitor('w', 'x')).toBeUndefined();
    expect(ties.link('a', 'b')).toBe(false);
  });
});

const child = fc.constantFrom('a', 'b', 'c');
const run = fc.integer({ min: 1, max: 4 });
for (const strategy of ['one-for-one', 'one-for-all', 'rest-for-one'] as const) {
  describeLaws<SupervisorInput, unknown, unknown>(`the supervisor, ${strategy}`, {
    create: (seed) => createSupervisor({ strategy, intensity: 4 }, createRandom(seed)),
    inputs: fc.oneof(
      fc.constant({ type: 'tick' as const }),
      fc.record({
        type: fc.constant('added' as const),
        child,
        restart: fc.constantFrom('permanent' as const, 'transient' as const, 'temporary' as const),
      }),
      fc.record({ type: fc.constant('removed' as const), child }),
      fc.record({ type: fc.constant('started' as const), child, run }),
      fc.record({
        type: fc.constant('ended' as const),
        child,
        run,
        how: fc.constantFrom('normal' as const, 'failure' as const),
      }),
    ),
    hostile: fc.record({
      type: fc.constant('ended' as const),
      child: fc.string(),
      run: fc.double(),
      how: fc.constantFrom('normal' as const, 'failure' as const),
    }),
    effectsPerStepMax: 8,
  });
}
