/** Epoch keys at work: the keyring, what it keeps on disk, and what it asks of peers. */

import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import { createKeyring } from '../protocol/trust/keyring.ts';
import type { KeyringEffect } from '../protocol/trust/keyring.ts';
import type { EpochNotice } from '../protocol/trust/authority-fold.ts';
import { epochCommitment } from '../wire/authority-entry.ts';
import type { EpochKey, EpochKeys } from '../wire/datagram-seal.ts';
import { openBox, sealBox } from '../wire/keys.ts';
import type { NodeKeys } from '../wire/keys.ts';
import type { SealedEpochKey } from '../wire/trust-message.ts';
import { drive } from './drive.ts';

/** What the trust around it provides. */
export interface EpochKeysWorld {
  readonly ownKeys: NodeKeys;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The keys to keep changed: write them. */
  save(): Promise<void>;
  rekeyed(): void;
  /** Ask every linked member for the key of this epoch. */
  want(epoch: number): void;
}

/** The epoch keys of a node. */
export interface EpochKeyBook {
  inUse(): EpochKeys;
  /** The keys for the disk, the one in use first. */
  kept(): readonly EpochKey[];
  /** The keys of these epochs, each sealed to the member that asks. */
  sealedFor(epochs: readonly number[], xPublic: Uint8Array): readonly SealedEpochKey[];
  /** Opens what a member sealed for this node; what does not open is ignored. */
  installSealed(sealed: readonly SealedEpochKey[]): void;
  /** The log announces these epochs, current first. */
  announced(epochs: readonly EpochNotice[]): void;
  /** Keys from a peer, the disk or this node itself; one that no admin announced is ignored. */
  install(keys: readonly EpochKey[]): void;
  stop(): void;
}

/** Keys in one answer. */
const keysPerAnswerMax = 4;

/** Builds the book. Until the log has spoken (and in an open mesh, whose log stays empty) the first given key is in use. */
export function startEpochKeys(world: EpochKeysWorld, given: readonly EpochKey[]): EpochKeyBook {
  let kept = given;
  let inUse: EpochKeys = { current: given[0] as EpochKey, others: given.slice(1) };

  function run(effect: KeyringEffect): void | Promise<void> {
    switch (effect.type) {
      case 'persist':
        kept = effect.keys.map(({ epoch, key }) => ({ epoch, key }));
        return world.save();
      case 'use':
        inUse = { current: effect.current, others: effect.others };
        return world.rekeyed();
      case 'want':
        return world.want(effect.epoch);
    }
  }

  const ring = drive(createKeyring(), {
    clock: world.clock,
    tick: { type: 'tick' },
    run,
    failed: (effect, error) => world.log.error({ effect: effect.type, error }, 'the keyring'),
    overflowed: () => world.metrics.drop('trust', 'keyring inbox full'),
  });

  function install(keys: readonly EpochKey[]): void {
    for (const { epoch, key } of keys) {
      const commitment = epochCommitment(key);
      ring.feed({ type: 'installed', key: { epoch, key, commitment } });
    }
  }

  return {
    inUse: () => inUse,
    kept: () => kept,
    sealedFor(epochs, xPublic) {
      const held = new Map<string, EpochKey>();
      for (const one of [inUse.current, ...inUse.others, ...kept]) {
        if (epochs.includes(one.epoch)) held.set(epochCommitment(one.key), one);
      }
      return [...held.values()]
        .slice(0, keysPerAnswerMax)
        .map(({ epoch, key }) => ({ epoch, sealed: sealBox(xPublic, key) }));
    },
    installSealed(sealed) {
      for (const one of sealed) {
        const key = openBox(world.ownKeys, one.sealed);
        if (key === undefined) world.metrics.drop('trust', 'sealed key that is not ours');
        else install([{ epoch: one.epoch, key }]);
      }
    },
    announced: (epochs) => ring.feed({ type: 'announced', epochs }),
    install,
    stop: () => ring.stop(),
  };
}
