/** What one peer has not yet been told: dots by address, sent a message at a time, kept until acknowledged. */

import type { Millis } from '../../kernel/core.ts';
import type { Dot } from './causal-context.ts';
import { byRecency } from './cell.ts';
import type { CellAddress } from './cell.ts';
import { isSame } from './replica-state.ts';
import type { CellFact, ReplicaState } from './replica-state.ts';
import { FactBasket } from './weight.ts';

/** Writes that may wait for one peer; beyond it they are forgotten here and found by comparing. */
export const outboxDotsMax = 4096;

/** Times a message is sent before the peer is left to the next comparison. */
const triesMax = 5;

/** The buffer. */
export class PeerOutbox {
  #waiting = new Map<CellAddress, readonly Dot[]>();
  #waitingCount = 0;
  #flight:
    | { readonly seq: number; readonly facts: readonly CellFact[]; readonly until: Millis }
    | undefined;
  #seq = 0;
  #tries = 0;
  /** Something was forgotten: only a comparison brings the peer up to date. */
  hasGap = false;

  /** When the message on its way counts as lost. */
  get until(): Millis {
    return this.#flight?.until ?? Infinity;
  }

  get isIdle(): boolean {
    return this.#flight === undefined;
  }

  get waitingCount(): number {
    return this.#waitingCount;
  }

  add({ address, live, dead }: CellFact): void {
    const fresh = live.length + dead.length;
    if (this.#waitingCount + fresh > outboxDotsMax) return this.forget();
    const dots = [...(this.#waiting.get(address) ?? [])];
    for (const { replica, count } of live) dots.push({ replica, count });
    for (const { replica, count } of dead) {
      if (!dots.some((dot) => isSame(dot, { replica, count }))) dots.push({ replica, count });
    }
    this.#waitingCount += fresh;
    this.#waiting.set(address, dots);
  }

  /** The next message, resolved to what is true now; undefined when there is nothing or one is on its way. */
  next(
    state: ReplicaState,
    now: Millis,
    timeoutMs: number,
    bytesMax: number,
  ): { readonly seq: number; readonly facts: readonly CellFact[] } | undefined {
    if (this.#flight !== undefined || this.#waiting.size === 0) return undefined;
    let basket = new FactBasket(bytesMax);
    for (const [address, dots] of this.#waiting) {
      if (!basket.put(resolve(state, address, dots))) {
        const part = basket.facts.at(-1);
        // Larger than any message, by a version to come: nothing may wait behind it for ever.
        if (part === undefined) {
          this.#waiting.delete(address);
          basket = new FactBasket(bytesMax);
          continue;
        }
        if (part.address === address) this.#waiting.set(address, rest(state, dots, part));
        break;
      }
      this.#waiting.delete(address);
    }
    this.#waitingCount = 0;
    for (const dots of this.#waiting.values()) this.#waitingCount += dots.length;
    if (basket.isEmpty) return undefined;
    this.#seq += 1;
    this.#flight = {
      seq: this.#seq,
      facts: basket.facts,
      until: now + timeoutMs * 2 ** this.#tries,
    };
    return { seq: this.#seq, facts: basket.facts };
  }

  acknowledged(seq: number): void {
    if (this.#flight?.seq !== seq) return;
    this.#flight = undefined;
    this.#tries = 0;
  }

  /** The message on its way is lost: its facts wait again, or are left to a comparison. */
  lost(): void {
    const facts = this.#flight?.facts ?? [];
    this.#flight = undefined;
    this.#tries += 1;
    if (this.#tries >= triesMax) return this.forget();
    for (const fact of facts) this.add(fact);
  }

  forget(): void {
    this.#waiting.clear();
    this.#waitingCount = 0;
    this.#flight = undefined;
    this.#tries = 0;
    this.hasGap = true;
  }
}

/**
 * What waits on when a part of it is on its way. Deaths do not wait alone, the latest write of that part stays beside
 * them: whoever refuses it must not take them.
 */
function rest(state: ReplicaState, dots: readonly Dot[], part: CellFact): readonly Dot[] {
  const told: readonly Dot[] = [...part.live, ...part.dead];
  const left = dots.filter((dot) => !told.some((one) => isSame(one, dot)));
  const entries = state.entries(part.address);
  const [latest] = part.live.toSorted(byRecency);
  const areDeaths = !left.some((dot) => entries.some((entry) => isSame(entry, dot)));
  if (left.length === 0 || latest === undefined || !areDeaths) return left;
  return [...left, { replica: latest.replica, count: latest.count }];
}

function resolve(state: ReplicaState, address: CellAddress, dots: readonly Dot[]): CellFact {
  const entries = state.entries(address);
  const live = entries.filter((entry) => dots.some((dot) => isSame(dot, entry)));
  const dead = dots.filter((dot) => !live.some((entry) => isSame(dot, entry)));
  return { address, live, dead };
}
