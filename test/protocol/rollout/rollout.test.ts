/** The roll-out's own rules, and the laws; the whole of it runs in test/sim/rollout.test.ts. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import type { InstallPhase, InstallReport } from '../../../src/protocol/rollout/messages.ts';
import { createRollout } from '../../../src/protocol/rollout/rollout.ts';
import type {
  KeptRollout,
  RolloutEffect,
  RolloutInput,
  RolloutPlan,
} from '../../../src/protocol/rollout/rollout.ts';
import { describeLaws } from '../../laws/laws.ts';

const id = (name: string): NodeId => name as NodeId;
const plan: RolloutPlan = {
  number: 3,
  version: 'new',
  targets: ['a', 'b', 'c', 'self'].map(id),
  canary: 1,
  batch: 2,
  patienceMs: 60_000,
  revertPatienceMs: 120_000,
};

const report = (phase: InstallPhase, number = 3, reason = ''): InstallReport => ({
  number,
  phase,
  running: '',
  reason,
});

function begun(): (now: number, input: RolloutInput) => string[] {
  const core = createRollout();
  const tell = (effects: readonly RolloutEffect[]): string[] =>
    effects.map((effect) => {
      if (effect.type === 'order') return `${effect.kind} ${effect.node}`;
      return effect.type === 'finished' ? `${effect.outcome} ${effect.reason}`.trim() : effect.type;
    });
  expect(tell(core.step(0, { type: 'begun', plan }))).toEqual(['persist', 'try a']);
  return (now, input) => tell(core.step(now, input));
}

const said = (node: string, phase: InstallPhase, number = 3, reason = ''): RolloutInput => ({
  type: 'reported',
  node: id(node),
  report: report(phase, number, reason),
});

describe('a roll-out', () => {
  test('takes canaries, then a batch, itself last, and repeats each order until it was obeyed', () => {
    const step = begun();
    expect(step(500, said('a', 'fetching'))).toEqual([]);
    expect(step(1_000, { type: 'tick' })).toEqual(['try a']);
    expect(step(1_500, said('a', 'kept'))).toEqual(['persist', 'try b', 'try c']);
    expect(step(1_600, said('c', 'kept'))).toEqual(['persist']);
    expect(step(1_700, said('b', 'kept'))).toEqual(['persist', 'try self']);
    expect(step(1_800, said('self', 'kept'))).toEqual(['persist', 'done']);
    expect(step(9_000, { type: 'tick' })).toEqual([]);
  });

  test('a kept of an older roll-out is no kept of this one', () => {
    expect(begun()(500, said('a', 'kept', 2))).toEqual([]);
  });

  test('one failure takes back everybody who had it, and nobody else', () => {
    const step = begun();
    step(100, said('a', 'kept'));
    expect(step(200, said('b', 'failed', 3, 'no link'))).toEqual([
      'persist',
      'revert a',
      'revert b',
      'revert c',
    ]);
    step(300, said('a', 'reverted'));
    step(300, said('b', 'failed'));
    expect(step(300, said('c', 'reverted'))).toEqual(['persist', 'rolled-back b: no link']);
  });

  test('says that it went back although a node is away, and goes on asking it', () => {
    const step = begun();
    step(0, { type: 'cancelled' });
    expect(step(120_000, { type: 'tick' })).toEqual([
      'persist',
      'revert a',
      'rolled-back it was cancelled',
    ]);
    expect(step(130_000, { type: 'tick' })).toEqual([]);
    expect(step(150_000, { type: 'tick' })).toEqual(['revert a']);
    expect(step(150_100, said('a', 'reverted'))).toEqual(['persist']);
    expect(step(900_000, { type: 'tick' })).toEqual([]);
  });

  test('a node that is not well in time has failed, with the last word it had', () => {
    const step = begun();
    step(50_000, said('a', 'trial', 3, 'no link'));
    step(60_000, { type: 'tick' });
    step(60_100, said('a', 'reverted'));
    const kept = createRollout();
    kept.step(0, { type: 'begun', plan });
    kept.step(50_000, said('a', 'trial', 3, 'no link'));
    kept.step(60_000, { type: 'tick' });
    expect(kept.view()?.reason).toBe('a: not well in time: no link');
  });

  test('leaves a node to a newer roll-out', () => {
    const step = begun();
    expect(step(100, said('a', 'fetching', 4))).toEqual(['persist', 'revert a']);
    expect(step(200, said('a', 'kept', 4))).toEqual([
      'persist',
      'rolled-back a: another roll-out has taken over',
    ]);
  });
});

const nodes = fc.constantFrom('a', 'b', 'c', 'self').map(id);
const plans = fc.record<RolloutPlan>({
  number: fc.integer({ min: 1, max: 4 }),
  version: fc.constant('new'),
  targets: fc.uniqueArray(nodes),
  canary: fc.nat(5),
  batch: fc.nat(5),
  patienceMs: fc.constantFrom(0, 60_000),
  revertPatienceMs: fc.constantFrom(0, 60_000),
});
const reports = fc.record<InstallReport>({
  number: fc.nat(5),
  phase: fc.constantFrom('idle', 'fetching', 'restarting', 'trial', 'kept', 'failed', 'reverted'),
  running: fc.constant(''),
  reason: fc.string(),
});

describeLaws<RolloutInput, RolloutEffect, unknown>('a roll-out', {
  create: () => createRollout(),
  inputs: fc.oneof(
    fc.constant<RolloutInput>({ type: 'tick' }),
    fc.constant<RolloutInput>({ type: 'cancelled' }),
    fc.record({ type: fc.constant('begun' as const), plan: plans }),
    fc.record({ type: fc.constant('reported' as const), node: nodes, report: reports }),
    fc.record({
      type: fc.constant('restored' as const),
      kept: fc.record<KeptRollout>({
        plan: plans,
        targets: fc.uniqueArray(
          fc.record({
            node: nodes,
            state: fc.constantFrom('waiting', 'trying', 'kept', 'reverting', 'reverted'),
            reason: fc.string(),
          }),
          { selector: ({ node }) => node },
        ),
        reason: fc.constantFrom('', 'it failed'),
        outcome: fc.constantFrom(undefined, 'done', 'rolled-back'),
      }),
    }),
  ),
  hostile: fc.record({
    type: fc.constant('begun' as const),
    plan: fc.record<RolloutPlan>({
      number: fc.double(),
      version: fc.string(),
      targets: fc.array(fc.string().map(id)),
      canary: fc.double(),
      batch: fc.double(),
      patienceMs: fc.double(),
      revertPatienceMs: fc.double(),
    }),
  }),
  effectsPerStepMax: 1_026,
});
