/** Who holds which instance, as all pages tell: the highest epoch wins, then the smaller node. */

import type { NodeId } from '../../kernel/ids.ts';
import { createTies } from '../../protocol/supervision/ties.ts';
import type { TieEffect, Ties } from '../../protocol/supervision/ties.ts';
import type { Claim } from './agents-page.ts';

/** Instances whose last epoch is remembered after their holder is gone. */
export const epochsMax = 16_384;

/** A claim and whose it is. */
export interface HeldClaim extends Claim {
  readonly node: NodeId;
}

/** The claims known here. */
export interface Claims {
  /** Takes in all claims of all live nodes, those of one node together; returns what monitors and links make of the changes. */
  update(all: readonly (readonly HeldClaim[])[]): readonly TieEffect[];
  holder(instance: string): HeldClaim | undefined;
  all(): readonly HeldClaim[];
  /** The highest epoch ever seen; 0 when none. */
  epoch(instance: string): number;
  /** Remembers an epoch heard otherwise. */
  saw(instance: string, epoch: number): void;
  readonly ties: Ties;
}

/** Whether one claim beats another of the same instance. */
export function beats(
  one: { epoch: number; node: string },
  other: { epoch: number; node: string },
): boolean {
  return one.epoch > other.epoch || (one.epoch === other.epoch && one.node < other.node);
}

/** Builds them, empty. @param fresh takes in what has changed here since, before anybody looks */
export function createClaims(fresh: () => void): Claims {
  const ties = createTies();
  const epochs = new Map<string, number>();
  let held = new Map<string, HeldClaim>();

  function saw(instance: string, epoch: number): void {
    if (epoch <= (epochs.get(instance) ?? 0)) return;
    epochs.set(instance, epoch);
    if (epochs.size > epochsMax) epochs.delete(epochs.keys().next().value as string);
  }

  return {
    ties,
    saw,
    epoch: (instance) => epochs.get(instance) ?? 0,
    holder(instance) {
      fresh();
      return held.get(instance);
    },
    all() {
      fresh();
      return [...held.values()];
    },
    update(all) {
      const next = new Map<string, HeldClaim>();
      const nodes = new Set<NodeId>();
      for (const claims of all) {
        const [first] = claims;
        if (first !== undefined) nodes.add(first.node);
        for (const claim of claims) {
          saw(claim.instance, claim.epoch);
          const known = next.get(claim.instance);
          if (known === undefined || beats(claim, known)) next.set(claim.instance, claim);
        }
      }
      const effects: TieEffect[] = [];
      for (const [instance, was] of held) {
        const now = next.get(instance);
        if (now === undefined) {
          effects.push(...ties.ended(instance, nodes.has(was.node) ? 'stopped' : 'unreachable'));
        } else if (now.node !== was.node) effects.push(...ties.ended(instance, 'unreachable'));
        else if (
          now.restarts > was.restarts ||
          (now.state === 'failed' && was.state !== 'failed')
        ) {
          effects.push(...ties.ended(instance, 'failure'));
        }
      }
      held = next;
      return effects;
    },
  };
}
