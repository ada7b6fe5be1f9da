/**
 * The epoch keys of a node: install, use, remove (after memberlist's keyring), led by the epochs that the authority log
 * announces. A new key first opens only, so that nobody is spoken to in a key it does not hold yet.
 */

import type { Core, Millis } from '../../kernel/core.ts';

/** A key and the hash by which the log knows it. */
export interface RingKey {
  readonly epoch: number;
  readonly key: Uint8Array;
  readonly commitment: string;
}

/** An epoch that the log announced; the current one comes first. */
export interface AnnouncedEpoch {
  readonly number: number;
  readonly commitment: string;
}

/** Facts for the keyring. */
export type KeyringInput =
  /** The log announces these epochs, the one to use first. */
  | { readonly type: 'announced'; readonly epochs: readonly AnnouncedEpoch[] }
  /** A key came from a peer or from the disk; its commitment was computed from it. */
  | { readonly type: 'installed'; readonly key: RingKey }
  | { readonly type: 'tick' };

/** Orders of the keyring. */
export type KeyringEffect =
  /** A barrier: the keys to keep on disk, the one in use first. */
  | { readonly type: 'persist'; readonly keys: readonly RingKey[] }
  /** Seal with the first from now on, open with all. */
  | { readonly type: 'use'; readonly current: RingKey; readonly others: readonly RingKey[] }
  /** Ask peers for the key of this epoch over a link. Repeated until it comes. */
  | { readonly type: 'want'; readonly epoch: number; readonly commitment: string };

/** Knobs of a keyring. */
export interface KeyringConfig {
  /** How long a new key opens before it seals, in ms. @default 1000 */
  readonly useAfterMs?: Millis;
  /** How long the key before it still opens, in ms. A revoked device can speak that long. @default 4000 */
  readonly keepMs?: Millis;
  /** How often a missing key is asked for, in ms. @default 2000 */
  readonly wantEveryMs?: Millis;
}

/** Keys held at once; beyond it those of the oldest epochs go. */
export const ringKeysMax = 4;

/** A picture of the keyring. */
export interface KeyringView {
  readonly current: RingKey | undefined;
  readonly others: readonly RingKey[];
}

interface Slot {
  readonly key: RingKey;
  readonly usableAt: Millis;
  removeAt: Millis;
}

/** Builds an empty keyring. */
export function createKeyring(
  config: KeyringConfig = {},
): Core<KeyringInput, KeyringEffect, KeyringView> {
  const { useAfterMs = 1000, keepMs = 4000, wantEveryMs = 2000 } = config;
  let slots: Slot[] = [];
  let current: Slot | undefined;
  let announced: readonly AnnouncedEpoch[] = [];
  let wantAt: Millis = Infinity;

  const target = (): AnnouncedEpoch | undefined => announced[0];
  const slotOf = (commitment: string | undefined): Slot | undefined =>
    slots.find(({ key }) => key.commitment === commitment);
  const others = (): RingKey[] => slots.filter((slot) => slot !== current).map(({ key }) => key);

  function install(now: Millis, key: RingKey): boolean {
    if (slotOf(key.commitment) !== undefined) return false;
    // A key that no admin announced is nobody's key.
    if (!announced.some((epoch) => isOf(key, epoch))) return false;
    const isTarget = target()?.commitment === key.commitment;
    const usableAt = current === undefined ? now : now + useAfterMs;
    slots.push({ key, usableAt, removeAt: isTarget ? Infinity : now + keepMs });
    if (slots.length > ringKeysMax) {
      const spare = slots.filter(
        (slot) => slot !== current && slot.key.commitment !== target()?.commitment,
      );
      const oldest = spare.toSorted((left, right) => left.key.epoch - right.key.epoch)[0];
      slots = slots.filter((slot) => slot !== oldest);
    }
    return true;
  }

  /** Moves on to the announced key when it is held and ripe; drops what has had its time. */
  function settle(now: Millis): boolean {
    const next = slotOf(target()?.commitment);
    let isChanged = false;
    if (next !== undefined && next !== current && next.usableAt <= now) {
      if (current !== undefined) current.removeAt = now + keepMs;
      current = next;
      current.removeAt = Infinity;
      isChanged = true;
    }
    const kept = slots.filter((slot) => slot === current || slot.removeAt > now);
    if (kept.length < slots.length) isChanged = true;
    slots = kept;
    return isChanged;
  }

  /** Asks for the announced key while it is missing. */
  function want(now: Millis): KeyringEffect[] {
    const epoch = target();
    if (epoch === undefined || slotOf(epoch.commitment) !== undefined) {
      wantAt = Infinity;
      return [];
    }
    if (wantAt !== Infinity && wantAt > now) return [];
    wantAt = now + wantEveryMs;
    return [{ type: 'want', epoch: epoch.number, commitment: epoch.commitment }];
  }

  return {
    step(now, input) {
      let isChanged = false;
      if (input.type === 'announced') {
        announced = input.epochs;
        wantAt = Infinity;
        const held = slotOf(target()?.commitment);
        for (const slot of slots) {
          if (slot === held || slot === current) slot.removeAt = Infinity;
          else slot.removeAt = Math.min(slot.removeAt, now + keepMs);
        }
      } else if (input.type === 'installed') isChanged = install(now, input.key);
      isChanged = settle(now) || isChanged;
      const effects: KeyringEffect[] = [];
      if (isChanged && current !== undefined) {
        const rest = others();
        effects.push({ type: 'persist', keys: [current.key, ...rest] });
        effects.push({ type: 'use', current: current.key, others: rest });
      }
      return [...effects, ...want(now)];
    },
    deadline() {
      const next = slotOf(target()?.commitment);
      const usableAt = next === undefined || next === current ? Infinity : next.usableAt;
      const removals = slots.filter((slot) => slot !== current).map(({ removeAt }) => removeAt);
      return Math.min(usableAt, wantAt, ...removals);
    },
    view: () => ({ current: current?.key, others: others() }),
  };
}

function isOf(key: RingKey, epoch: AnnouncedEpoch): boolean {
  return key.commitment === epoch.commitment && key.epoch === epoch.number;
}
