/** SWIM's override table, cell by cell. */

import { describe, expect, test } from 'vitest';
import { judge } from '../../../src/protocol/membership/judge.ts';
import type { Judgement, MemberState } from '../../../src/protocol/membership/judge.ts';
import type { Update } from '../../../src/protocol/membership/messages.ts';
import { simMeta, simNodeId } from '../../sim/membership.ts';

const eve = simNodeId(1);
const ann = simNodeId(2);
const known = { boot: 2, n: 5 };
const older = { boot: 2, n: 4 };
const newer = { boot: 2, n: 6 };
/** A restart outranks any number of refutations of the life before. */
const reborn = { boot: 3, n: 0 };

function update(kind: Update['kind'], incarnation: { boot: number; n: number }): Update {
  const proof = new Uint8Array(1);
  const common = { node: eve, incarnation, proof };
  if (kind === 'suspect' || kind === 'dead') return { kind, ...common, from: ann };
  if (kind === 'left') return { kind, ...common, from: eve };
  const word = {
    ...common,
    from: eve,
    instance: 1,
    addresses: [],
    meta: simMeta,
    edPublic: new Uint8Array(32),
  };
  return kind === 'alive'
    ? { kind, ...word }
    : { kind: 'dormant', ...word, sleepMs: 1_000, elapsedMs: 0 };
}

type Row = Record<MemberState, readonly [older: Judgement, same: Judgement, newer: Judgement]>;

const never = ['ignore', 'ignore', 'ignore'] as const;
const newerOnly = ['ignore', 'ignore', 'apply'] as const;
const sameOrNewer = ['ignore', 'apply', 'apply'] as const;
const confirms = ['ignore', 'confirm', 'confirm'] as const;

const word: Row = {
  alive: newerOnly,
  suspect: newerOnly,
  dead: newerOnly,
  left: newerOnly,
  dormant: newerOnly,
};
const accusation: Row = {
  alive: sameOrNewer,
  suspect: confirms,
  dead: never,
  left: never,
  dormant: never,
};
const table: Record<Update['kind'], Row> = {
  alive: word,
  dormant: word,
  left: {
    alive: sameOrNewer,
    suspect: sameOrNewer,
    dormant: sameOrNewer,
    dead: newerOnly,
    left: newerOnly,
  },
  suspect: accusation,
  dead: accusation,
};

describe('what overrides what', () => {
  for (const [kind, row] of Object.entries(table)) {
    for (const [state, [ofOlder, ofSame, ofNewer]] of Object.entries(row)) {
      test(`${kind} about ${state}: ${ofOlder} older, ${ofSame} same, ${ofNewer} newer`, () => {
        const told = (incarnation: { boot: number; n: number }): Judgement =>
          judge(update(kind as Update['kind'], incarnation), {
            state: state as MemberState,
            incarnation: known,
          });
        expect(told(older)).toBe(ofOlder);
        expect(told(known)).toBe(ofSame);
        expect(told(newer)).toBe(ofNewer);
        expect(told(reborn)).toBe(ofNewer);
      });
    }
  }

  test('a stranger is introduced by their own word alone', () => {
    expect(judge(update('alive', older), undefined)).toBe('apply');
    expect(judge(update('dormant', older), undefined)).toBe('apply');
    for (const kind of ['suspect', 'dead', 'left'] as const) {
      expect(judge(update(kind, newer), undefined)).toBe('ignore');
    }
  });
});
