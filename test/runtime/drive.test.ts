import { describe, expect, test } from 'vitest';

import type { Core } from '../../src/kernel/core.ts';
import { drive, driveInboxMax, type DriveWorld } from '../../src/runtime/drive.ts';

type Input = { type: 'tick' } | { type: 'fact'; word: string };
type Effect = { type: 'say'; word: string };

/** Echoes facts; facts that start with '!' are said twice. */
function echo(): Core<Input, Effect, readonly string[]> & { heard: string[]; due: number } {
  const core = {
    heard: [] as string[],
    due: Infinity,
    step(_now: number, input: Input): readonly Effect[] {
      if (input.type === 'tick') {
        core.heard.push('tick');
        core.due = Infinity;
        return [];
      }
      core.heard.push(input.word);
      const say: Effect = { type: 'say', word: input.word };
      return input.word.startsWith('!') ? [say, say] : [say];
    },
    deadline: () => core.due,
    view: () => core.heard,
  };
  return core;
}

function manualClock() {
  const alarms: { at: number; ring: () => void }[] = [];
  return {
    alarms,
    now: () => 0,
    wallMs: () => 0,
    alarm(at: number, ring: () => void) {
      const alarm = { at, ring };
      alarms.push(alarm);
      return () => {
        const index = alarms.indexOf(alarm);
        if (index >= 0) alarms.splice(index, 1);
      };
    },
  };
}

function world(run: DriveWorld<Input, Effect>['run'], clock = manualClock()) {
  const failures: unknown[] = [];
  const overflows: Input[] = [];
  return {
    failures,
    overflows,
    world: {
      clock,
      tick: { type: 'tick' as const },
      run,
      failed: (_effect: Effect, error: unknown) => failures.push(error),
      overflowed: (input: Input) => overflows.push(input),
    },
  };
}

describe('the driver', () => {
  test('gives the first tick at once and keeps exactly one alarm', () => {
    const core = echo();
    const clock = manualClock();
    const driver = drive(core, world(() => {}, clock).world);
    expect(core.heard).toEqual(['tick']);
    core.due = 50;
    driver.feed({ type: 'fact', word: 'a' });
    driver.feed({ type: 'fact', word: 'b' });
    expect(clock.alarms.map((alarm) => alarm.at)).toEqual([50]);
    driver.stop();
    expect(clock.alarms).toEqual([]);
  });

  test('lets an effect feed the core again without re-entering the step', () => {
    const core = echo();
    const said: string[] = [];
    const driver = drive(
      core,
      world((effect) => {
        said.push(effect.word);
        if (effect.word === '!first' && said.length === 1) {
          driver.feed({ type: 'fact', word: 'second' });
          expect(core.heard).not.toContain('second');
        }
      }).world,
    );
    driver.feed({ type: 'fact', word: '!first' });
    expect(said).toEqual(['!first', '!first', 'second']);
  });

  test('holds later effects and later facts behind a barrier', async () => {
    const said: string[] = [];
    const releases: (() => void)[] = [];
    const driver = drive(
      echo(),
      world((effect) => {
        said.push(effect.word);
        if (effect.word === '!slow') {
          return new Promise<void>((resolve) => {
            releases.push(resolve);
          });
        }
        return undefined;
      }).world,
    );
    driver.feed({ type: 'fact', word: '!slow' });
    driver.feed({ type: 'fact', word: 'later' });
    expect(said).toEqual(['!slow']);
    releases.shift()?.();
    await Promise.resolve();
    await Promise.resolve();
    expect(said).toEqual(['!slow', '!slow']);
    releases.shift()?.();
    await Promise.resolve();
    await Promise.resolve();
    expect(said).toEqual(['!slow', '!slow', 'later']);
  });

  test('reports a throwing adapter and a rejected barrier, and goes on', async () => {
    const said: string[] = [];
    const { world: outside, failures } = world((effect) => {
      if (effect.word === 'throws') throw new Error('broken');
      if (effect.word === 'rejects') return Promise.reject(new Error('disk'));
      said.push(effect.word);
      return undefined;
    });
    const driver = drive(echo(), outside);
    for (const word of ['throws', 'rejects', 'fine']) driver.feed({ type: 'fact', word });
    await Promise.resolve();
    await Promise.resolve();
    expect(failures).toHaveLength(2);
    expect(said).toEqual(['fine']);
  });

  test('bounds what waits behind a barrier and tells what it dropped', () => {
    const { world: outside, overflows } = world(() => new Promise<void>(() => {}));
    const driver = drive(echo(), outside);
    for (let count = 0; count < driveInboxMax + 11; count += 1) {
      driver.feed({ type: 'fact', word: String(count) });
    }
    expect(overflows).toHaveLength(10);
  });

  test('ignores facts and alarms after stop', () => {
    const core = echo();
    const clock = manualClock();
    const driver = drive(core, world(() => {}, clock).world);
    core.due = 10;
    driver.feed({ type: 'fact', word: 'a' });
    const ring = clock.alarms[0]?.ring;
    driver.stop();
    ring?.();
    driver.feed({ type: 'fact', word: 'b' });
    expect(core.heard).toEqual(['tick', 'a']);
  });
});
