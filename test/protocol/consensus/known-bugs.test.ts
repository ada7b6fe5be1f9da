import { expect, test } from 'vitest';
import { encodeBatch, scanLog } from '../../../src/wire/replica-file.ts';
import { bugScripts } from './bug-scripts.ts';

/** Three batches of two records, each synced before the next. */
function threeBatches(): { readonly bytes: Uint8Array; readonly ends: readonly number[] } {
  const parts: Uint8Array[] = [];
  const ends: number[] = [];
  for (let batch = 0; batch < 3; batch += 1) {
    const records = [1, 2].map((at) => {
      return { index: batch * 2 + at, term: 1, type: 1, payload: new Uint8Array(20).fill(batch) };
    });
    parts.push(encodeBatch(records, ends.at(-1) ?? 0));
    ends.push(parts.reduce((sum, part) => sum + part.length, 0));
  }
  return { bytes: Uint8Array.from(parts.flatMap((part) => [...part])), ends };
}

test('bug 11: damage that nothing whole follows is a torn end and goes; damage with more behind it is rot (FAST 2018)', () => {
  const { bytes, ends } = threeBatches();
  const [first = 0, second = 0] = ends;
  const size = first / 2;
  const scanWith = (...places: readonly number[]): ReturnType<typeof scanLog> => {
    const damaged = Uint8Array.from(bytes);
    for (const at of places) damaged[at] = (damaged[at] as number) ^ 0xff;
    return scanLog(damaged);
  };
  expect(scanLog(bytes)).toMatchObject({ end: bytes.length });
  expect(scanLog(bytes).records).toHaveLength(6);
  // The batch that nobody was told of is cut off, and the promise of the others holds.
  const torn = scanWith(second + 1, second + size + 1);
  expect(torn.verdict).not.toBe('rotten');
  expect(torn.records).toHaveLength(4);
  // In one that later batches were synced after: this replica may have promised it.
  expect(scanWith(first + 1, first + size + 1).verdict).toBe('rotten');
  expect(scanWith(1, size + 1).verdict).toBe('rotten');
});

test('damage to what was promised last is no torn end: everything is written twice', () => {
  const { bytes } = threeBatches();
  for (let at = 0; at < bytes.length; at += 1) {
    const damaged = Uint8Array.from(bytes);
    damaged[at] = (damaged[at] as number) ^ 0xff;
    const { records, verdict } = scanLog(damaged);
    expect(verdict, `byte ${at}`).not.toBe('rotten');
    expect(records.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6]);
  }
});

test.each(Object.entries(bugScripts))('%s', (_, run) => run());
