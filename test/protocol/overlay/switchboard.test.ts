import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Millis } from '../../../src/kernel/core.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createAutoTopology } from '../../../src/protocol/overlay/auto-topology.ts';
import { createFullMesh } from '../../../src/protocol/overlay/full-mesh.ts';
import { createHyparview } from '../../../src/protocol/overlay/hyparview.ts';
import { overlayNames } from '../../../src/protocol/overlay/overlay.ts';
import type {
  SwitchEffect,
  SwitchInput,
  Switchboard,
  SwitchView,
} from '../../../src/protocol/overlay/switchboard-types.ts';
import { createSwitchboard } from '../../../src/protocol/overlay/switchboard.ts';
import { topologyHints, unsetTopology } from '../../../src/protocol/overlay/topology.ts';
import type { Topology, TopologyMark } from '../../../src/protocol/overlay/topology.ts';
import { describeLaws } from '../../laws/laws.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';
import { ids, someInput } from './arbitraries.ts';

const self = ids[3] ?? simNodeId(3);
const peer = ids[5] ?? self;
const unset: TopologyMark = { epoch: 0, by: '' };
const home = [{ host: 'a', port: 1 }];

function board(topology: Topology = unsetTopology('full-mesh'), seed = 1): Switchboard {
  return createSwitchboard(
    {
      self,
      topology,
      auto: createAutoTopology(),
      create: ({ kind }, random) =>
        kind === 'hyparview'
          ? createHyparview({ self, activeMax: 3, passiveMax: 4, contactsMax: 8 }, random)
          : createFullMesh({ self, candidatesMax: 8 }, random),
    },
    createRandom(seed),
  );
}

const register = (
  epoch: number,
  kind: Topology['kind'],
  rest: Partial<Topology> = {},
): Topology => ({
  ...unsetTopology(kind),
  epoch,
  by: peer,
  ...rest,
});

function opened(
  node: typeof self,
  session: number,
  mark: TopologyMark,
  topology: Topology = unsetTopology('full-mesh'),
): SwitchInput {
  return {
    type: 'linkOpened',
    node,
    boot: 1,
    isDialler: true,
    session,
    seed: undefined,
    overlay: 'full-mesh',
    neighbours: [],
    mark,
    topology,
  };
}

const up = (node: typeof self): SwitchInput => ({ type: 'memberUp', node, addresses: home });
const of = <Type extends SwitchEffect['type']>(
  effects: readonly SwitchEffect[],
  type: Type,
): Extract<SwitchEffect, { type: Type }>[] =>
  effects.filter((one): one is Extract<SwitchEffect, { type: Type }> => one.type === type);

/** A node with one neighbour, told of epoch 1. */
function switching(now: Millis): { core: Switchboard; effects: readonly SwitchEffect[] } {
  const core = board();
  core.step(0, up(peer));
  core.step(1, opened(peer, 1, unset));
  const effects = core.step(now, { type: 'topologyHeard', topology: register(1, 'hyparview') });
  return { core, effects };
}

describe('a switchboard', () => {
  test('that hears of a newer epoch remembers it, tells it on, and dials for it beside the old links', () => {
    const { core, effects } = switching(10);
    expect(of(effects, 'remember')).toHaveLength(1);
    expect(of(effects, 'tell').map(({ topology }) => topology.epoch)).toEqual([1]);
    expect(of(effects, 'dial').map(({ mark }) => mark)).toEqual([{ epoch: 1, by: peer }]);
    expect(of(effects, 'announce')).toEqual([]);
    expect(core.view()).toMatchObject({ leaving: 'full-mesh', topology: { kind: 'hyparview' } });
  });

  test('moves messages to the new link, and closes the old one when both ends hold', () => {
    const { core } = switching(10);
    core.step(20, opened(peer, 2, { epoch: 1, by: peer }, register(1, 'hyparview')));
    const moved = core.step(30, {
      type: 'received',
      node: peer,
      session: 2,
      message: { kind: 'accept' },
    });
    expect(of(moved, 'announce')).toEqual([
      { type: 'announce', what: 'neighbourMoved', node: peer, session: 2 },
    ]);
    const wait = core.step(16_000, { type: 'tick' });
    expect(of(wait, 'send').map(({ session, message }) => [session, message.kind])).toContainEqual([
      1,
      'holding',
    ]);
    expect(core.view().leaving).toBe('full-mesh');
    core.step(16_010, {
      type: 'received',
      node: peer,
      session: 1,
      message: { kind: 'holding', epoch: 1, by: peer },
    });
    core.step(17_000, { type: 'tick' });
    expect(core.view()).toMatchObject({ leaving: undefined });
    const late = core.step(17_500, { type: 'tick' });
    expect(of(late, 'hangUp').map(({ session }) => session)).toEqual([1]);
    expect(core.view().neighbours).toEqual([{ node: peer, session: 2 }]);
  });

  test('takes the mesh back when the new overlay does not come about', () => {
    const { core } = switching(10);
    let effects: readonly SwitchEffect[] = [];
    for (let now = 500; now < 40_000 && of(effects, 'tell').length === 0; now += 500) {
      effects = core.step(now, { type: 'tick' });
    }
    const [told] = of(effects, 'tell');
    expect(told?.topology).toMatchObject({ epoch: 2, by: self, kind: 'full-mesh', isReturn: true });
    expect(core.view()).toMatchObject({
      leaving: undefined,
      neighbours: [{ node: peer, session: 1 }],
    });
  });

  test('follows at once when it has no link to lose', () => {
    const core = board();
    core.step(0, up(peer));
    core.step(1, opened(peer, 1, unset, register(4, 'hyparview')));
    expect(core.view()).toMatchObject({ leaving: undefined, topology: { epoch: 4 } });
  });

  test('hears nothing in an older epoch, and hangs up on sessions of one it has left', () => {
    const core = board(register(5, 'hyparview'));
    expect(core.step(0, { type: 'topologyHeard', topology: register(4, 'full-mesh') })).toEqual([]);
    const effects = core.step(1, opened(peer, 1, { epoch: 4, by: peer }, register(4, 'full-mesh')));
    expect(of(effects, 'hangUp').map(({ session }) => session)).toEqual([1]);
  });

  test('takes no wish while it switches', () => {
    const { core } = switching(10);
    expect(core.refusal(20)?.why).toBe('switching');
    const { kind, hubs, isAuto, hint, isReturn, reason } = register(9, 'pub-sub');
    const wish = { kind, hubs, isAuto, hint, isReturn, reason };
    expect(of(core.step(20, { type: 'topologyWished', wish }), 'tell')).toEqual([]);
  });
});

describe('the automatic choice', () => {
  const auto = createAutoTopology();
  const small = { known: 10, leaves: 0 };
  const large = { known: 24, leaves: 0 };

  test('grows into HyParView when the mesh has been large for a minute, not at its edge', () => {
    expect(auto.look(0, 'full-mesh', 'balanced', large)).toBeUndefined();
    expect(auto.look(30_000, 'full-mesh', 'balanced', { known: 23, leaves: 0 })).toBeUndefined();
    expect(auto.look(60_000, 'full-mesh', 'balanced', large)).toBeUndefined();
    expect(auto.look(119_000, 'full-mesh', 'balanced', large)).toBeUndefined();
    expect(auto.look(120_000, 'full-mesh', 'balanced', large)).toEqual({
      kind: 'hyparview',
      reason: '24 members',
    });
    auto.switched(120_000);
  });

  test('shrinks after ten minutes of at most 16, and five minutes after the last switch at the earliest', () => {
    expect(auto.look(130_000, 'hyparview', 'balanced', { known: 17, leaves: 0 })).toBeUndefined();
    expect(auto.look(140_000, 'hyparview', 'balanced', small)).toBeUndefined();
    expect(auto.look(739_000, 'hyparview', 'balanced', small)).toBeUndefined();
    expect(auto.look(740_000, 'hyparview', 'balanced', small)?.kind).toBe('full-mesh');
    auto.switched(740_000);
  });

  test('switches three times an hour at most, then waits for a person', () => {
    auto.switched(1_100_000);
    auto.look(1_500_000, 'full-mesh', 'balanced', large);
    expect(auto.look(1_600_000, 'full-mesh', 'balanced', large)).toBeUndefined();
    expect(auto.isFrozen(1_600_000)).toBe(true);
    expect(auto.look(3_800_000, 'full-mesh', 'balanced', large)?.kind).toBe('hyparview');
  });

  test('takes hubs when three of ten are leaves, and a hint moves the sizes', () => {
    const other = createAutoTopology();
    other.look(0, 'full-mesh', 'balanced', { known: 10, leaves: 3 });
    expect(other.look(60_000, 'full-mesh', 'balanced', { known: 10, leaves: 3 })?.kind).toBe(
      'client-server',
    );
    const hinted = createAutoTopology();
    hinted.look(0, 'full-mesh', 'massive-scale', { known: 12, leaves: 0 });
    expect(hinted.look(60_000, 'full-mesh', 'massive-scale', { known: 12, leaves: 0 })?.kind).toBe(
      'hyparview',
    );
    expect(
      hinted.look(200_000, 'full-mesh', 'low-latency', { known: 40, leaves: 0 }),
    ).toBeUndefined();
  });
});

const someNode = fc.constantFrom(...ids);
function inputs(numbers: fc.Arbitrary<number>): fc.Arbitrary<SwitchInput> {
  const marks = fc.oneof(
    fc.constant(unset),
    fc.record({ epoch: fc.oneof(fc.nat(4), numbers), by: someNode }),
  );
  const wishes = fc.record({
    kind: fc.constantFrom(...overlayNames),
    hubs: fc.array(someNode, { maxLength: 3 }),
    isAuto: fc.boolean(),
    hint: fc.constantFrom(...topologyHints),
    isReturn: fc.boolean(),
    reason: fc.string(),
  });
  const topologies = fc.tuple(wishes, marks).map(([wish, mark]) => ({ ...wish, ...mark }));
  const plain = fc
    .tuple(someInput(numbers), marks, topologies)
    .map(([input, mark, topology]): SwitchInput => {
      if (input.type === 'linkOpened') return { ...input, mark, topology };
      return input.type === 'dialFailed' ? { ...input, mark } : input;
    });
  return fc.oneof(
    { weight: 6, arbitrary: plain },
    topologies.map((topology): SwitchInput => ({ type: 'topologyHeard', topology })),
    wishes.map((wish): SwitchInput => ({ type: 'topologyWished', wish })),
  );
}

describeLaws<SwitchInput, SwitchEffect, SwitchView>('the switchboard', {
  create: (seed) => board(unsetTopology('full-mesh'), seed),
  inputs: inputs(fc.nat(20)),
  hostile: inputs(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger())),
  effectsPerStepMax: 128,
});
