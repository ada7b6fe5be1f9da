import { describe, expect, test } from 'vitest';
import {
  createShareMembers,
  sharesLengthMax,
  sharesMax,
} from '../../../src/protocol/routing/share-members.ts';
import type { ShareMember, ShareMembers } from '../../../src/protocol/routing/share-members.ts';

interface Stage {
  readonly table: ShareMembers<number>;
  readonly changes: string[];
  member(name: string): ShareMember<number> & { isFit: boolean; readonly took: number[] };
}

function stage(): Stage {
  const changes: string[] = [];
  const table = createShareMembers<number>((filter, isWanted) =>
    changes.push(`${isWanted ? '+' : '-'}${filter}`),
  );
  return {
    table,
    changes,
    member() {
      const took: number[] = [];
      const own = { took, isFit: true, take: (one: number) => void took.push(one) };
      return Object.assign(own, { isReady: () => own.isFit });
    },
  };
}

function give(table: ShareMembers<number>, filter: string, count: number): void {
  for (let at = 0; at < count; at += 1) expect(table.give(filter, at)).toBe(true);
}

describe('the members of groups on a node', () => {
  test('take turns, and one that does not keep up is passed over while another does', () => {
    const { table, member } = stage();
    const [ann, bob, cat] = [member('ann'), member('bob'), member('cat')];
    for (const one of [ann, bob, cat]) table.join('$share/g/t', one);
    bob.isFit = false;
    give(table, '$share/g/t', 6);
    expect([ann.took, bob.took, cat.took]).toEqual([[0, 2, 4], [], [1, 3, 5]]);
    for (const one of [ann, cat]) one.isFit = false;
    give(table, '$share/g/t', 3);
    expect([ann.took.length, bob.took.length, cat.took.length]).toEqual([4, 1, 4]);
  });

  test('of the same name with another filter are another group', () => {
    const { table, member } = stage();
    const [ann, bob] = [member('ann'), member('bob')];
    table.join('$share/g/a/#', ann);
    table.join('$share/g/a/+', bob);
    expect([...table.matching('a/x')].toSorted()).toEqual(['$share/g/a/#', '$share/g/a/+']);
    expect([...table.matching('a')]).toEqual(['$share/g/a/#']);
    expect([table.wants('a/x/y'), table.wants('b')]).toEqual([true, false]);
  });

  test('are told of with the first and the last of them, however often one joins', () => {
    const { table, changes, member } = stage();
    const [ann, bob] = [member('ann'), member('bob')];
    table.join('$share/g/t', ann);
    table.join('$share/g/t', ann);
    table.join('$share/g/t', bob);
    table.leave('$share/g/t', ann);
    table.leave('$share/g/t', ann);
    expect(table.count('$share/g/t')).toBe(1);
    table.leave('$share/g/t', bob);
    expect(changes).toEqual(['+$share/g/t', '-$share/g/t']);
    expect([table.give('$share/g/t', 1), table.wants('t')]).toEqual([false, false]);
  });

  test('are refused in more groups than a node can name to the mesh, and let in again', () => {
    const { table, member } = stage();
    const ann = member('ann');
    for (let at = 0; at < sharesMax; at += 1) {
      expect(table.mayJoin(`$share/g/${at}`)).toBe(true);
      table.join(`$share/g/${at}`, ann);
    }
    expect([table.mayJoin('$share/g/x'), table.mayJoin('$share/g/1')]).toEqual([false, true]);
    table.leave('$share/g/0', ann);
    expect(table.mayJoin('$share/g/x')).toBe(true);
    expect(table.mayJoin(`$share/g/${'x'.repeat(sharesLengthMax)}`)).toBe(false);
  });
});
