import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { byPreference, createHubSpoke, hubsOf } from '../../../src/protocol/overlay/hub-spoke.ts';
import type {
  Overlay,
  OverlayEffect,
  OverlayInput,
  OverlayRole,
  OverlayView,
} from '../../../src/protocol/overlay/overlay.ts';
import { describeLaws } from '../../laws/laws.ts';
import { ids, someInput } from './arbitraries.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const [ann, bob, cid, dan, eve] = ids as [
  typeof self,
  typeof self,
  typeof self,
  typeof self,
  typeof self,
];
const self = ids[11] ?? simNodeId(11);
const home = [{ host: 'a', port: 1 }];

const up = (node: typeof self, role: OverlayRole = 'any'): OverlayInput => ({
  type: 'memberUp',
  node,
  addresses: home,
  role,
});
const opened = (node: typeof self, session: number, isDialler = true): OverlayInput => ({
  type: 'linkOpened',
  node,
  boot: 1,
  isDialler,
  session,
  seed: undefined,
  overlay: 'client-server',
  neighbours: [],
});
const dialled = (effects: readonly OverlayEffect[]): string[] =>
  effects.flatMap((one) =>
    one.type === 'dial' && one.target.kind === 'node' ? [one.target.node] : [],
  );
const hungUp = (effects: readonly OverlayEffect[]): number[] =>
  effects.flatMap((one) => (one.type === 'hangUp' ? [one.session] : []));

const leaf = (): Overlay => createHubSpoke({ self, role: 'leaf', parents: 2 }, createRandom(1));

describe('hubs', () => {
  const living = new Map<typeof self, OverlayRole>([
    [ann, 'leaf'],
    [bob, 'any'],
    [cid, 'hub'],
    [dan, 'any'],
  ]);
  test.each([
    ['the named ones that live', [dan, eve], [dan]],
    ['those labelled so, when no named one lives', [eve], [cid]],
  ])('are %s', (_, named, hubs) => {
    expect(hubsOf(living, named, 2)).toEqual(hubs);
  });

  test('are the lowest ids that are no leaves, when none is labelled', () => {
    expect(hubsOf(new Map([...living, [cid, 'any']]), [], 2)).toEqual([bob, cid]);
    expect(hubsOf(new Map([[ann, 'leaf']]), [], 2)).toEqual([ann]);
  });

  test('are preferred in another order by each node, and keep it when one goes', () => {
    const hubs = ids.slice(0, 6);
    const order = byPreference(self, hubs);
    expect(order.toSorted()).toEqual(hubs.toSorted());
    expect(
      byPreference(
        self,
        hubs.filter((hub) => hub !== order[2]),
      ),
    ).toEqual(order.toSpliced(2, 1));
    const firsts = new Set(
      Array.from({ length: 40 }, (_, at) => byPreference(simNodeId(at), hubs)[0]),
    );
    expect(firsts.size).toBeGreaterThan(3);
  });
});

describe('a leaf', () => {
  const hubs = [ann, bob, cid, dan];
  const [first = ann, second = ann, third = ann] = byPreference(self, hubs);

  function withHubs(): Overlay {
    const core = leaf();
    // In its own order: each is weighed once, and only the parents are dialled.
    for (const hub of byPreference(self, hubs)) core.step(0, up(hub, 'hub'));
    return core;
  }

  test('dials its two parents and nobody else', () => {
    const core = leaf();
    const effects = hubs.flatMap((hub) => core.step(0, up(hub, 'hub')));
    expect(dialled(effects)).toEqual(expect.arrayContaining([first, second]));
    core.step(1, opened(first, 1));
    core.step(1, opened(second, 2));
    expect(dialled(core.step(60_000, up(eve)))).toEqual([]);
    expect(
      core
        .view()
        .neighbours.map(({ node }) => node)
        .toSorted(),
    ).toEqual([first, second].toSorted());
  });

  test('takes the next hub at once when a parent is lost', () => {
    const core = withHubs();
    core.step(1, opened(first, 1));
    core.step(1, opened(second, 2));
    const lost = core.step(10_000, { type: 'linkClosed', node: first, session: 1, reason: 'cut' });
    expect(dialled(lost)).toContain(third);
  });

  test('goes back to its own parent later, and gives up the other one only then', () => {
    const core = withHubs();
    core.step(1, opened(first, 1));
    core.step(1, opened(second, 2));
    core.step(10_000, { type: 'linkClosed', node: first, session: 1, reason: 'cut' });
    core.step(10_010, opened(third, 3));
    expect(hungUp(core.step(41_000, { type: 'tick' }))).toEqual([]);
    expect(hungUp(core.step(41_010, opened(first, 4)))).toEqual([3]);
  });

  test('whose hubs are all out of reach takes anybody', () => {
    const core = withHubs();
    core.step(1, up(eve));
    const effects = byPreference(self, hubs).flatMap((node) =>
      core.step(5, {
        type: 'dialFailed',
        target: { kind: 'node', node },
        answeredBySelf: false,
      }),
    );
    expect(dialled([...effects, ...core.step(4_000, { type: 'tick' })])).toContain(eve);
  });
});

test('a hub dials the other hubs and leaves the leaves alone', () => {
  const core = createHubSpoke({ self, role: 'hub' }, createRandom(1));
  core.step(0, up(ann, 'hub'));
  core.step(1, opened(ann, 1, false));
  expect(dialled(core.step(10, up(bob, 'leaf')))).toEqual([]);
  expect(dialled(core.step(5_000, { type: 'tick' }))).toEqual([]);
  core.step(5_000, up(cid, 'hub'));
  expect(dialled(core.step(9_000, { type: 'tick' }))).toEqual([cid]);
});

describeLaws<OverlayInput, OverlayEffect, OverlayView>('an overlay with hubs', {
  create: (seed) =>
    createHubSpoke({ self: bob, candidatesMax: 6, seedsMax: 4, parents: 2 }, createRandom(seed)),
  inputs: fc.oneof(someInput(fc.nat(20)), fc.constantFrom(...ids.map((node) => up(node, 'hub')))),
  hostile: someInput(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger())),
  effectsPerStepMax: 64,
});
