/** Seeded chance: the only source of randomness a core may use, so that a run can be replayed. */

/** A stream of pseudo-random numbers. Not for keys: those come from the operating system. */
export interface Random {
  /** A uniform integer in [0, bound). Bounds below 1 give 0. */
  below(bound: number): number;
  /** A uniform number in [0, 1). */
  unit(): number;
  /** An independent stream, so that one subsystem's draws never shift another's. */
  split(): Random;
}

/**
 * Builds a stream from a 32-bit seed.
 * The generator is sfc32 (Chris Doty-Humphrey, PractRand), seeded through splitmix32 and warmed up 12 rounds.
 */
export function createRandom(seed: number): Random {
  const mix = splitmix32(seed);
  let a = mix();
  let b = mix();
  let c = mix();
  let counter = 1;

  function next(): number {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  }
  for (let round = 0; round < 12; round += 1) next();

  const unit = (): number => next() / 4_294_967_296;
  return {
    unit,
    below: (bound) => (bound > 1 ? Math.floor(unit() * bound) : 0),
    split: () => createRandom(next()),
  };
}

/** Puts the items into a uniformly random order, in place (Fisher–Yates). */
export function shuffle<Item>(random: Random, items: Item[]): Item[] {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const pick = random.below(last + 1);
    const held = items[last] as Item;
    items[last] = items[pick] as Item;
    items[pick] = held;
  }
  return items;
}

/** Picks up to `count` distinct items, uniformly, leaving the source as it was. */
export function sample<Item>(random: Random, items: readonly Item[], count: number): Item[] {
  const pool = [...items];
  const wanted = Math.min(count, pool.length);
  for (let slot = 0; slot < wanted; slot += 1) {
    const pick = slot + random.below(pool.length - slot);
    const held = pool[slot] as Item;
    pool[slot] = pool[pick] as Item;
    pool[pick] = held;
  }
  pool.length = wanted;
  return pool;
}

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return mixed;
  };
}
