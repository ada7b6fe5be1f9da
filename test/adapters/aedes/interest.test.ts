import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createInterest } from '../../../src/adapters/aedes/interest.ts';
import { topicMatches } from '../../../src/kernel/topic.ts';

const level = fc.constantFrom('a', 'b', '', '$SYS');
const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => (isOpen || levels.length === 0 ? [...levels, '#'] : levels).join('/'));
const holders = fc.constantFrom('ann', 'bob');

test('a topic is wanted exactly while a filter that somebody holds matches it', () => {
  const step = fc.record({ holder: holders, filter: filters, isAdded: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), holders, topics, (steps, leaver, topic) => {
      const interest = createInterest(() => {});
      const held = new Set<string>();
      for (const { holder, filter, isAdded } of steps) {
        if (isAdded) interest.add(holder, filter);
        else interest.remove(holder, filter);
        if (isAdded) held.add(`${holder} ${filter}`);
        else held.delete(`${holder} ${filter}`);
      }
      interest.removeAll(leaver);
      const left = [...held].filter((one) => !one.startsWith(leaver));
      const isWanted = left.some((one) => topicMatches(one.slice(4), topic));
      expect(interest.wants(topic)).toBe(isWanted);
    }),
    { numRuns: 5_000 },
  );
});

test('the first holder of a filter and the last one are told, nobody between', () => {
  const told: string[] = [];
  const interest = createInterest((filter, isWanted) => told.push(`${filter} ${isWanted}`));
  interest.add('ann', 'a');
  interest.add('bob', 'a');
  interest.remove('ann', 'a');
  interest.remove('ann', 'a');
  interest.removeAll('bob');
  expect(told).toEqual(['a true', 'a false']);
});
