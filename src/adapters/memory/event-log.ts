/** The memory twin of the event log on disk. */

import { MycelError } from '../../kernel/errors.ts';
import type { EventLog } from '../../ports/event-log.ts';

/** Builds an event log in memory. Hand the same list to the next one to open it again. Bounding it is up to the list's owner. */
export function createMemoryEventLog(entries: Uint8Array[] = []): EventLog {
  const sizeOf = (some: readonly Uint8Array[]): number =>
    some.reduce((sum, one) => sum + one.byteLength, 0);
  let written = 0;
  let isClosed = false;

  function take(some: readonly Uint8Array[]): void {
    if (isClosed) throw new MycelError('MYCEL_STORE_FAILED', { reason: 'It is closed.' });
    written += sizeOf(some);
    for (const one of some) entries.push(Uint8Array.from(one));
  }

  return {
    found: entries.map((one) => Uint8Array.from(one)),
    append: async (some) => take(some),
    async replace(some) {
      entries.length = 0;
      take(some);
    },
    bytes: () => sizeOf(entries),
    bytesWritten: () => written,
    async close() {
      isClosed = true;
    },
  };
}
