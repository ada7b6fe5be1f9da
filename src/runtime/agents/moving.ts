/** Agents that change their node while both are alive: one by one, or all of a node that is to be switched off. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { PartWorld } from '../parts.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { Claims } from './claims.ts';
import type { Crew } from './crew.ts';
import type { Deployment } from './deployment.ts';

/** What moving needs. */
export interface MovingWorld {
  readonly world: PartWorld;
  readonly crew: Crew;
  readonly claims: Claims;
  readonly checkpoints: Checkpoints;
  deployment(name: string): Deployment | undefined;
  /** Where an instance belongs when its holder is left out. */
  place(wanted: Deployment, instance: string): NodeId | undefined;
  /** An instance is at home on another node now. */
  moved(instance: string, to: NodeId): void;
  setDraining(isDraining: boolean): void;
  /** Waits until this node knows it of another one. */
  untilDraining(node: NodeId, isDraining: boolean): Promise<void>;
  tell(): void;
  soon(ms: number): void;
}

/** Moving. */
export interface Moving {
  migrateHere(instance: string, to: NodeId, deadlineMs: number): Promise<void>;
  drainHere(isDraining: boolean): Promise<{ readonly moved: number }>;
  /** Another node; when it has ended, this node knows of it. */
  drainThere(node: NodeId, isDraining: boolean): Promise<{ readonly moved: number }>;
}

/** Builds it. */
export function createMoving(parts: MovingWorld): Moving {
  const { crew, claims, checkpoints, tell, soon } = parts;
  const { calls, mesh } = parts.world;

  async function migrateHere(instance: string, to: NodeId, deadlineMs: number): Promise<void> {
    const own = crew.running.get(instance);
    if (own === undefined) throw new MycelError('MYCEL_UNKNOWN_AGENT', { instance });
    const wanted = parts.deployment(own.agent);
    if (wanted === undefined || to === mesh.self) return;
    await own.instance?.stop();
    await own.letGo();
    const state = checkpoints.local(instance);
    if (state !== undefined) await checkpoints.save(instance, own.epoch, state).catch(() => {});
    try {
      const body = encodeCbor({ instance, epoch: own.epoch + 1, wanted });
      await calls.call(to, 'agents/adopt', body, { deadlineMs: Math.min(10_000, deadlineMs) });
      crew.close(instance, own);
      claims.saw(instance, own.epoch + 1);
      parts.moved(instance, to);
      tell();
    } catch (error) {
      // It goes on here, above the epoch that the other node may have begun with.
      crew.close(instance, own);
      claims.saw(instance, own.epoch + 1);
      await crew.take(wanted, instance);
      throw error;
    }
  }

  async function drainHere(on: boolean): Promise<{ moved: number }> {
    parts.setDraining(on);
    tell();
    let moved = 0;
    if (!on) {
      soon(0);
      return { moved };
    }
    for (const [instance, own] of crew.running) {
      const wanted = parts.deployment(own.agent);
      if (wanted === undefined) continue;
      const to = parts.place(wanted, instance);
      if (to === undefined || to === mesh.self) continue;
      await migrateHere(instance, to, 10_000);
      moved += 1;
    }
    return { moved };
  }

  async function drainThere(node: NodeId, on: boolean): Promise<{ moved: number }> {
    const answer = await calls.call(node, 'agents/drain', encodeCbor(on), { deadlineMs: 60_000 });
    // Its answer may be here before its page: what is deployed next would still go by the old one.
    await parts.untilDraining(node, on);
    return decodeCbor(answer) as { moved: number };
  }

  return { migrateHere, drainHere, drainThere };
}
