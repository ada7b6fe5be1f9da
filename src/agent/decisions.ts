/** What a node offers of consensus, put together from its parts. */

import type { Clock } from '../ports/clock.ts';
import { createConsensus } from '../runtime/consensus/part.ts';
import type { Consensus } from '../runtime/consensus/part.ts';
import type { NodePart, PartWorld } from '../runtime/parts.ts';
import { createConfig } from './config.ts';
import type { Config } from './config.ts';
import { createEffects } from '../runtime/effects/effects.ts';
import { createEffectsHandle } from './effects.ts';
import type { EffectsHandle } from './effects.ts';
import { createElections } from './elect.ts';
import type { Elections, LeaderView, Singleton, SingletonTask } from './elect.ts';
import { createKv } from './kv.ts';
import type { Kv } from './kv.ts';
import { createLocksmith } from './lock.ts';
import type { Held, LockOptions, SemaphoreOptions } from './lock.ts';
import { createSequence, meet } from './meeting.ts';
import type { BarrierOptions, Sequence } from './meeting.ts';
import type { AskOptions } from '../runtime/consensus/client.ts';

/** The handles. Each needs a majority of the group's voters, and says MYCEL_NO_QUORUM without one. */
export interface DecisionHandles {
  /** Keys that are decided together. */
  readonly kv: Kv;
  /** What only a holder may do, guarded where it is done. A sink needs no majority. */
  readonly effects: EffectsHandle;
  /** Settings of this node and of the mesh. Only what is set for the whole mesh by decision needs a majority. */
  readonly config: Config;
  /** Takes a lock; at most one holder in the mesh. @throws {MycelError} MYCEL_LOCK_BUSY, MYCEL_NO_QUORUM, MYCEL_BAD_OPTION */
  lock(name: string, options?: LockOptions): Promise<Held>;
  /** Takes one of `permits` places. Throws as `lock` does. */
  semaphore(name: string, options: SemaphoreOptions): Promise<Held>;
  /** Waits until `parties` have come here. @throws {MycelError} MYCEL_TIMEOUT, MYCEL_NO_QUORUM */
  barrier(name: string, options: BarrierOptions): Promise<void>;
  /** Numbers that are given once in the mesh. */
  sequence(name: string): Sequence;
  /** Resolves when this node has the role. Throws as `lock` does. */
  elect(role: string, options?: LockOptions): Promise<Held>;
  /** Runs the task on one node of all that stand for it; where that one is gone, another one begins. */
  singleton(name: string, task: SingletonTask, options?: Pick<LockOptions, 'ttl'>): Singleton;
  /** Who has a role; without one, who leads the group itself. */
  leader(role?: string, options?: AskOptions): Promise<LeaderView>;
}

/** Builds part and handles. */
export function createDecisions(world: PartWorld): {
  readonly part: NodePart;
  readonly consensus: Consensus;
  readonly handles: DecisionHandles;
} {
  const consensus = createConsensus(world);
  const random = world.random();
  const locksmith = createLocksmith(consensus, random);
  const elections: Elections = createElections(consensus, locksmith, world, pauseOf(world.clock));
  const effects = createEffects(world);
  const config = createConfig(world, consensus);
  return {
    consensus,
    part: {
      async start() {
        await consensus.start();
        await config.part.start();
      },
      async stop() {
        effects.stop();
        await config.part.stop();
        await elections.stop();
        await consensus.stop();
      },
    },
    handles: {
      kv: createKv(consensus),
      effects: createEffectsHandle(effects),
      config: config.handle,
      lock: (name, options = {}) => locksmith.take(name, 1, options),
      semaphore: (name, options) => locksmith.take(name, options.permits, options),
      barrier: (name, options) => meet(consensus, random, name, options),
      sequence: (name) => createSequence(consensus, name),
      elect: elections.elect,
      singleton: elections.singleton,
      leader: elections.leader,
    },
  };
}

function pauseOf(clock: Clock): (ms: number, signal: AbortSignal) => Promise<void> {
  return (ms, signal) =>
    new Promise((resolve) => {
      const cancel = clock.alarm(clock.now() + ms, done);
      signal.addEventListener('abort', done, { once: true });
      function done(): void {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      }
    });
}
