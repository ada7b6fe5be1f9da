/**
 * Who owns a key: the same order for everybody who knows the same places, and few keys that move when one comes or
 * goes (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998). A place with more than its
 * share of the load is passed over (Mirrokni et al., "Consistent hashing with bounded loads", 2018).
 */

/** A place and how much it has to do. */
export interface Place {
  readonly id: string;
  readonly load: number;
}

/** Load above the mean that a place may have and still be the owner, as a factor. */
const loadFactor = 1.25;

/** Load that is never too much: with little to do, everybody is near the mean. */
const loadFree = 8;

/** The places in the order in which the key is offered to them; those with too much to do come last. */
export function rendezvous(key: string, places: readonly Place[]): readonly string[] {
  const mean = places.reduce((sum, { load }) => sum + load, 0) / Math.max(1, places.length);
  const bound = Math.max(loadFree, Math.ceil(mean * loadFactor));
  return places
    .map(({ id, load }) => ({ id, isFull: load > bound, weight: weightOf(key, id) }))
    .toSorted(
      (left, right) =>
        Number(left.isFull) - Number(right.isFull) ||
        right.weight - left.weight ||
        (left.id < right.id ? -1 : 1),
    )
    .map(({ id }) => id);
}

/** A 32-bit hash of a text: FNV-1a with the final mix of MurmurHash3. */
export function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function weightOf(key: string, id: string): number {
  return textHash(`${id}\n${key}`);
}
