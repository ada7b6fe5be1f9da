import { expect, test } from 'vitest';
import { encodeRecords, scanLog } from '../../../src/wire/replica-file.ts';
import { bugScripts } from './bug-scripts.ts';

/** Three batches of two records, each synced before the next. */
function threeBatches(): { readonly bytes: Uint8Array; readonly ends: readonly number[] } {
  const parts: Uint8Array[] = [];
  const ends: number[] = [];
  for (let batch = 0; batch < 3; batch += 1) {
    const records = [1, 2].map((at) => {
      return { index: batch * 2 + at, term: 1, type: 1, payload: new Uint8Array(20).fill(batch) };
    });
    parts.push(encodeRecords(records, ends.at(-1) ?? 0));
    ends.push(parts.reduce((sum, part) => sum + part.length, 0));
  }
  return { bytes: Uint8Array.from(parts.flatMap((part) => [...part])), ends };
}

test('bug 11: damage that nothing whole follows is a torn end and goes; damage with more behind it is rot (FAST 2018)', () => {
  const { bytes, ends } = threeBatches();
  const [first = 0, second = 0] = ends;
  const scanWith = (at: number): ReturnType<typeof scanLog> => {
    const damaged = Uint8Array.from(bytes);
    damaged[at] = (damaged[at] as number) ^ 0xff;
    return scanLog(damaged);
  };
  expect(scanLog(bytes)).toMatchObject({ end: bytes.length });
  expect(scanLog(bytes).records).toHaveLength(6);
  // In the batch that nobody was told of: cut off, and the promise of the others holds.
  const torn = scanWith(second + 30);
  expect(torn.verdict).not.toBe('rotten');
  expect(torn.records).toHaveLength(4);
  // In one that later batches were synced after: this replica may have promised it.
  expect(scanWith(first + 30).verdict).toBe('rotten');
  expect(scanWith(30).verdict).toBe('rotten');
});

test.each(Object.entries(bugScripts))('%s', (_, run) => run());
