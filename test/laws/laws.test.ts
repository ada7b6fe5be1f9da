/** The laws catch who breaks them: a sound core passes all four, each planted crime is named. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Core, Millis } from '../../src/kernel/core.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { createHeartbeat } from '../sim/heartbeat.ts';
import type { HeartbeatInput } from '../sim/heartbeat.ts';
import { describeLaws, lawsOf } from './laws.ts';
import type { Law } from './laws.ts';

interface Crime {
  /** What the core returns on a knock, given how many came before. */
  answer?(count: number): string[];
  /** When it wants to be woken after a knock at `now`. */
  wake?(now: Millis): Millis;
}

/** Counts knocks and answers each; asks to be woken a second later. */
function doorman(crime: Crime): Core<string | null, string, number> {
  let count = 0;
  let wakeAt = 1_000;
  return {
    step(now, knock) {
      wakeAt = crime.wake?.(now) ?? now + 1_000;
      if (knock === null) return [];
      count += 1;
      return crime.answer?.(count) ?? [`knock ${count}`];
    },
    deadline: () => wakeAt,
    view: () => count,
  };
}

function broken(create: (seed: number) => Core<string | null, string, number>): Law['name'][] {
  const laws = lawsOf({
    create,
    inputs: fc.constantFrom('hello', 'ho', null),
    hostile: fc.string(),
    effectsPerStepMax: 2,
  });
  return laws.flatMap((law) => {
    try {
      law.check();
      return [];
    } catch {
      return [law.name];
    }
  });
}

describe('planted crimes', () => {
  test('a sound core breaks no law', () => {
    expect(broken(() => doorman({}))).toEqual([]);
  });

  test('ambient chance breaks replay', () => {
    expect(broken(() => doorman({ answer: () => [String(Math.random())] }))).toEqual(['replay']);
  });

  test('a deadline that stays in the past breaks progress', () => {
    const wake = (now: Millis): Millis => (now > 5_000 ? 5_000 : now + 1_000);
    expect(broken(() => doorman({ wake }))).toEqual(['progress']);
  });

  test('a deadline that is not a number breaks progress', () => {
    expect(broken(() => doorman({ wake: () => NaN }))).toEqual(['progress']);
  });

  test('a core that stumbles over an unexpected input breaks totality', () => {
    const core = (): Core<string | null, string, number> => {
      const inner = doorman({});
      return {
        ...inner,
        step: (now, knock) => inner.step(now, knock === null ? null : decodeURIComponent(knock)),
      };
    };
    // The stumble ends every history it is in, whichever law looks.
    expect(broken(core)).toContain('totality');
  });

  test('effects that grow with the history break thrift', () => {
    const answer = (count: number): string[] => Array.from({ length: count }, () => 'knock');
    expect(broken(() => doorman({ answer }))).toEqual(['thrift']);
  });

  test('a timeout that is asked as a sum and judged as a difference breaks progress by rounding', () => {
    const core = (): Core<string | null, string, number> => {
      let since = 0;
      return {
        step(now, knock) {
          if (knock !== null || now - since >= 0.7) since = now;
          return [];
        },
        deadline: () => since + 0.7,
        view: () => since,
      };
    };
    const laws = lawsOf({
      create: core,
      inputs: fc.constantFrom('hello', null),
      hostile: fc.constant(null),
      effectsPerStepMax: 0,
      runs: 2_000,
    });
    expect(() => laws[1]?.check()).toThrow('"afterMs":"deadline"');
  });
});

const hosts = fc.constantFrom('ann', 'bob', 'eve');

describeLaws<HeartbeatInput, unknown, unknown>('the heartbeat detector', {
  create: (seed) => {
    const config = { self: 'ann', peers: ['bob', 'cyd'], periodMs: 100, timeoutMs: 700 };
    return createHeartbeat({ ...config, startCount: 0, isDurable: true }, createRandom(seed));
  },
  inputs: fc.oneof(
    fc.constant<HeartbeatInput>({ type: 'tick' }),
    hosts.map((from): HeartbeatInput => {
      return { type: 'received', from, beat: { type: 'beat', count: 1 } };
    }),
  ),
  hostile: fc.record({
    type: fc.constant('received' as const),
    from: fc.string(),
    beat: fc.record({ type: fc.constant('beat' as const), count: fc.double() }),
  }),
  effectsPerStepMax: 64,
});
