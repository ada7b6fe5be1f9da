/** The memory twin of the disk journal, for nodes that keep nothing and for tests. */

import type { Journal } from '../../ports/journal.ts';
import { journalRecordBytesMax } from '../../ports/journal.ts';

/** A journal of which nothing is ever lost; hand its records to the next one to restart a node with them. */
export function createMemoryJournal(
  records: Uint8Array[],
  replay: (record: Uint8Array) => void,
): Journal {
  for (const record of records) replay(Uint8Array.from(record));
  let isClosed = false;
  const size = (): number => records.reduce((sum, { length }) => sum + length, 0);
  let baseCount = records.length;
  return {
    findings: { hasLosses: false, notes: [] },
    append(record) {
      if (record.length === 0 || record.length > journalRecordBytesMax) {
        throw new RangeError(`a record of ${record.length} bytes`);
      }
      if (!isClosed) records.push(Uint8Array.from(record));
      return Promise.resolve();
    },
    wantsCompaction: () => !isClosed && records.length > Math.max(10_000, 2 * baseCount),
    async compact(fresh) {
      if (isClosed) return false;
      const kept = [...fresh].map((record) => Uint8Array.from(record));
      records.splice(0, records.length, ...kept);
      baseCount = kept.length;
      return true;
    },
    view: () => ({
      recordCount: records.length,
      bytes: size(),
      flashBytes: 0,
      syncCount: 0,
      trouble: undefined,
    }),
    async close() {
      isClosed = true;
    },
  };
}
