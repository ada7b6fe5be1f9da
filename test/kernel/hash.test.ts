/** Hashes of text: even, stable for ever, and rankings that move few keys. */

import { expect, test } from 'vitest';
import { hashText, rendezvousOrder } from '../../src/kernel/hash.ts';

const nodes = Array.from({ length: 10 }, (_, at) => `n${at}`);
const keys = Array.from({ length: 20_000 }, (_, at) => `task ${at}`);

test('the hash of a text never changes: nodes of different versions must agree', () => {
  expect(['', 'a', 'lamp', 'лампа'].map(hashText)).toMatchInlineSnapshot(`
    [
      2872998923,
      444641715,
      585307567,
      3892573587,
    ]
  `);
});

test('keys spread evenly, by weight', () => {
  const weights = new Map(nodes.map((node, at) => [node, at === 0 ? 3 : at === 1 ? 0 : 1]));
  const counts = new Map<string, number>();
  for (const key of keys) {
    const [best] = rendezvousOrder(key, nodes, (node) => weights.get(node) ?? 1);
    counts.set(best ?? '', (counts.get(best ?? '') ?? 0) + 1);
  }
  // Weights add up to 11.
  expect((counts.get('n0') ?? 0) / keys.length).toBeCloseTo(3 / 11, 1);
  expect(counts.has('n1')).toBe(false);
  for (const node of nodes.slice(2)) {
    expect(Math.abs((counts.get(node) ?? 0) / keys.length - 1 / 11)).toBeLessThan(0.01);
  }
});

test('a node that goes moves only the keys it held, and the order of the candidates is nothing', () => {
  const fewer = nodes.slice(0, 9).toReversed();
  for (const key of keys.slice(0, 2_000)) {
    const [best, second] = rendezvousOrder(key, nodes);
    const [now] = rendezvousOrder(key, fewer);
    expect(now).toBe(best === 'n9' ? second : best);
  }
});
