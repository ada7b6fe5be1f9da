/** `node.lock` and `node.semaphore`: leases that a majority grants, with a number that lets the resource refuse who is late. */

import { MycelError } from '../kernel/errors.ts';
import type { Millis } from '../kernel/core.ts';
import type { Random } from '../kernel/random.ts';
import type { Consensus } from '../runtime/consensus/part.ts';
import { checked } from './kv.ts';

/** How to take a lock. */
export interface LockOptions {
  /** How long the group holds it for this node without hearing from it, in ms. @default 10_000 */
  readonly ttl?: Millis;
  /** How long to wait for it, in ms; 0: not at all. @default 30_000 */
  readonly wait?: Millis;
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

/** How to take a place of a semaphore. */
export interface SemaphoreOptions extends LockOptions {
  /** How many may hold it at once; the same number everywhere. */
  readonly permits: number;
}

/**
 * Something held. It is a lease: a node that is stopped for longer than its time to live holds it no longer, without
 * knowing. So give `token` to the resource, and let it refuse a token below the highest it has seen (`fence`).
 */
export interface Held extends AsyncDisposable {
  readonly name: string;
  /** Higher than that of every holder before. */
  readonly token: number;
  /** Aborts when it is lost, or may be: stop at once what needs it. Not by `release`. */
  readonly lost: AbortSignal;
  /** Gives it back. Idempotent. */
  release(): Promise<void>;
}

/** Shortest and longest time to live, in ms. */
const ttlMsMin: Millis = 500;
const ttlMsMax: Millis = 3_600_000;

/** Defaults of `LockOptions`. */
const ttlMsDefault: Millis = 10_000;
const waitMsDefault: Millis = 30_000;

/** Takes locks, semaphores and roles for one node. */
export interface Locksmith {
  take(name: string, permits: number, options: LockOptions): Promise<Held>;
}

/** Builds it. */
export function createLocksmith(consensus: Consensus, random: Random): Locksmith {
  return {
    async take(name, permits, options) {
      const { ttl = ttlMsDefault, wait = waitMsDefault, signal } = options;
      checked(name);
      checkOptions(ttl, wait, permits);
      signal?.throwIfAborted();
      const client = await consensus.client();
      const { session, release: leave } = await (await consensus.sessions()).use(ttl);
      const owner = `${random.below(2 ** 30)}-${random.below(2 ** 30)}`;
      const giveBack = async (): Promise<void> => {
        const command = { op: 'release', session: session.id, name, owner } as const;
        // Not answered: the session is let go, and ends it.
        await client.submit(command, { deadlineMs: Math.min(ttl, 5_000) }).catch(() => undefined);
        leave();
      };
      try {
        const token = await acquire();
        const lost = new AbortController();
        let isReleased = false;
        const loseIt = (): void => {
          if (!isReleased) lost.abort(session.lost.reason);
        };
        session.lost.addEventListener('abort', loseIt, { once: true });
        if (session.lost.aborted) loseIt();
        const release = async (): Promise<void> => {
          if (isReleased) return;
          isReleased = true;
          session.lost.removeEventListener('abort', loseIt);
          await giveBack();
        };
        return { name, token, lost: lost.signal, release, [Symbol.asyncDispose]: release };
      } catch (error) {
        await giveBack();
        throw error;
      }

      async function acquire(): Promise<number> {
        const mayWait = wait > 0;
        const command = {
          op: 'acquire',
          session: session.id,
          name,
          owner,
          permits,
          mayWait,
        } as const;
        const asked = signal === undefined ? {} : { signal };
        const outcome = await client.submit(command, asked);
        if (outcome.type === 'granted') return outcome.token;
        if (outcome.type === 'queued') {
          const awaited = { type: 'grant', name, session: session.id, owner } as const;
          const token = await client.wait(awaited, { ...asked, deadlineMs: wait });
          if (token > 0) return token;
          if (token === 0) throw new MycelError('MYCEL_LOCK_LOST', { name });
          throw new MycelError('MYCEL_LOCK_BUSY', {
            name,
            reason: `It did not come free within ${wait} ms.`,
          });
        }
        if (outcome.type === 'refused' && outcome.reason === 'other-permits') {
          throw new MycelError('MYCEL_BAD_OPTION', {
            reason: `"${name}" is in use with another number of permits.`,
          });
        }
        if (outcome.type === 'refused' && outcome.reason === 'no-session') {
          throw new MycelError('MYCEL_LOCK_LOST', { name });
        }
        throw new MycelError('MYCEL_LOCK_BUSY', { name });
      }
    },
  };
}

function checkOptions(ttl: Millis, wait: Millis, permits: number): void {
  const isGood =
    ttl >= ttlMsMin &&
    ttl <= ttlMsMax &&
    wait >= 0 &&
    Number.isSafeInteger(permits) &&
    permits >= 1 &&
    permits <= 256;
  if (isGood) return;
  throw new MycelError('MYCEL_BAD_OPTION', {
    reason: `A time to live is ${ttlMsMin} to ${ttlMsMax} ms, a wait 0 ms or more, and permits are 1 to 256.`,
  });
}

/** Guards a resource: refuses whoever comes with a token below the highest that was seen. */
export interface Fence {
  /** @throws {MycelError} MYCEL_LOCK_LOST when the token is late */
  check(token: number): void;
}

/** Builds a fence for one resource; it belongs to the resource, not to whoever uses it. */
export function createFence(): Fence {
  let highest = 0;
  return {
    check(token) {
      if (!(token >= highest)) {
        throw new MycelError('MYCEL_LOCK_LOST', {
          reason: `The token ${token} is late: ${highest} was seen.`,
        });
      }
      highest = token;
    },
  };
}
