/** Bare seeds: addresses without a name, dialled until someone answers, and again when this node is alone. */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { Random } from '../../kernel/random.ts';
import { backoffMs } from './backoff.ts';
import type { Backoff } from './backoff.ts';
import { addressesMax } from './candidate.ts';
import { seedKey } from './overlay.ts';

/** Knobs of a seed book. */
export interface SeedBookConfig {
  readonly seedsMax: number;
  readonly dialMsMax: Millis;
  readonly backoff: Backoff;
}

/** One bare seed. */
export interface Seed {
  readonly key: string;
  readonly addresses: readonly Address[];
}

/** The seeds of a node. */
export interface SeedBook {
  add(now: Millis, addresses: readonly Address[]): void;
  /** Seeds to dial. While this node has links only those that nobody has answered yet. */
  due(now: Millis, hasLinks: boolean): readonly Seed[];
  /** @returns the number of the attempt, from 1. */
  dialled(now: Millis, seed: Seed): number;
  answered(now: Millis, key: string): void;
  failed(now: Millis, key: string): void;
  forget(key: string): void;
  /** Forgets the failures: every seed may be dialled at once. */
  retryAll(now: Millis): void;
  timeOut(now: Millis): void;
  dialCount(): number;
  deadline(hasSlot: boolean, hasLinks: boolean): Millis;
  view(): { readonly seed: string; readonly isAnswered: boolean }[];
}

interface Entry extends Seed {
  isAnswered: boolean;
  dialledAt: Millis | undefined;
  dialAt: Millis;
  failures: number;
}

/** Builds an empty seed book. */
export function createSeedBook(config: SeedBookConfig, random: Random): SeedBook {
  const entries = new Map<string, Entry>();

  const isWanted = (entry: Entry, hasLinks: boolean): boolean =>
    entry.dialledAt === undefined && !(hasLinks && entry.isAnswered);

  function failed(now: Millis, entry: Entry): void {
    if (entry.dialledAt === undefined) return;
    entry.dialledAt = undefined;
    entry.dialAt = now + backoffMs(config.backoff, entry.failures, random);
    entry.failures += 1;
  }

  return {
    add(now, addresses) {
      const kept = addresses.slice(0, addressesMax);
      const key = seedKey(kept);
      if (kept.length === 0 || entries.has(key) || entries.size >= config.seedsMax) return;
      const entry = { key, addresses: kept, isAnswered: false, dialAt: now, failures: 0 };
      entries.set(key, { ...entry, dialledAt: undefined });
    },
    due(now, hasLinks) {
      return [...entries.values()].filter(
        (entry) => isWanted(entry, hasLinks) && entry.dialAt <= now,
      );
    },
    dialled(now, seed) {
      const entry = entries.get(seed.key);
      if (entry === undefined) return 0;
      entry.dialledAt = now;
      return entry.failures + 1;
    },
    answered(now, key) {
      const entry = entries.get(key);
      if (entry === undefined) return;
      entry.isAnswered = true;
      // The delay of the first failure also keeps a lonely node from dialling a flapping seed in a loop.
      entry.dialledAt = undefined;
      entry.failures = 0;
      entry.dialAt = now + config.backoff.msMin;
    },
    failed(now, key) {
      const entry = entries.get(key);
      if (entry !== undefined) failed(now, entry);
    },
    forget: (key) => void entries.delete(key),
    retryAll(now) {
      for (const entry of entries.values()) {
        entry.failures = 0;
        entry.dialAt = Math.min(entry.dialAt, now);
      }
    },
    timeOut(now) {
      for (const entry of entries.values()) {
        if (entry.dialledAt !== undefined && now - entry.dialledAt >= config.dialMsMax) {
          failed(now, entry);
        }
      }
    },
    dialCount() {
      let count = 0;
      for (const entry of entries.values()) if (entry.dialledAt !== undefined) count += 1;
      return count;
    },
    deadline(hasSlot, hasLinks) {
      let soonest = Infinity;
      for (const entry of entries.values()) {
        if (entry.dialledAt !== undefined) {
          soonest = Math.min(soonest, entry.dialledAt + config.dialMsMax);
        } else if (hasSlot && isWanted(entry, hasLinks)) soonest = Math.min(soonest, entry.dialAt);
      }
      return soonest;
    },
    view: () => [...entries.values()].map(({ key, isAnswered }) => ({ seed: key, isAnswered })),
  };
}
