/**
 * Auctions of bundles: which offers to take so that no item is sold twice and the total is largest.
 * Exact for few items (dynamic programming over sets of items); beyond, greedy by amount / sqrt(size), which is never
 * below 1/sqrt(m) of the optimum (Lehmann, O'Callaghan, Shoham 2002), improved by exchanging one offer at a time.
 */

/** Items up to which the winners are found exactly. */
export const exactItemsMax = 12;

/** Offers up to which the winners are found exactly. */
export const exactOffersMax = 200;

/** Offers that are looked at; the rest is ignored. */
export const offersMax = 2048;

/** Rounds of exchanges that improve a greedy choice. */
export const exchangeRoundsMax = 32;

/** All these items or none of them, for this much. */
export interface BundleOffer {
  readonly bidder: string;
  readonly items: readonly string[];
  readonly amount: number;
}

/** Which offers won. */
export interface BundleAllotment {
  /** Indexes into the offers, ascending. */
  readonly taken: readonly number[];
  readonly total: number;
  readonly isExact: boolean;
}

interface Candidate {
  readonly index: number;
  readonly amount: number;
  readonly items: readonly number[];
}

/** Finds the winners: exactly when the auction is small, else well. */
export function allotBundles(offers: readonly BundleOffer[]): BundleAllotment {
  const { candidates, itemCount } = readOffers(offers);
  return itemCount <= exactItemsMax && candidates.length <= exactOffersMax
    ? exact(candidates, itemCount)
    : exchanged(candidates, greedy(candidates));
}

/** The greedy choice alone, for comparison. */
export function allotBundlesGreedily(offers: readonly BundleOffer[]): BundleAllotment {
  const { candidates } = readOffers(offers);
  return asAllotment(greedy(candidates), false);
}

/** The greedy choice improved by exchanges, whatever the size. */
export function allotBundlesBySearch(offers: readonly BundleOffer[]): BundleAllotment {
  const { candidates } = readOffers(offers);
  return exchanged(candidates, greedy(candidates));
}

/** Leaves out what cannot be a winner: no items, an amount that is not above 0. */
function readOffers(offers: readonly BundleOffer[]): {
  candidates: Candidate[];
  itemCount: number;
} {
  const numbers = new Map<string, number>();
  const candidates: Candidate[] = [];
  for (const [index, offer] of offers.slice(0, offersMax).entries()) {
    if (!(offer.amount > 0 && offer.amount < Infinity) || offer.items.length === 0) continue;
    const items = [...new Set(offer.items)].map((item) => {
      const known = numbers.get(item) ?? numbers.size;
      numbers.set(item, known);
      return known;
    });
    candidates.push({ index, amount: offer.amount, items });
  }
  return { candidates, itemCount: numbers.size };
}

function exact(candidates: readonly Candidate[], itemCount: number): BundleAllotment {
  const size = 1 << itemCount;
  // An offer is considered when its lowest item is the lowest one not yet decided: each set is reached once.
  const byLowest: { mask: number; candidate: Candidate }[][] = Array.from(
    { length: itemCount },
    () => [],
  );
  for (const candidate of candidates) {
    const mask = candidate.items.reduce((sum, item) => sum | (1 << item), 0);
    byLowest[Math.min(...candidate.items)]?.push({ mask, candidate });
  }
  const best = new Float64Array(size);
  const choice: (Candidate | undefined)[] = [];
  const decided = new Int32Array(size);
  for (let free = 1; free < size; free += 1) {
    const lowest = 31 - Math.clz32(free & -free);
    const without = free & (free - 1);
    best[free] = best[without] as number;
    decided[free] = without;
    for (const { mask, candidate } of byLowest[lowest] ?? []) {
      if ((mask & free) !== mask) continue;
      const total = candidate.amount + (best[free & ~mask] as number);
      if (total <= (best[free] as number)) continue;
      best[free] = total;
      choice[free] = candidate;
      decided[free] = free & ~mask;
    }
  }
  const taken: Candidate[] = [];
  for (let free = size - 1; free > 0; free = decided[free] as number) {
    const candidate = choice[free];
    if (candidate !== undefined) taken.push(candidate);
  }
  return asAllotment(taken, true);
}

function greedy(candidates: readonly Candidate[]): Candidate[] {
  const density = (one: Candidate): number => one.amount / Math.sqrt(one.items.length);
  const order = [...candidates].sort((a, b) => density(b) - density(a) || a.index - b.index);
  const sold = new Set<number>();
  const taken: Candidate[] = [];
  for (const candidate of order) {
    if (candidate.items.some((item) => sold.has(item))) continue;
    for (const item of candidate.items) sold.add(item);
    taken.push(candidate);
  }
  return taken;
}

/** Takes an offer in exchange for all that stand in its way, while that pays, and fills what falls free. */
function exchanged(candidates: readonly Candidate[], start: readonly Candidate[]): BundleAllotment {
  let taken = [...start];
  for (let round = 0; round < exchangeRoundsMax; round += 1) {
    let bestGain = 1e-9;
    let better: Candidate[] | undefined;
    for (const candidate of candidates) {
      if (taken.includes(candidate)) continue;
      const wanted = new Set(candidate.items);
      const kept = taken.filter((one) => !one.items.some((item) => wanted.has(item)));
      const next = filled([...kept, candidate], candidates);
      const gain = totalOf(next) - totalOf(taken);
      if (gain <= bestGain) continue;
      bestGain = gain;
      better = next;
    }
    if (better === undefined) break;
    taken = better;
  }
  return asAllotment(taken, false);
}

function filled(taken: Candidate[], candidates: readonly Candidate[]): Candidate[] {
  const sold = new Set(taken.flatMap(({ items }) => items));
  const free = candidates.filter((one) => !one.items.some((item) => sold.has(item)));
  return [...taken, ...greedy(free)];
}

function totalOf(taken: readonly Candidate[]): number {
  return taken.reduce((sum, { amount }) => sum + amount, 0);
}

function asAllotment(taken: readonly Candidate[], isExact: boolean): BundleAllotment {
  const indexes = taken.map(({ index }) => index).sort((left, right) => left - right);
  return { taken: indexes, total: totalOf(taken), isExact };
}
