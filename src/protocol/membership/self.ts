/** What this node says about itself: its own word, its refutations, and the signs that another device has its key. */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import { compareIncarnation } from './incarnation.ts';
import type { Incarnation } from './incarnation.ts';
import type { OwnWord } from './member-table.ts';
import { memberAddressesMax } from './messages.ts';
import type { Life, MemberMeta, Update } from './messages.ts';
import type { SwimState } from './swim-state.ts';
import type { SwimMember } from './swim-types.ts';

/** A boot counter above this comes from no counter: it would lock the node out if it were believed. */
const bootMax = 2 ** 40;

/** A clone and this node outbid each other at most this often, in ms. */
const cloneRaiseMs = 10_000;

/** Our own word may take this much of a packet, so that it fits beside an accusation. */
const ownWordBytesMax = 1_000;

/** Empty: the codec signs it. */
const unsigned = new Uint8Array(0);

/** This node as a member. */
export class SelfMember {
  readonly #state: SwimState;
  #incarnation: Incarnation;
  #meta: MemberMeta;
  #addresses: readonly Address[];
  #phase: 'alive' | 'left' | 'dormant' = 'alive';
  #sleepMs: Millis = 0;
  #word: OwnWord;
  #hasOutrankedImage = false;
  #clonedAt: Millis = -Infinity;

  constructor(state: SwimState) {
    const { config } = state;
    this.#state = state;
    this.#incarnation = { boot: config.boot, n: 0 };
    this.#meta = config.meta;
    this.#addresses = config.addresses.slice(0, memberAddressesMax);
    this.#word = this.#speak();
  }

  /** The word that others should hold about this node. */
  get word(): OwnWord {
    return this.#word;
  }

  get phase(): 'alive' | 'left' | 'dormant' {
    return this.#phase;
  }

  get life(): Life {
    return { boot: this.#incarnation.boot, instance: this.#state.config.instance };
  }

  get incarnation(): Incarnation {
    return this.#incarnation;
  }

  changeMeta(meta: MemberMeta): void {
    const before = this.#meta;
    this.#meta = meta;
    if (!this.#fits()) this.#meta = before;
    else this.raise();
  }

  changeAddresses(addresses: readonly Address[]): void {
    const before = this.#addresses;
    this.#addresses = addresses.slice(0, memberAddressesMax);
    if (!this.#fits()) this.#addresses = before;
    else this.raise();
  }

  /** Speaks anew under the next incarnation: only the member itself may do that. */
  raise(atLeast: Incarnation = this.#incarnation): void {
    const newest = compareIncarnation(atLeast, this.#incarnation) > 0 ? atLeast : this.#incarnation;
    this.#incarnation = { boot: newest.boot, n: newest.n + 1 };
    this.#word = this.#speak();
    this.#state.broadcast(this.#word);
  }

  leave(): void {
    this.#phase = 'left';
    this.#incarnation = { ...this.#incarnation, n: this.#incarnation.n + 1 };
    const { self } = this.#state.config;
    const incarnation = this.#incarnation;
    this.#state.broadcast({ kind: 'left', node: self, incarnation, from: self, proof: unsigned });
  }

  sleep(ms: Millis): void {
    this.#phase = 'dormant';
    this.#incarnation = { ...this.#incarnation, n: this.#incarnation.n + 1 };
    this.#sleepMs = Math.max(0, Math.round(ms));
    this.#word = this.#speak();
    this.#state.broadcast(this.#word);
  }

  wake(): void {
    this.#phase = 'alive';
    this.raise();
  }

  /** Somebody speaks about us. Answers what is false, ignores what is old. */
  hear(update: Update): void {
    const order = compareIncarnation(update.incarnation, this.#incarnation);
    if (update.kind === 'suspect' || update.kind === 'dead') {
      if (order < 0) return;
      // Others learn incarnations only from our signed words, so nobody can honestly accuse a later one.
      if (order > 0) this.#state.note('impossible-accusation', update.from);
      else this.#refute();
      return;
    }
    if (update.incarnation.boot > this.#incarnation.boot) this.#hearLaterBoot(update);
    else if (update.incarnation.boot === this.#incarnation.boot) this.#hearSameBoot(update, order);
  }

  /** Whether these updates accuse this node: their sender has not heard its latest word. */
  isMisjudgedIn(updates: readonly Update[]): boolean {
    if (this.#phase !== 'alive') return false;
    const { self } = this.#state.config;
    return updates.some(
      ({ kind, node }) => node === self && (kind === 'suspect' || kind === 'dead'),
    );
  }

  member(): SwimMember {
    const { node, edPublic, instance } = this.#word;
    return {
      node,
      state: this.#phase,
      incarnation: this.#incarnation,
      instance,
      address: this.#addresses[0],
      addresses: this.#addresses,
      meta: this.#meta,
      edPublic,
      rttMs: 0,
      isStalled: false,
    };
  }

  #refute(): void {
    this.#state.awareness.apply(1);
    this.#state.note('refuted', this.#state.config.self);
    this.raise();
  }

  /** Our key has signed a later boot: this data directory was restored from an old image, or there are two of us. */
  #hearLaterBoot(update: Update): void {
    const other = lifeOf(update, this.life.instance);
    if (this.#hasOutrankedImage || update.incarnation.boot > bootMax) {
      this.#alertClone(other);
      return;
    }
    this.#hasOutrankedImage = true;
    this.#incarnation = { boot: update.incarnation.boot + 1, n: 0 };
    this.#state.note('boot-outranked', this.#state.config.self);
    this.#state.emit({ type: 'persistBoot', boot: this.#incarnation.boot });
    this.#word = this.#speak();
    this.#state.broadcast(this.#word);
  }

  #hearSameBoot(update: Update, order: number): void {
    const isOurs = lifeOf(update, this.life.instance).instance === this.life.instance;
    if (isOurs) {
      // Signed by us in this boot, yet newer than we remember: a start that could not persist its counter.
      if (order > 0) this.raise(update.incarnation);
      return;
    }
    if (this.#state.now - this.#clonedAt < cloneRaiseMs) return;
    this.#alertClone(lifeOf(update, this.life.instance));
    if (order >= 0) this.raise(update.incarnation);
  }

  #alertClone(other: Life): void {
    if (this.#state.now - this.#clonedAt < cloneRaiseMs) return;
    this.#clonedAt = this.#state.now;
    const node = this.#state.config.self;
    this.#state.emit({ type: 'alert', code: 'clone-self', node, known: this.life, other });
  }

  #fits(): boolean {
    const isFitting = this.#state.config.sizeOf(this.#speak()) <= ownWordBytesMax;
    if (!isFitting) this.#state.note('record-too-large', this.#state.config.self);
    return isFitting;
  }

  #speak(): OwnWord {
    const { self, instance, edPublic } = this.#state.config;
    const common = {
      node: self,
      incarnation: this.#incarnation,
      from: self,
      proof: unsigned,
      instance,
      addresses: this.#addresses,
      meta: this.#meta,
      edPublic,
    };
    return this.#phase === 'dormant'
      ? { kind: 'dormant', ...common, sleepMs: this.#sleepMs, elapsedMs: 0 }
      : { kind: 'alive', ...common };
  }
}

function lifeOf(update: Update, fallback: number): Life {
  const instance = 'instance' in update ? update.instance : fallback;
  return { boot: update.incarnation.boot, instance };
}
