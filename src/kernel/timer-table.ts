/** Named deadlines of a core: nothing to cancel, nothing to leak (after quinn's TimerTable). */

import type { Millis } from './core.ts';

/** One optional deadline per name. */
export class TimerTable<Name> {
  #deadlines = new Map<Name, Millis>();

  /** Sets or moves the deadline. */
  set(name: Name, at: Millis): void {
    this.#deadlines.set(name, at);
  }

  stop(name: Name): void {
    this.#deadlines.delete(name);
  }

  get(name: Name): Millis | undefined {
    return this.#deadlines.get(name);
  }

  /** The next deadline, or Infinity. */
  next(): Millis {
    let soonest = Infinity;
    for (const at of this.#deadlines.values()) if (at < soonest) soonest = at;
    return soonest;
  }

  /** Removes and returns the names whose deadline has come, soonest first. */
  due(now: Millis): Name[] {
    const due = [...this.#deadlines].filter(([, at]) => at <= now);
    due.sort((left, right) => left[1] - right[1]);
    for (const [name] of due) this.#deadlines.delete(name);
    return due.map(([name]) => name);
  }
}
