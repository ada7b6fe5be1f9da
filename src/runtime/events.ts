/** Typed events of a node: a listener that throws never hurts the node or the other listeners. */

import type { Log } from '../ports/log.ts';

/** Listeners per event name before `on` refuses: a leak shows instead of growing. */
export const listenersMax = 1000;

/** An emitter of the events named by `Events`. */
export interface Emitter<Events> {
  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void): () => void;
  emit<Name extends keyof Events>(event: Name, value: Events[Name]): void;
  clear(): void;
}

/** Builds an emitter. */
export function createEmitter<Events>(log: Log): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<(value: never) => void>>();
  return {
    on(event, listener) {
      const set = listeners.get(event) ?? new Set();
      if (set.size >= listenersMax) {
        throw new RangeError(`more than ${listenersMax} listeners for '${String(event)}'`);
      }
      listeners.set(event, set);
      set.add(listener);
      return () => void set.delete(listener);
    },
    emit(event, value) {
      for (const listener of listeners.get(event) ?? []) {
        try {
          (listener as (value: unknown) => void)(value);
        } catch (error) {
          log.error({ event: String(event), error }, 'an event listener threw');
        }
      }
    },
    clear: () => listeners.clear(),
  };
}
