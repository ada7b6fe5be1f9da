/** Lifeguard's suspicion: the numbers of memberlist and of the SWIM paper's ancestors. */

import { describe, expect, test } from 'vitest';
import type { VerdictUpdate } from '../../../src/protocol/membership/messages.ts';
import { swimProfiles } from '../../../src/protocol/membership/profiles.ts';
import {
  Suspicion,
  suspicionMs,
  suspicionTerms,
} from '../../../src/protocol/membership/suspicion.ts';
import { simNodeId } from '../../sim/membership.ts';

const memberlist = { ...swimProfiles.wired, suspicionMult: 4, suspicionMaxMult: 6 };
const accused = simNodeId(9);
/** Five members, each by what it says of the accused. */
const [ann, bob, cid, dan, eve] = [1, 2, 3, 4, 5].map((number): VerdictUpdate => {
  const incarnation = { boot: 1, n: 0 };
  return {
    kind: 'suspect',
    node: accused,
    incarnation,
    from: simNodeId(number),
    proof: new Uint8Array(0),
  };
});

describe('how long a suspicion lasts', () => {
  test('it falls with the logarithm of the confirmations (memberlist: k = 3, 2 s to 30 s)', () => {
    const terms = { minMs: 2_000, maxMs: 30_000, confirmationsWanted: 3 };
    expect([0, 1, 2, 3, 4].map((count) => suspicionMs(terms, count))).toEqual([
      30_000, 16_000, 7_810, 2_000, 2_000,
    ]);
  });

  test('without anybody who could confirm it starts at its minimum', () => {
    expect(suspicionMs({ minMs: 2_000, maxMs: 30_000, confirmationsWanted: 0 }, 0)).toBe(2_000);
  });

  test.each([
    [2, 4_000, 0],
    [3, 4_000, 0],
    [4, 4_000, 2],
    [10, 4_000, 2],
    [100, 8_000, 2],
    [1000, 12_000, 2],
  ])('with %i members and a = 4, b = 6 it is %i ms at least', (count, minMs, wanted) => {
    expect(suspicionTerms(memberlist, count, true)).toEqual({
      minMs,
      maxMs: 6 * minMs,
      confirmationsWanted: wanted,
    });
  });

  test('without Lifeguard it is the minimum, whoever confirms', () => {
    expect(suspicionTerms(memberlist, 100, false).confirmationsWanted).toBe(0);
  });
});

describe('who shortens a suspicion', () => {
  if (!ann || !bob || !cid || !dan || !eve) throw new Error('five members');
  const terms = { minMs: 2_000, maxMs: 30_000, confirmationsWanted: 2 };

  test('the one who opened it confirms nothing', () => {
    const suspicion = new Suspicion(terms, 100, ann);
    expect(suspicion.confirm(ann)).toBe(false);
    expect(suspicion.endsAt).toBe(30_100);
  });

  test('each other member counts once, and K of them are enough', () => {
    const suspicion = new Suspicion(terms, 100, ann);
    expect(suspicion.confirm(bob)).toBe(true);
    const afterOne = suspicion.endsAt;
    expect(suspicion.confirm(bob)).toBe(false);
    expect(suspicion.endsAt).toBe(afterOne);
    expect(suspicion.confirm(cid)).toBe(true);
    expect(suspicion.endsAt).toBe(2_100);
    expect(suspicion.confirm(dan)).toBe(false);
    expect(suspicion.accusations).toEqual([ann, bob, cid]);
  });

  test('where nobody can shorten it a second voice is still remembered, and only one', () => {
    const suspicion = new Suspicion({ ...terms, confirmationsWanted: 0 }, 0, ann);
    expect(suspicion.isSharedWith(ann.from)).toBe(false);
    expect(suspicion.isSharedWith(bob.from)).toBe(true);
    expect(suspicion.confirm(bob)).toBe(false);
    expect(suspicion.isSharedWith(ann.from)).toBe(true);
    suspicion.confirm(cid);
    expect(suspicion.accusations).toEqual([ann, bob]);
  });
});
