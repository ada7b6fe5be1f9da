/** Watching replicated state: one key, all keys with a prefix, or those that a function picks. */

import { BoundedQueue } from '../kernel/bounded-queue.ts';
import { parseAddress } from '../runtime/state/state-cells.ts';
import type { CellAddress } from '../runtime/state/state-cells.ts';
import type { StateRoom } from '../runtime/state/state-room.ts';
import type { StateChange, StateHandle, StateQuery } from './state-types.ts';

/** Changes that wait for a slow reader of an iterator; the oldest goes. */
const waitingMax = 1024;

/** The watches of one node. */
export interface StateWatch {
  cell(address: CellAddress, changed: () => void): () => void;
  readonly query: StateHandle['watch'];
}

/** Builds them. */
export function createStateWatch(room: StateRoom): StateWatch {
  function listen(query: StateQuery, listener: (change: StateChange) => void): () => void {
    return room.onChanged((addresses) => {
      for (const address of new Set(addresses)) {
        const change = changeAt(room, address);
        if (change !== undefined && fits(query, change)) listener(change);
      }
    });
  }

  function query(asked: StateQuery, listener: (change: StateChange) => void): () => void;
  function query(asked: StateQuery): AsyncIterableIterator<StateChange>;
  function query(
    asked: StateQuery,
    listener?: (change: StateChange) => void,
  ): (() => void) | AsyncIterableIterator<StateChange> {
    if (listener !== undefined) return listen(asked, listener);
    return iterate((push) => listen(asked, push));
  }

  return {
    cell: (address, changed) =>
      room.onChanged((addresses) => {
        if (addresses.includes(address)) changed();
      }),
    query,
  };
}

function changeAt(room: StateRoom, address: CellAddress): StateChange | undefined {
  const parsed = parseAddress(address);
  if (parsed === undefined) return undefined;
  return {
    key: parsed.path.join('/'),
    type: parsed.type,
    value: room.read(address) as StateChange['value'],
  };
}

function fits(query: StateQuery, change: StateChange): boolean {
  if (typeof query === 'function') return query(change);
  if (typeof query === 'string') return change.key.startsWith(query);
  return change.key === query.key;
}

/** A subscription as an iterator; leaving the loop ends it. */
function iterate<Value>(
  subscribe: (push: (value: Value) => void) => () => void,
): AsyncIterableIterator<Value> {
  const queue = new BoundedQueue<Value>(waitingMax, 'drop-oldest');
  let wake: (() => void) | undefined;
  let isDone = false;
  const stop = subscribe((value) => {
    queue.push(value);
    wake?.();
  });
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      for (;;) {
        const value = queue.shift();
        if (value !== undefined) return { done: false, value };
        if (isDone) return { done: true, value: undefined };
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async return() {
      isDone = true;
      stop();
      wake?.();
      return { done: true, value: undefined };
    },
  };
}
