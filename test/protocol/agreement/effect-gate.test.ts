/** The gate in front of a sink: whatever the order of holders, disks and restarts, one holder at a time and none that is late. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createEffectGate,
  effectKeysMax,
  effectsOpenMax,
  effectsWaitingMax,
} from '../../../src/protocol/agreement/effect-gate.ts';
import type {
  EffectGateEffect,
  EffectGateInput,
} from '../../../src/protocol/agreement/effect-gate.ts';
import { describeLaws } from '../../laws/laws.ts';

const small = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
const keys = fc.constantFrom('door', 'pump');
const inputs: fc.Arbitrary<EffectGateInput> = fc.oneof(
  fc.record({ type: fc.constant('asked'), id: small(20), key: keys, token: small(6) }),
  fc.record({ type: fc.constantFrom('persisted', 'persistFailed'), key: keys, token: small(6) }),
  fc.record({ type: fc.constantFrom('ended', 'withdrawn'), id: small(20) }),
);

describeLaws('the gate of a sink', {
  create: () => createEffectGate([['pump', 3]]),
  inputs,
  hostile: fc.oneof(
    fc.record({
      type: fc.constant('asked'),
      id: fc.integer(),
      key: fc.string(),
      token: fc.oneof(fc.double(), fc.constant(NaN), fc.maxSafeInteger()),
    }),
    fc.record({
      type: fc.constantFrom('persisted', 'persistFailed'),
      key: fc.string(),
      token: fc.double(),
    }),
  ),
  effectsPerStepMax: effectsWaitingMax + 3,
});

/** A world around gates: a disk that is slow and may fail, handlers that take their time, power cuts between any two steps. */
type Step =
  | { readonly do: 'ask'; readonly token: number }
  | { readonly do: 'write' | 'failWrite' | 'end' | 'withdraw' | 'cut' };

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('ask' as const), token: small(9) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constantFrom('write', 'end', 'write', 'end', 'failWrite', 'withdraw', 'cut'),
      }) as fc.Arbitrary<Step>,
    },
  ),
  { maxLength: 80 },
);

test('one effect of a key runs at a time, under tokens that never go back, over power cuts too', () => {
  let ran = 0;
  let refused = 0;
  fc.assert(
    fc.property(steps, (history) => {
      let disk = new Map<string, number>();
      let gate = createEffectGate(disk);
      let writes: { key: string; token: number }[] = [];
      let running: number | undefined;
      let highestRun = 0;
      let nextId = 1;
      const tokenOf = new Map<number, number>();
      const answers = new Map<number, string>();
      const feed = (input: EffectGateInput): void => gate.step(0, input).forEach(obey);
      function obey(effect: EffectGateEffect): void {
        if (effect.type === 'persist') writes.push(effect);
        else if (effect.type === 'run') {
          const token = tokenOf.get(effect.id) as number;
          expect(running, 'two holders at a time').toBeUndefined();
          expect(token, 'a late holder').toBeGreaterThanOrEqual(highestRun);
          expect(disk.get('door'), 'not on disk').toBeGreaterThanOrEqual(token);
          expect(answers.has(effect.id)).toBe(false);
          highestRun = token;
          running = effect.id;
          answers.set(effect.id, 'run');
          ran += 1;
        } else if (effect.type === 'refuse') {
          expect(answers.has(effect.id)).toBe(false);
          answers.set(effect.id, effect.reason);
          refused += 1;
        } else expect(effect.id).toBe(running);
      }
      for (const step of history) {
        if (step.do === 'ask') {
          tokenOf.set(nextId, step.token);
          feed({ type: 'asked', id: nextId, key: 'door', token: step.token });
          nextId += 1;
        } else if (step.do === 'write' || step.do === 'failWrite') {
          const write = writes.shift();
          if (write === undefined) continue;
          if (step.do === 'write') disk = new Map([['door', write.token]]);
          feed({ ...write, type: step.do === 'write' ? 'persisted' : 'persistFailed' });
        } else if (step.do === 'end') {
          const id = running;
          running = undefined;
          if (id !== undefined) feed({ type: 'ended', id });
        } else if (step.do === 'withdraw') {
          feed({ type: 'withdrawn', id: nextId - 1 });
        } else {
          // What ran is cut with everything else; only the disk stays.
          gate = createEffectGate(disk);
          writes = [];
          running = undefined;
          answers.clear();
          tokenOf.clear();
        }
      }
      // Everybody is answered in the end: the disk works again, handlers end.
      for (let turn = 0; turn < 200; turn += 1) {
        for (const write of writes.splice(0)) {
          disk = new Map([['door', write.token]]);
          feed({ ...write, type: 'persisted' });
        }
        if (running !== undefined) {
          const id = running;
          running = undefined;
          feed({ type: 'ended', id });
        }
      }
      expect(gate.view().keys.every(({ waiting }) => waiting === 0)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
  // The property is about something.
  expect(ran).toBeGreaterThan(1_000);
  expect(refused).toBeGreaterThan(1_000);
});

describe('the bounds of a gate', () => {
  const ask = (id: number, key: string, token = 1): EffectGateInput => ({
    type: 'asked',
    id,
    key,
    token,
  });
  const reasons = (effects: readonly EffectGateEffect[]): string[] =>
    effects.flatMap((one) => (one.type === 'refuse' ? [one.reason] : []));

  test('a key is never forgotten, so a new one beyond the bound is refused', () => {
    const seen = Array.from({ length: effectKeysMax }, (_, at) => [`k${at}`, 7] as const);
    const gate = createEffectGate(seen);
    expect(reasons(gate.step(0, ask(1, 'one more')))).toEqual(['full']);
    expect(reasons(gate.step(0, ask(2, 'k0', 6)))).toEqual(['fenced']);
    expect(gate.step(0, ask(3, 'k0', 7))).toEqual([{ type: 'run', id: 3 }]);
  });

  test('so many wait for one key, and in all; a later holder sends those of the last one away', () => {
    const gate = createEffectGate([]);
    for (let id = 1; id <= effectsWaitingMax; id += 1) gate.step(0, ask(id, 'a'));
    expect(reasons(gate.step(0, ask(900, 'a')))).toEqual(['busy']);
    const sent = gate.step(0, ask(901, 'a', 2));
    expect(reasons(sent)).toEqual(Array.from({ length: effectsWaitingMax }, () => 'fenced'));
    expect(sent.at(-1)).toEqual({ type: 'persist', key: 'a', token: 2 });
    let count = 0;
    for (let id = 1_000; count === 0; id += 1) {
      count = reasons(gate.step(0, ask(id, `k${id % 40}`))).length;
      expect(id).toBeLessThan(1_000 + effectsOpenMax);
    }
    expect(gate.view().keys.reduce((sum, one) => sum + one.waiting, 0)).toBe(effectsOpenMax);
  });

  test('a disk that fails refuses who waits, and the next one asks it again', () => {
    const gate = createEffectGate([]);
    gate.step(0, ask(1, 'a', 5));
    const failed = gate.step(0, { type: 'persistFailed', key: 'a', token: 5 });
    expect(reasons(failed)).toEqual(['disk']);
    expect(gate.step(0, ask(2, 'a', 5))).toEqual([{ type: 'persist', key: 'a', token: 5 }]);
    expect(gate.step(0, { type: 'persisted', key: 'a', token: 5 })).toEqual([
      { type: 'run', id: 2 },
    ]);
  });
});
