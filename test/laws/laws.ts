/** The laws every core must keep: replay, progress, totality and thrift. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Core, Millis } from '../../src/kernel/core.ts';

/** What the laws need to know about a core. */
export interface LawSubject<Input, Effect, View> {
  /** Builds the core with its own seeded `Random`; called anew for each history. */
  create(seed: number): Core<Input, Effect, View>;
  /** Inputs as the wiring gives them; the tick must be among them. */
  readonly inputs: fc.Arbitrary<Input>;
  /** Garbage and malice in the shape of inputs: absurd numbers, foreign ids, empty and huge lists. */
  readonly hostile: fc.Arbitrary<Input>;
  /** No step may return more effects than this. */
  readonly effectsPerStepMax: number;
  /** Histories per law. @default 200 */
  readonly runs?: number;
  /** Inputs per history. @default 60 */
  readonly inputsMax?: number;
}

/** One input and when it comes: after a while, or exactly when the core asked to be woken. */
interface Moment<Input> {
  readonly afterMs: Millis | 'deadline';
  readonly input: Input;
}

type History<Input> = readonly Moment<Input>[];

/** A law, ready to be tried. `check` throws with the smallest history that breaks it. */
export interface Law {
  readonly name: 'replay' | 'progress' | 'totality' | 'thrift';
  readonly sentence: string;
  check(): void;
}

/** Registers the four laws as tests under the core's name. */
export function describeLaws<Input, Effect, View>(
  name: string,
  subject: LawSubject<Input, Effect, View>,
): void {
  describe(`the laws of ${name}`, () => {
    for (const law of lawsOf(subject)) test(`${law.name}: ${law.sentence}`, law.check);
  });
}

/** The four laws of one core. */
export function lawsOf<Input, Effect, View>(subject: LawSubject<Input, Effect, View>): Law[] {
  const law = (
    name: Law['name'],
    sentence: string,
    holds: (core: () => Core<Input, Effect, View>, history: History<Input>) => void,
  ): Law => ({
    name,
    sentence,
    check() {
      const inputs = fc.oneof(subject.inputs, subject.hostile);
      fc.assert(
        fc.property(fc.integer(), histories(inputs, subject.inputsMax ?? 60), (seed, history) =>
          holds(() => subject.create(seed), history),
        ),
        { numRuns: subject.runs ?? 200 },
      );
    },
  });
  return [
    law('replay', 'the same history gives the same effects', (create, history) => {
      expect(play(create(), history)).toEqual(play(create(), history));
    }),
    law('progress', 'after any step the deadline lies in the future', (create, history) => {
      const core = create();
      walk(core, history, (now) => {
        const deadline = core.deadline();
        if (!(deadline > now)) throw new Error(`at ${now} ms the deadline is ${deadline}`);
      });
    }),
    law('totality', 'garbage and malice make no step and no view throw', (create, history) => {
      const core = create();
      walk(core, history, () => void core.view());
    }),
    law(
      'thrift',
      `no step has more than ${subject.effectsPerStepMax} effects`,
      (create, history) => {
        walk(create(), history, (now, effects) => {
          if (effects.length <= subject.effectsPerStepMax) return;
          throw new Error(`at ${now} ms a step has ${effects.length} effects`);
        });
      },
    ),
  ];
}

/** Time passes by nothing, by a little, by fractions, by days, and often exactly to the deadline. */
function histories<Input>(
  inputs: fc.Arbitrary<Input>,
  maxLength: number,
): fc.Arbitrary<History<Input>> {
  const afterMs = fc.oneof(
    fc.constant(0),
    fc.constant('deadline' as const),
    fc.integer({ min: 1, max: 2_000 }),
    fc.double({ min: 0, max: 100, noNaN: true }),
    fc.integer({ min: 0, max: 3 * 86_400_000 }),
  );
  return fc.array(fc.record({ afterMs, input: inputs }), { maxLength });
}

function walk<Input, Effect, View>(
  core: Core<Input, Effect, View>,
  history: History<Input>,
  look: (now: Millis, effects: readonly Effect[]) => void,
): void {
  let now: Millis = 0;
  for (const { afterMs, input } of history) {
    if (afterMs !== 'deadline') now += afterMs;
    else if (core.deadline() < Infinity) now = Math.max(now, core.deadline());
    look(now, core.step(now, input));
  }
}

/** What a core did, step by step. Copied at once, so that a core which changes an old list is seen. */
function play<Input, Effect, View>(
  core: Core<Input, Effect, View>,
  history: History<Input>,
): { effects: Effect[]; deadline: Millis }[] {
  const steps: { effects: Effect[]; deadline: Millis }[] = [];
  walk(core, history, (_, effects) => {
    steps.push({ effects: structuredClone([...effects]), deadline: core.deadline() });
  });
  return steps;
}
