/** `node.elect` and `node.singleton`: one node of the mesh has a role, and when it is gone another one takes it. */

import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import { MycelError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { AskOptions } from '../runtime/consensus/client.ts';
import type { Group, GroupHint } from '../runtime/consensus/group-types.ts';
import type { Consensus } from '../runtime/consensus/part.ts';
import type { Held, LockOptions, Locksmith } from './lock.ts';

/** Locks of roles have names of their own, so that a role and a lock may be called the same. */
const rolePrefix = 'role/';

/** How long a candidate waits in one go, in ms; then it asks again. */
const campaignMs = 3_600_000;

/** How long a hint is waited for, in ms. */
const hintMs = 500;

/** Pause after a failed campaign or a task that failed, in ms. */
const retryMs = 1_000;

/** Who leads the group, and who has a role. */
export interface LeaderView {
  /** The role; undefined: the group's own leader. */
  readonly role: string | undefined;
  readonly leader: NodeId | undefined;
  /** The fencing token of the role; the term of the group's leader. */
  readonly token: number;
  /** Who decides in the group. */
  readonly voters: readonly NodeId[];
}

/** A task that runs on one node at a time. */
export interface Singleton extends AsyncDisposable {
  readonly name: string;
  isHere(): boolean;
  /** Stops it here and stands for it no more. Idempotent. */
  stop(): Promise<void>;
}

/** What a singleton runs: until the signal aborts. The token tells it from the ones before. */
export type SingletonTask = (signal: AbortSignal, token: number) => Promise<void>;

/** Elections of one node. */
export interface Elections {
  /** Resolves when this node has the role. @throws {MycelError} MYCEL_LOCK_BUSY after `wait`, MYCEL_NO_QUORUM */
  elect(role: string, options?: LockOptions): Promise<Held>;
  singleton(name: string, task: SingletonTask, options?: Pick<LockOptions, 'ttl'>): Singleton;
  leader(role?: string, options?: AskOptions): Promise<LeaderView>;
  stop(): Promise<void>;
}

/** Who leads is told in a letter of its own, which may come a moment after the first answer. */
async function hintOf(group: Group | undefined): Promise<GroupHint | undefined> {
  if (group === undefined || group.hint()?.leader !== undefined) return group?.hint();
  const { clock } = group.world;
  await new Promise<void>((resolve) => {
    const stop = group.onChange(done);
    const cancel = clock.alarm(clock.now() + hintMs, done);
    function done(): void {
      stop();
      cancel();
      resolve();
    }
  });
  return group.hint();
}

/** Builds them. */
export function createElections(
  consensus: Consensus,
  locksmith: Locksmith,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
  pause: (ms: number, signal: AbortSignal) => Promise<void>,
): Elections {
  const running = new Map<string, Singleton>();

  const elect: Elections['elect'] = (role, options = {}) =>
    locksmith.take(`${rolePrefix}${role}`, 1, options);

  function singleton(
    name: string,
    task: SingletonTask,
    options: Pick<LockOptions, 'ttl'> = {},
  ): Singleton {
    if (running.has(name)) {
      throw new MycelError('MYCEL_BAD_OPTION', { reason: `"${name}" runs on this node already.` });
    }
    const control = new AbortController();
    let held: Held | undefined;

    async function stand(): Promise<void> {
      while (!control.signal.aborted) {
        try {
          held = await elect(name, { ...options, wait: campaignMs, signal: control.signal });
          await task(AbortSignal.any([control.signal, held.lost]), held.token);
        } catch (error) {
          if (!control.signal.aborted) log.warn({ error, singleton: name }, 'a singleton ended');
        } finally {
          // Taken away, not given back: another node may run it now. Reports of healed splits count these.
          if (held?.lost.aborted === true && !control.signal.aborted) {
            metrics.count('singleton.stopped');
          }
          await held?.release();
          held = undefined;
        }
        if (!control.signal.aborted) await pause(retryMs, control.signal);
      }
    }

    const done = stand();
    const stop = async (): Promise<void> => {
      control.abort();
      running.delete(name);
      await done;
    };
    const one: Singleton = {
      name,
      isHere: () => held !== undefined && !held.lost.aborted,
      stop,
      [Symbol.asyncDispose]: stop,
    };
    running.set(name, one);
    return one;
  }

  return {
    elect,
    singleton,
    async leader(role, options) {
      const client = await consensus.client();
      const name = role === undefined ? undefined : `${rolePrefix}${role}`;
      // The question itself finds the leader, and shows that it leads.
      const lock = await client.query({ type: 'lock', name: name ?? rolePrefix }, options);
      const hint = await hintOf(consensus.group());
      const voters = hint?.voters ?? [];
      if (role === undefined) return { role, leader: hint?.leader, token: hint?.term ?? 0, voters };
      const holder = lock?.holders[0];
      return {
        role,
        leader: holder?.node as NodeId | undefined,
        token: holder?.token ?? 0,
        voters,
      };
    },
    async stop() {
      await Promise.all([...running.values()].map((one) => one.stop()));
    },
  };
}
