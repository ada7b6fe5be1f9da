/** The memory twin of the event log on disk. */

import { MycelError } from '../../kernel/errors.ts';
import type { EventLog } from '../../ports/event-log.ts';

/** Builds an event log in memory. Hand the same list to the next one to open it again. Bounding it is up to the list's owner. */
export function createMemoryEventLog(entries: Uint8Array[] = []): EventLog {
  const sizeOf = (some: readonly Uint8Array[]): number =>
    some.reduce((sum, one) => sum + one.byteLength, 0);
  let written = 0;
  let isClosed = false;

  function take(some: readonly Uint8Array[]): number[] {
    if (isClosed) throw new MycelError('MYCEL_STORE_FAILED', { reason: 'It is closed.' });
    written += sizeOf(some);
    return some.map((one) => entries.push(Uint8Array.from(one)) - 1);
  }

  return {
    append: async (some) => take(some),
    async rewrite(first, keep, last) {
      const before = entries.splice(0);
      take(first);
      for (const entry of before) {
        const kept = keep(entry, entries.length);
        if (kept !== undefined) take([kept]);
      }
      return take(last);
    },
    async read(at, bytes) {
      let size = 0;
      let end = at;
      while (end < entries.length && (end === at || size < bytes)) {
        size += entries[end]?.byteLength ?? 0;
        end += 1;
      }
      return entries
        .slice(at, end)
        .map((entry, index) => ({ at: at + index, entry: Uint8Array.from(entry) }));
    },
    after: ({ at }) => at + 1,
    bytes: () => sizeOf(entries),
    bytesWritten: () => written,
    async close() {
      isClosed = true;
    },
  };
}
