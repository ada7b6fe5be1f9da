/** The memory twin of the disk store, for nodes that keep nothing and for simulated ones. */

import { MycelError } from '../../kernel/errors.ts';
import type { Store } from '../../ports/store.ts';

/**
 * Builds a store in memory. Hand the same map to the next store to restart a node with its records.
 * It holds what it is given: bounding the records is up to the owner of the map.
 */
export function createMemoryStore(records: Map<string, Uint8Array> = new Map()): Store {
  let isClosed = false;

  function mustBeOpen(): void {
    if (isClosed) throw new MycelError('MYCEL_STORE_FAILED', { reason: 'It is closed.' });
  }

  return {
    async read(name) {
      mustBeOpen();
      const bytes = records.get(name);
      return bytes === undefined ? undefined : Uint8Array.from(bytes);
    },
    async write(name, bytes) {
      mustBeOpen();
      records.set(name, Uint8Array.from(bytes));
    },
    async remove(name) {
      mustBeOpen();
      records.delete(name);
    },
    async list() {
      mustBeOpen();
      return [...records.keys()].sort();
    },
    damage: () => [],
    async close() {
      isClosed = true;
    },
  };
}
