/** How many requests of one service run at once, and how many may wait: one slow service never takes the node with it. */

import { MycelError } from '../../kernel/errors.ts';

/** Requests of one service that run at once when it does not say. */
export const concurrencyDefault = 64;

/** Requests that wait behind them. */
export const waitingMax = 256;

/** A bulkhead. */
export interface Bulkhead {
  /** Running and waiting. */
  load(): number;
  /** Waits for a place; the signal is made only when it has to wait. @throws {MycelError} MYCEL_SERVICE_BUSY when too many wait; the signal's reason when it aborts. */
  enter(who: { signal(): AbortSignal }): Promise<void> | undefined;
  leave(): void;
}

/** Builds one for a service. */
export function createBulkhead(service: string, concurrency: number): Bulkhead {
  const waiting = new Set<() => void>();
  let running = 0;

  return {
    load: () => running + waiting.size,
    enter(who) {
      if (running < concurrency) {
        running += 1;
        return undefined;
      }
      if (waiting.size >= waitingMax) {
        throw new MycelError('MYCEL_SERVICE_BUSY', {
          reason: `'${service}' runs ${running} requests and ${waiting.size} wait.`,
        });
      }
      const signal = who.signal();
      return new Promise((resolve, reject) => {
        const go = (): void => {
          signal.removeEventListener('abort', give);
          resolve();
        };
        const give = (): void => {
          waiting.delete(go);
          reject(signal.reason as Error);
        };
        waiting.add(go);
        signal.addEventListener('abort', give, { once: true });
      });
    },
    leave() {
      const next = waiting.values().next().value;
      if (next === undefined) running -= 1;
      else {
        waiting.delete(next);
        next();
      }
    },
  };
}
