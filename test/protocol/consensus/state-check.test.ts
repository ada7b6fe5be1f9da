import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judgeStates } from '../../../src/protocol/consensus/state-check.ts';

const told = (text: string): ReadonlyMap<number, string> =>
  new Map(
    text.split('').flatMap((digest, at) => (digest === '-' ? [] : [[at + 1, digest] as const])),
  );

test.each([
  // One letter a seat: what it said, - nothing. Voters are 1 to 3.
  ['aaa', { type: 'same' }],
  ['a--', { type: 'same' }],
  ['---', { type: 'same' }],
  ['aab', { type: 'parted', seats: [3] }],
  ['baa', { type: 'parted', seats: [1] }],
  ['ab-', { type: 'split' }],
  ['abc', { type: 'split' }],
  // The fourth and fifth are learners: they are judged, and judge nobody.
  ['aa-b', { type: 'parted', seats: [4] }],
  ['aabab', { type: 'parted', seats: [3, 5] }],
  ['a--bb', { type: 'split' }],
])('bug 8: voters that said %s', (digests, verdict) => {
  expect(judgeStates([1, 2, 3], told(digests))).toEqual(verdict);
});

test('bug 8: nobody is told to go whom a majority of the voters agrees with, and never a majority of them', () => {
  const digest = fc.constantFrom('a', 'b', 'c', '-');
  fc.assert(
    fc.property(fc.array(digest, { minLength: 1, maxLength: 9 }), (all) => {
      const voters = all.slice(0, 5).map((_, at) => at + 1);
      const digests = told(all.join(''));
      const verdict = judgeStates(voters, digests);
      const going = verdict.type === 'parted' ? verdict.seats : [];
      const staying = voters.filter((seat) => digests.has(seat) && !going.includes(seat));
      if (going.length === 0) return;
      expect(staying.length).toBeGreaterThan(voters.length / 2);
      expect(new Set(staying.map((seat) => digests.get(seat))).size).toBe(1);
    }),
  );
});
