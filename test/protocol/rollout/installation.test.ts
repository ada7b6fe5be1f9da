/** One node's side of an update, step by step; every step begins anew after a power cut. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createInstallation } from '../../../src/protocol/rollout/installation.ts';
import type {
  InstallationEffect,
  InstallationInput,
  KeptOrder,
} from '../../../src/protocol/rollout/installation.ts';
import type { Order } from '../../../src/protocol/rollout/messages.ts';
import { describeLaws } from '../../laws/laws.ts';

const order: Order = {
  kind: 'try',
  number: 7,
  version: 'new',
  healthyForMs: 3_000,
  trialMs: 20_000,
};
const revert: Order = { ...order, kind: 'revert' };

interface Start {
  readonly running?: string;
  readonly isTrial?: boolean;
  readonly givenUp?: string;
  readonly kept?: KeptOrder;
}

function started(from: Start = {}): {
  step(now: number, input: InstallationInput): string[];
  kept(): KeptOrder | undefined;
  readonly first: string[];
  view(): ReturnType<ReturnType<typeof createInstallation>['view']>;
} {
  const core = createInstallation();
  let { kept } = from;
  const tell = (effects: readonly InstallationEffect[]): string[] =>
    effects.map((effect) => {
      if (effect.type !== 'persist') return effect.type;
      ({ kept } = effect);
      return `persist ${effect.kept.phase}`;
    });
  const { running = 'installed', isTrial = false, givenUp } = from;
  const first = tell(core.step(0, { type: 'started', running, isTrial, givenUp, kept }));
  return {
    first,
    step: (now, input) => tell(core.step(now, input)),
    kept: () => kept,
    view: () => core.view(),
  };
}

function kept(phase: KeptOrder['phase'], attempts = 1): KeptOrder {
  return { order, phase, reason: '', attempts, isChange: true };
}

describe('an installation', () => {
  test('fetches, restarts into a trial, and keeps what was well for long enough', () => {
    const before = started();
    expect(before.step(1, { type: 'ordered', order })).toEqual(['persist fetching', 'install']);
    expect(before.step(2, { type: 'ordered', order })).toEqual([]);
    expect(before.step(9, { type: 'installed', number: 7 })).toEqual([
      'persist restarting',
      'try',
      'restart',
    ]);
    const after = started({ running: 'new', isTrial: true, kept: kept('restarting') });
    expect(after.first).toEqual(['probe']);
    expect(after.view()).toMatchObject({ phase: 'trial', reason: 'not probed yet' });
    for (const now of [100, 1_000, 2_000, 3_000]) {
      expect(after.step(now, { type: 'probed', trouble: undefined })).not.toContain('keep');
    }
    expect(after.step(3_100, { type: 'probed', trouble: undefined })).toEqual([
      'keep',
      'persist kept',
    ]);
    expect(after.view()).toEqual({ number: 7, phase: 'kept', running: 'new', reason: '' });
  });

  test('one bad probe begins the wait anew; a trial without an end is dropped with the last reason', () => {
    const core = started({ running: 'new', isTrial: true, kept: kept('restarting') });
    core.step(1_000, { type: 'probed', trouble: undefined });
    core.step(3_500, { type: 'probed', trouble: 'no link' });
    core.step(3_900, { type: 'probed', trouble: undefined });
    expect(core.step(4_500, { type: 'probed', trouble: undefined })).not.toContain('keep');
    expect(core.step(20_000, { type: 'probed', trouble: 'no link' })).toEqual([
      'persist failed',
      'drop',
      'restart',
    ]);
    expect(core.view()).toMatchObject({ phase: 'failed', reason: 'no link' });
  });

  test.each<[string, Start, string[]]>([
    ['while it fetched', { kept: kept('fetching') }, ['install']],
    ['before the trial was armed', { kept: kept('restarting') }, ['persist fetching', 'install']],
    [
      'before the trial was armed, three times',
      { kept: kept('restarting', 3) },
      ['persist failed'],
    ],
    [
      'after it was kept, before that was written down',
      { running: 'new', kept: kept('restarting') },
      ['persist kept'],
    ],
    [
      'in every start of the trial',
      { givenUp: 'new', kept: kept('restarting') },
      ['persist failed'],
    ],
    [
      'after the trial had failed, before it was dropped',
      { running: 'new', isTrial: true, kept: kept('failed') },
      ['drop', 'restart'],
    ],
    ['on the way back', { kept: kept('reverting') }, ['persist reverted']],
    [
      'before it had gone back',
      { running: 'new', kept: kept('reverting') },
      ['persist reverting', 'revert', 'restart'],
    ],
    ['with the record of the order lost', { running: 'new', isTrial: true }, ['drop', 'restart']],
  ])('goes on when the power was cut %s', (_, start, effects) => {
    expect(started(start).first).toEqual(effects);
  });

  test('goes back when it is told, wherever it is', () => {
    const fetching = started({ kept: kept('fetching') });
    expect(fetching.step(1, { type: 'ordered', order: revert })).toEqual([
      'abandon',
      'persist reverted',
    ]);
    const onTrial = started({ running: 'new', isTrial: true, kept: kept('restarting') });
    expect(onTrial.step(1, { type: 'ordered', order: revert })).toEqual([
      'persist reverting',
      'drop',
      'restart',
    ]);
    const done = started({ running: 'new', kept: kept('kept') });
    expect(done.step(1, { type: 'ordered', order: revert })).toEqual([
      'persist reverting',
      'revert',
      'restart',
    ]);
    const never = started();
    expect(never.step(1, { type: 'ordered', order: revert })).toEqual(['persist reverted']);
  });

  test('has nothing to take back of an order for what ran already', () => {
    const core = started({ running: 'new' });
    expect(core.step(1, { type: 'ordered', order })).toEqual(['persist kept']);
    expect(core.step(2, { type: 'ordered', order: revert })).toEqual(['persist reverted']);
    expect(core.view().running).toBe('new');
  });

  test('obeys no order that is older than its last one, and none twice', () => {
    const core = started({ running: 'new', kept: kept('kept') });
    expect(
      core.step(1, { type: 'ordered', order: { ...order, number: 6, version: 'old' } }),
    ).toEqual([]);
    expect(core.step(2, { type: 'ordered', order: { ...revert, version: 'other' } })).toEqual([]);
    expect(core.step(3, { type: 'ordered', order: { ...order, version: 'other' } })).toEqual([]);
  });

  test('a package that is refused changes nothing but the report', () => {
    const core = started();
    core.step(1, { type: 'ordered', order });
    expect(core.step(2, { type: 'refused', number: 6, reason: 'an old one' })).toEqual([]);
    expect(core.step(2, { type: 'refused', number: 7, reason: 'it is damaged' })).toEqual([
      'persist failed',
    ]);
    expect(core.view()).toEqual({
      number: 7,
      phase: 'failed',
      running: 'installed',
      reason: 'it is damaged',
    });
  });
});

const version = fc.constantFrom('installed', 'new', 'other');
const orders = fc.record<Order>({
  kind: fc.constantFrom('try', 'revert'),
  number: fc.integer({ min: 1, max: 4 }),
  version,
  healthyForMs: fc.constantFrom(0, 3_000),
  trialMs: fc.constant(20_000),
});
const phases = fc.constantFrom<KeptOrder['phase']>(
  'fetching',
  'restarting',
  'kept',
  'failed',
  'reverting',
  'reverted',
);
const number = fc.integer({ min: 1, max: 4 });

describeLaws<InstallationInput, InstallationEffect, unknown>('an installation', {
  create: () => createInstallation(),
  inputs: fc.oneof(
    fc.constant<InstallationInput>({ type: 'tick' }),
    fc.record({
      type: fc.constant('started' as const),
      running: version,
      isTrial: fc.boolean(),
      givenUp: fc.option(version, { nil: undefined }),
      kept: fc.option(
        fc.record({
          order: orders,
          phase: phases,
          reason: fc.constant(''),
          attempts: fc.nat(4),
          isChange: fc.boolean(),
        }),
        { nil: undefined },
      ),
    }),
    fc.record({ type: fc.constant('ordered' as const), order: orders }),
    fc.record({ type: fc.constant('installed' as const), number }),
    fc.record({ type: fc.constant('refused' as const), number, reason: fc.string() }),
    fc.record({
      type: fc.constant('probed' as const),
      trouble: fc.option(fc.string(), { nil: undefined }),
    }),
  ),
  hostile: fc.record({
    type: fc.constant('ordered' as const),
    order: fc.record<Order>({
      kind: fc.constantFrom('try', 'revert'),
      number: fc.double(),
      version: fc.string(),
      healthyForMs: fc.double(),
      trialMs: fc.double(),
    }),
  }),
  effectsPerStepMax: 5,
});
