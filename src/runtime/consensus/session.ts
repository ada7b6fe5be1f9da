/** This node's promise to be there: what it holds in the group's name is lost for certain when the promise may be. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { PartWorld } from '../parts.ts';
import type { GroupClient } from './client.ts';

/**
 * How much earlier than the group this node holds a session to be over, as a share of its time to live: the clocks of
 * two boards differ by less than this (200 ppm, and a second of an hour is 278).
 */
const marginShare = 0.02;

/** A session is kept this often in its time to live. */
const keepsPerTtl = 3;

/** A session. */
export interface Session {
  readonly id: number;
  /** Aborts when the session is over, or may be. */
  readonly lost: AbortSignal;
}

/** Sessions, one for each time to live that is in use. */
export interface Sessions {
  /** A running session; it is kept until every user has let go. @throws {MycelError} MYCEL_NO_QUORUM */
  use(ttlMs: Millis): Promise<{ readonly session: Session; release(): void }>;
  stop(): Promise<void>;
}

interface Open {
  readonly ttlMs: Millis;
  readonly ready: Promise<Session>;
  readonly control: AbortController;
  users: number;
  id: number;
  until: Millis;
  cancel(): void;
}

/** Builds them. */
export function createSessions(world: PartWorld, client: () => Promise<GroupClient>): Sessions {
  const { clock, mesh, log } = world;
  const open = new Map<Millis, Open>();
  let suspend: { stop(): void } | undefined;

  function begin(ttlMs: Millis): Open {
    const control = new AbortController();
    const one: Open = {
      ttlMs,
      control,
      users: 0,
      id: 0,
      until: 0,
      cancel: () => undefined,
      ready: start(),
    };
    open.set(ttlMs, one);
    // After a sleep nobody knows how long it was for the others.
    suspend ??= world.adapters.watchSuspend(() => {
      for (const each of open.values()) lose(each, 'this computer slept');
    });
    return one;

    async function start(): Promise<Session> {
      const askedAt = clock.now();
      const outcome = await (await client()).submit({ op: 'openSession', node: mesh.self, ttlMs });
      if (outcome.type !== 'done') throw new MycelError('MYCEL_GROUP_FULL');
      one.id = outcome.index;
      keptAt(one, askedAt);
      return { id: one.id, lost: control.signal };
    }
  }

  /** Counts from before the question was sent: the group counts from later on. */
  function keptAt(one: Open, askedAt: Millis): void {
    one.until = askedAt + one.ttlMs * (1 - marginShare);
    schedule(one, askedAt + one.ttlMs / keepsPerTtl);
  }

  function schedule(one: Open, at: Millis): void {
    one.cancel();
    if (one.control.signal.aborted) return;
    const next = Math.min(at, one.until);
    one.cancel = clock.alarm(Math.max(next, clock.now() + 1), () => {
      if (clock.now() >= one.until) return lose(one, 'its time is over');
      void keep(one);
      // The next look comes whether or not this one is answered.
      schedule(one, clock.now() + one.ttlMs / (2 * keepsPerTtl));
    });
  }

  async function keep(one: Open): Promise<void> {
    const askedAt = clock.now();
    const deadlineMs = Math.max(1, one.until - askedAt);
    try {
      const asked = { op: 'keepSession', session: one.id } as const;
      const outcome = await (
        await client()
      ).submit(asked, { deadlineMs, signal: one.control.signal });
      if (outcome.type === 'refused') lose(one, 'the group has ended it');
      else if (!one.control.signal.aborted && askedAt + one.ttlMs > one.until) keptAt(one, askedAt);
    } catch (error) {
      log.debug({ error, session: one.id }, 'a session could not be kept');
    }
  }

  function lose(one: Open, reason: string): void {
    if (one.control.signal.aborted) return;
    one.cancel();
    if (open.get(one.ttlMs) === one) open.delete(one.ttlMs);
    one.control.abort(
      new MycelError('MYCEL_LOCK_LOST', { reason: `The session ended: ${reason}.` }),
    );
  }

  async function close(one: Open): Promise<void> {
    one.cancel();
    if (open.get(one.ttlMs) === one) open.delete(one.ttlMs);
    if (one.id === 0 || one.control.signal.aborted) return;
    one.control.abort(new MycelError('MYCEL_LOCK_LOST', { reason: 'It was given back.' }));
    const asked = { op: 'closeSession', session: one.id } as const;
    // Not answered: then its time ends it.
    await (await client()).submit(asked, { deadlineMs: 1_000 }).catch(() => undefined);
  }

  return {
    async use(ttlMs) {
      const one = open.get(ttlMs) ?? begin(ttlMs);
      one.users += 1;
      let isReleased = false;
      const release = (): void => {
        if (isReleased) return;
        isReleased = true;
        one.users -= 1;
        if (one.users === 0) void close(one);
      };
      try {
        return { session: await one.ready, release };
      } catch (error) {
        release();
        if (open.get(ttlMs) === one) open.delete(ttlMs);
        throw error;
      }
    },
    async stop() {
      suspend?.stop();
      await Promise.all([...open.values()].map(close));
    },
  };
}
