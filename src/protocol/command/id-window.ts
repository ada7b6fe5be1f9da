/** Remembers which numbers were seen, exactly for the newest ones, so that no request is carried out twice. */

/** Numbers below the highest one that are still told apart. */
export const idWindowMax = 65_536;

const idsAtFirst = 1_024;

/** A set of numbers that forgets from below. */
export interface IdWindow {
  /** True the first time; false for a number that was seen, or is too old to tell. */
  admit(id: number): boolean;
}

/** Builds a window. It takes 128 bytes, and up to 8 KiB when numbers come far out of order. */
export function createIdWindow(): IdWindow {
  let bits = new Uint32Array(idsAtFirst / 32);
  let high = -1;
  /** Every number below is too old to tell. */
  let floor = 0;

  const size = (): number => bits.length * 32;
  const has = (id: number): boolean =>
    ((bits[Math.floor(id / 32) % bits.length] ?? 0) & (1 << (id % 32))) !== 0;
  function put(id: number, isIn: boolean): void {
    const at = Math.floor(id / 32) % bits.length;
    const bit = 1 << (id % 32);
    bits[at] = isIn ? (bits[at] ?? 0) | bit : (bits[at] ?? 0) & ~bit;
  }

  /** True when numbers below `until` are missing that would fall out of a window of this size. */
  function isGappy(until: number): boolean {
    for (let id = Math.max(floor, high - size() + 1); id < until; id += 1) {
      if (!has(id)) return true;
    }
    return false;
  }

  function grow(): void {
    const old = bits;
    const oldSize = size();
    bits = new Uint32Array(old.length * 2);
    for (let id = Math.max(floor, high - oldSize + 1); id <= high; id += 1) {
      const at = Math.floor(id / 32) % old.length;
      if (((old[at] ?? 0) & (1 << (id % 32))) !== 0) put(id, true);
    }
  }

  function raise(id: number): void {
    const isFirst = high < 0;
    while (!isFirst && size() < idWindowMax && (id - high >= size() || isGappy(id - size() + 1))) {
      grow();
    }
    if (isFirst || id - high >= size()) bits.fill(0);
    else for (let gap = high + 1; gap < id; gap += 1) put(gap, false);
    high = id;
    floor = Math.max(floor, high - size() + 1);
  }

  return {
    admit(id) {
      if (!Number.isSafeInteger(id) || id < floor) return false;
      if (id > high) {
        raise(id);
        put(id, true);
        return true;
      }
      if (has(id)) return false;
      put(id, true);
      return true;
    },
  };
}
