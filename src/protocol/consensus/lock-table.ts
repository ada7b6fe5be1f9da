/** Who holds what: locks, semaphores and roles are places for owners, handed on in the order of asking. */

import { machineLimits } from './machine-types.ts';
import type { Outcome } from './machine-types.ts';

/** One owner in a session. */
export interface Claim {
  readonly session: number;
  readonly owner: string;
}

/** One that has a place. The token grows with every grant: whoever shows a smaller one is late. */
export interface Holder extends Claim {
  readonly token: number;
}

/** One lock. */
export interface Lock {
  readonly permits: number;
  readonly holders: readonly Holder[];
  readonly waiters: readonly Claim[];
}

interface OpenLock {
  permits: number;
  holders: Holder[];
  waiters: Claim[];
}

/** All locks that are held or waited for. */
export class LockTable {
  #locks = new Map<string, OpenLock>();

  get(name: string): Lock | undefined {
    return this.#locks.get(name);
  }

  entries(): IterableIterator<[string, Lock]> {
    return this.#locks.entries();
  }

  restore(name: string, lock: Lock): void {
    const { permits, holders, waiters } = lock;
    this.#locks.set(name, { permits, holders: [...holders], waiters: [...waiters] });
  }

  /** Asking again is the same claim: it keeps its token, or its place in the queue. */
  acquire(index: number, name: string, claim: Claim, permits: number, mayWait: boolean): Outcome {
    const lock = this.#locks.get(name) ?? { permits, holders: [], waiters: [] };
    const isSame = (one: Claim): boolean =>
      one.session === claim.session && one.owner === claim.owner;
    const held = lock.holders.find(isSame);
    if (held !== undefined) return { type: 'granted', token: held.token };
    const place = lock.waiters.findIndex(isSame);
    if (place >= 0) return { type: 'queued', place };
    if (lock.permits !== permits) return { type: 'refused', reason: 'other-permits' };
    const isKnown = this.#locks.has(name);
    if (!isKnown && this.#locks.size >= machineLimits.locksMax)
      return { type: 'refused', reason: 'full' };
    if (lock.holders.length < permits) {
      lock.holders.push({ ...claim, token: index });
      this.#locks.set(name, lock);
      return { type: 'granted', token: index };
    }
    if (!mayWait) return { type: 'refused', reason: 'busy' };
    if (lock.waiters.length >= machineLimits.waitersMax) return { type: 'refused', reason: 'full' };
    lock.waiters.push(claim);
    return { type: 'queued', place: lock.waiters.length - 1 };
  }

  /** @returns whether there was such a claim. */
  release(index: number, name: string, claim: Claim): boolean {
    return this.#drop(
      index,
      name,
      (one) => one.session === claim.session && one.owner === claim.owner,
    );
  }

  /** Ends every claim of these sessions, then hands on: nobody that ends with them is granted anything. @returns the names touched */
  endSessions(index: number, sessions: ReadonlySet<number>): string[] {
    const touched: string[] = [];
    for (const name of this.#locks.keys()) {
      if (this.#drop(index, name, ({ session }) => sessions.has(session))) touched.push(name);
    }
    return touched;
  }

  #drop(index: number, name: string, isGone: (claim: Claim) => boolean): boolean {
    const lock = this.#locks.get(name);
    if (lock === undefined) return false;
    const before = lock.holders.length + lock.waiters.length;
    lock.holders = lock.holders.filter((one) => !isGone(one));
    lock.waiters = lock.waiters.filter((one) => !isGone(one));
    if (lock.holders.length + lock.waiters.length === before) return false;
    while (lock.holders.length < lock.permits) {
      const next = lock.waiters.shift();
      if (next === undefined) break;
      lock.holders.push({ ...next, token: index });
    }
    if (lock.holders.length === 0) this.#locks.delete(name);
    return true;
  }
}
