/** A small even hash of text: orders ties, ranks nodes for a key. Not for secrets: anybody can find collisions. */

/** 32 bits, unsigned: FNV-1a over the UTF-16 units, then the finaliser of MurmurHash3 so that every bit depends on every unit. */
export function hashText(text: string): number {
  let mixed = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x01000193);
  }
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/**
 * Ranks candidates for a key, best first (highest random weight: Thaler, Ravishankar 1998).
 * Every node that knows the same candidates finds the same order; one that goes moves only the keys it held.
 * A weight of 2 is chosen twice as often as a weight of 1.
 */
export function rendezvousOrder<Id extends string>(
  key: string,
  candidates: readonly Id[],
  weightOf: (candidate: Id) => number = () => 1,
): Id[] {
  const scored = candidates.map((id) => {
    const unit = (hashText(`${key}\u0000${id}`) + 0.5) / 4_294_967_296;
    return { id, score: -Math.max(0, weightOf(id)) / Math.log(unit) };
  });
  scored.sort((left, right) => right.score - left.score || (left.id < right.id ? -1 : 1));
  return scored.map(({ id }) => id);
}
