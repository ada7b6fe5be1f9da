/** The full-mesh overlay: a link with every member, one per pair. */

import type { Random } from '../../kernel/random.ts';
import type { Overlay } from './overlay.ts';
import { createPairs } from './pairs.ts';
import type { PairPolicy, PairsConfig } from './pair-policy.ts';

const everybody: PairPolicy = {
  look: () => false,
  wants: () => true,
  isMutual: () => true,
  maySpare: () => false,
  lost: () => undefined,
  deadline: () => Infinity,
};

/** Builds a full mesh. */
export function createFullMesh(config: PairsConfig, random: Random): Overlay {
  return createPairs(config, everybody, random);
}
