/** Shuffled round robin: every member is probed once per pass, so detection time is bounded (SWIM, 4.3). */

import type { NodeId } from '../../kernel/ids.ts';
import { shuffle } from '../../kernel/random.ts';
import type { Random } from '../../kernel/random.ts';

/** The order in which members are probed. Two probes of one member are at most 2n - 1 periods apart. */
export class ProbeList {
  readonly #random: Random;
  #order: NodeId[] = [];
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Adds a member at a random position, so that newcomers do not all wait for the end of the pass. */
  add(node: NodeId): void {
    const position = this.#random.below(this.#order.length + 1);
    this.#order.splice(position, 0, node);
    if (position < this.#at) this.#at += 1;
  }

  remove(node: NodeId): void {
    const position = this.#order.indexOf(node);
    if (position < 0) return;
    this.#order.splice(position, 1);
    if (position < this.#at) this.#at -= 1;
  }

  /** The next member that may be probed, or undefined when there is none. */
  next(mayProbe: (node: NodeId) => boolean): NodeId | undefined {
    for (let tries = this.#order.length * 2; tries > 0; tries -= 1) {
      if (this.#at >= this.#order.length) {
        shuffle(this.#random, this.#order);
        this.#at = 0;
      }
      const node = this.#order[this.#at];
      this.#at += 1;
      if (node !== undefined && mayProbe(node)) return node;
    }
    return undefined;
  }
}
