import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { chooseWay } from '../../../src/protocol/broadcast/broadcast-way.ts';
import type { BroadcastLoad } from '../../../src/protocol/broadcast/broadcast-way.ts';
import { createPlumtree } from '../../../src/protocol/broadcast/plumtree.ts';
import type {
  Plumtree,
  PlumtreeConfig,
  PlumtreeEffect,
  PlumtreeInput,
  PlumtreeView,
} from '../../../src/protocol/broadcast/plumtree.ts';
import { describeLaws } from '../../laws/laws.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const ids = Array.from({ length: 6 }, (_, at) => simNodeId(at));
const [self = simNodeId(0), a = self, b = self, c = self, root = self] = ids;

function plumtree(config: Partial<PlumtreeConfig> = {}): Plumtree {
  const core = createPlumtree({ self, ...config }, createRandom(1));
  for (const node of [a, b, c]) core.step(0, { type: 'neighbourUp', node });
  return core;
}

const piece = (seq: number) => ({ origin: root, boot: 1, seq, stream: 1 as const });
const received = (from: typeof a, seq: number, isNew: boolean): PlumtreeInput => ({
  type: 'received',
  from,
  piece: piece(seq),
  hops: 2,
  isNew,
  way: 'tree',
});
const announced = (from: typeof a, seq: number, isHeld = false, hops = 2): PlumtreeInput => ({
  type: 'announced',
  from,
  pieces: [{ ...piece(seq), hops, isStaged: false, isHeld }],
});

describe('Plumtree', () => {
  test('sends the first message of an origin to all but its bringer', () => {
    expect(plumtree().step(1, received(a, 1, true))).toEqual([
      { type: 'forward', piece: piece(1), to: [b, c] },
    ]);
  });

  test('prunes whoever brings a second copy, and tells it of later ones in one announcement', () => {
    const core = plumtree();
    core.step(1, received(a, 1, true));
    const prune = { type: 'send', to: b, message: { kind: 'prune', root } };
    expect(core.step(2, received(b, 1, false))).toEqual([prune]);
    expect(core.step(3, received(a, 2, true))).toEqual([
      { type: 'forward', piece: piece(2), to: [c] },
    ]);
    core.step(4, received(a, 3, true));
    const told = core.step(core.deadline(), { type: 'tick' });
    expect(told).toHaveLength(1);
    const [first] = told;
    if (first?.type !== 'send' || first.message.kind !== 'have') throw new Error('no announcement');
    expect(first.to).toBe(b);
    expect(first.message.pieces.map(({ seq, hops }) => [seq, hops])).toEqual([
      [2, 3],
      [3, 3],
    ]);
  });

  test('asks for what was announced and does not come, then the next announcer', () => {
    const core = plumtree({ graftMsMin: 1_000, retryMsMin: 200 });
    core.step(0, announced(a, 1));
    core.step(10, announced(b, 1));
    expect(core.deadline()).toBe(1_000);
    const graft = (to: typeof a) => ({
      type: 'send',
      to,
      message: { kind: 'graft', root, pieces: [piece(1)] },
    });
    expect(core.step(1_000, { type: 'tick' })).toEqual([graft(a)]);
    expect(core.step(1_200, { type: 'tick' })).toEqual([graft(b)]);
    expect(core.step(1_400, { type: 'tick' })).toEqual([]);
    expect(core.view().missingCount).toBe(0);
  });

  test('asks nobody for what came in the meantime, nor a neighbour that is gone', () => {
    const core = plumtree();
    core.step(0, announced(a, 1));
    core.step(0, announced(a, 2));
    core.step(1, received(b, 1, true));
    core.step(2, { type: 'neighbourDown', node: a });
    expect(core.step(1_000, { type: 'tick' })).not.toContainEqual(
      expect.objectContaining({ message: expect.objectContaining({ kind: 'graft' }) }),
    );
  });

  test('answers a graft with the message and sends the asker whole messages again', () => {
    const core = plumtree();
    core.step(1, { type: 'pruned', from: b, root });
    expect(core.targets(2, piece(1), 1, a, 'tree')).toEqual([c]);
    const pieces = [piece(1)];
    expect(core.step(3, { type: 'grafted', from: b, root, pieces })).toEqual([
      { type: 'repeat', piece: piece(1), to: b },
    ]);
    expect(core.targets(4, piece(2), 1, a, 'tree')).toEqual([b, c]);
  });

  test('waits as long as twenty hops of the median neighbour take', () => {
    const core = plumtree();
    for (const [node, rttMs] of [
      [a, 2],
      [b, 400],
      [c, 900],
    ] as const) {
      core.step(0, { type: 'measured', node, rttMs });
    }
    expect(core.view().graftMs).toBe(4_000);
    core.step(0, { type: 'measured', node: b, rttMs: 3 });
    expect(core.view().graftMs).toBe(1_000);
  });

  test('lets a much nearer announcer take the place of the parent, when told to', () => {
    const core = plumtree({ optimiseHops: 3 });
    core.step(1, { ...received(a, 1, true), hops: 9 } as PlumtreeInput);
    expect(core.step(2, announced(b, 1, true, 7))).toEqual([]);
    expect(core.step(3, announced(c, 1, true, 4))).toEqual([
      { type: 'send', to: c, message: { kind: 'graft', root, pieces: [] } },
      { type: 'send', to: a, message: { kind: 'prune', root } },
    ]);
  });

  test('tells of a staged message and sends it whole to nobody', () => {
    const core = plumtree();
    expect(core.step(1, { ...received(a, 1, true), way: 'staged' } as PlumtreeInput)).toEqual([]);
    const told = core.step(core.deadline(), { type: 'tick' });
    expect(told.map((effect) => effect.type === 'send' && effect.to)).toEqual([b, c]);
  });

  test('asks for a staged message at once', () => {
    const core = plumtree();
    const pieces = [{ ...piece(1), hops: 1, isStaged: true, isHeld: false }];
    expect(core.step(5, { type: 'announced', from: a, pieces })).toHaveLength(1);
  });
});

const nodes = fc.constantFrom(...ids);
function someInput(numbers: fc.Arbitrary<number>): fc.Arbitrary<PlumtreeInput> {
  const pieces = fc.record({
    origin: nodes,
    boot: numbers,
    seq: numbers,
    stream: fc.constantFrom(0 as const, 1 as const),
  });
  const ways = fc.constantFrom(
    'simple' as const,
    'tree' as const,
    'gossip' as const,
    'staged' as const,
  );
  const of = <Type extends string>(type: Type) => fc.constant(type);
  return fc.oneof(
    fc.record({ type: of('tick') }),
    fc.record({ type: of('neighbourUp'), node: nodes }),
    fc.record({ type: of('neighbourDown'), node: nodes }),
    fc.record({ type: of('measured'), node: nodes, rttMs: numbers }),
    fc.record({ type: of('published'), piece: pieces, way: ways }),
    fc.record({
      type: of('received'),
      from: nodes,
      piece: pieces,
      hops: numbers,
      isNew: fc.boolean(),
      way: ways,
    }),
    fc.record({
      type: of('announced'),
      from: nodes,
      pieces: fc.array(
        pieces.chain((one) =>
          fc
            .record({ hops: numbers, isStaged: fc.boolean(), isHeld: fc.boolean() })
            .map((rest) => ({ ...one, ...rest })),
        ),
        { maxLength: 8 },
      ),
    }),
    fc.record({
      type: of('grafted'),
      from: nodes,
      root: nodes,
      pieces: fc.array(pieces, { maxLength: 8 }),
    }),
    fc.record({ type: of('pruned'), from: nodes, root: nodes }),
  );
}

describeLaws<PlumtreeInput, PlumtreeEffect, PlumtreeView>('Plumtree', {
  create: (seed) =>
    createPlumtree({ self, optimiseHops: 1, treesMax: 3, missingMax: 8 }, createRandom(seed)),
  inputs: someInput(fc.nat(20)),
  hostile: someInput(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger())),
  effectsPerStepMax: 64,
});

describe('the way of a broadcast', () => {
  const load: BroadcastLoad = {
    members: 100,
    neighbours: 5,
    bytes: 100,
    perSecond: 0.1,
    meanBytes: 100,
    isUrgent: true,
    was: 'simple',
  };
  test.each([
    ['a flood in a small mesh', { members: 16, perSecond: 100 }, 'simple'],
    ['a flood where all are linked', { neighbours: 99, perSecond: 100 }, 'simple'],
    ['a flood of rare messages', {}, 'simple'],
    ['a tree for many messages', { perSecond: 3 }, 'tree'],
    ['a tree for large ones', { perSecond: 1, meanBytes: 4_000 }, 'tree'],
    ['the tree, while traffic ebbs', { perSecond: 0.6, was: 'tree' }, 'tree'],
    ['a flood again when it has ebbed away', { perSecond: 0.4, was: 'tree' }, 'simple'],
    ['a question before a large one', { bytes: 20_000, perSecond: 100 }, 'staged'],
    ['gossip for what is small and can wait', { isUrgent: false }, 'gossip'],
  ] as const)('is %s', (_, change, way) => {
    expect(chooseWay({ ...load, ...change })).toBe(way);
  });
});
