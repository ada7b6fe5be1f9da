/** The directory: news reaches all, losses are repaired, an old life's page never wins. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { createDirectory } from '../../../src/protocol/placement/directory.ts';
import type { DirectoryEffect, DirectoryInput } from '../../../src/protocol/placement/directory.ts';
import { describeLaws } from '../../laws/laws.ts';

const page = (node: string, boot: number, count: number, content = '') => ({
  type: 'received' as const,
  from: node,
  message: { type: 'page' as const, page: { node, boot, count, content } },
});

function at(self: string, peers: readonly string[]) {
  const core = createDirectory<string>({ self, boot: 1, periodMs: 1_000 }, createRandom(1));
  for (const node of peers) core.step(0, { type: 'peer-up', node });
  return core;
}

test('what a node writes goes to every peer, and to one that comes later', () => {
  const core = at('ann', ['bob', 'cyd']);
  const told = core.step(1, { type: 'wrote', content: 'x' });
  expect(told.flatMap((effect) => (effect.type === 'send' ? effect.to : []))).toEqual([
    'bob',
    'cyd',
  ]);
  expect(core.step(2, { type: 'peer-up', node: 'dan' })).toMatchObject([{ to: 'dan' }]);
});

test('a later count or boot wins, an older one never; a page goes with its node', () => {
  const core = at('ann', ['bob']);
  const content = (): unknown => core.view().pages.map((one) => one.content);
  core.step(1, page('bob', 2, 5, 'new'));
  core.step(2, page('bob', 2, 4, 'old count'));
  core.step(3, page('bob', 1, 99, 'old life'));
  expect(content()).toEqual(['new']);
  core.step(4, page('bob', 3, 1, 'next life'));
  expect(content()).toEqual(['next life']);
  expect(core.step(5, { type: 'peer-down', node: 'bob' })).toEqual([
    { type: 'changed', node: 'bob' },
  ]);
  core.step(6, page('bob', 4, 1, 'a word of the dead'));
  expect(content()).toEqual([]);
});

test('a peer whose page did not come is asked for it soon, and only once', () => {
  const core = createDirectory<string>({ self: 'ann', boot: 1 }, createRandom(1));
  // Too early: bob takes ann for a peer before ann does bob.
  core.step(0, page('bob', 1, 1, 'lost'));
  core.step(10, { type: 'peer-up', node: 'bob' });
  core.step(10, { type: 'peer-up', node: 'cyd' });
  core.step(20, page('cyd', 1, 1, 'came'));
  const at = core.deadline();
  expect(at).toBeLessThanOrEqual(1_010);
  expect(core.step(at, { type: 'tick' })).toEqual([
    {
      type: 'send',
      to: 'bob',
      message: { type: 'digest', isReply: false, known: [{ node: 'cyd', boot: 1, count: 1 }] },
    },
  ]);
  // It may have none; from here on it is one among others.
  expect(core.deadline()).toBe(at + 15_000);
});

test('half of all messages lost: everybody knows everything within some periods', () => {
  const ids = Array.from({ length: 8 }, (_, index) => `n${index}`);
  const random = createRandom(3);
  const cores = new Map(ids.map((id) => [id, at(id, [])]));
  const run = (now: number, from: string, effects: readonly DirectoryEffect<string>[]): void => {
    for (const effect of effects) {
      if (effect.type !== 'send' || random.unit() < 0.5) continue;
      const { to, message } = effect;
      run(now, to, cores.get(to)?.step(now, { type: 'received', from, message }) ?? []);
    }
  };
  for (const [id, core] of cores) {
    for (const node of ids) core.step(0, { type: 'peer-up', node });
    run(0, id, core.step(0, { type: 'wrote', content: id }));
  }
  for (let now = 0; now < 20_000; now += 100) {
    for (const [id, core] of cores) {
      if (core.deadline() <= now) run(now, id, core.step(now, { type: 'tick' }));
    }
  }
  for (const core of cores.values()) expect(core.view().pages).toHaveLength(8);
});

const node = fc.constantFrom('ann', 'bob', 'cyd');
const small = fc.integer({ min: 0, max: 3 });
describeLaws<DirectoryInput<string>, unknown, unknown>('the directory', {
  create: (seed) => createDirectory({ self: 'ann', boot: 1 }, createRandom(seed)),
  inputs: fc.oneof(
    fc.constant({ type: 'tick' as const }),
    fc.record({ type: fc.constant('wrote' as const), content: fc.string() }),
    fc.record({ type: fc.constantFrom('peer-up' as const, 'peer-down' as const), node }),
    fc.tuple(node, small, small).map(([from, boot, count]) => page(from, boot, count)),
    fc.record({
      type: fc.constant('received' as const),
      from: node,
      message: fc.record({
        type: fc.constant('digest' as const),
        isReply: fc.boolean(),
        known: fc.array(fc.record({ node, boot: small, count: small })),
      }),
    }),
  ),
  hostile: fc
    .tuple(fc.string(), fc.double(), fc.double())
    .map(([from, boot, count]) => page(from, boot, count)),
  effectsPerStepMax: 8,
});
