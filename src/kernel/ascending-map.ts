/**
 * A map by numbers that are given out in ascending order and mostly come back soon: calls, requests, runs. A `Map` of
 * such entries rebuilds its table every few dozen of them, and each table that has grown old keeps the next one and all
 * that is in it from the collector of young objects (docs/decisions/0068).
 */

/** Places at first, and at most: entries that are in the way of newer ones then move to an ordinary map. */
const placesAtFirst = 16;
const placesMax = 1_024;

function emptyPlaces<Value>(places: number): (Value | undefined)[] {
  return Array.from({ length: places }, () => undefined);
}

/** The map. Its order is no promise. */
export class AscendingMap<Value extends object> {
  size = 0;
  private mask = placesAtFirst - 1;
  private numbers = new Float64Array(placesAtFirst);
  private held = emptyPlaces<Value>(placesAtFirst);
  private readonly late = new Map<number, Value>();

  get(number: number): Value | undefined {
    const place = number & this.mask;
    const value = this.held[place];
    if (value !== undefined && this.numbers[place] === number) return value;
    return this.late.size === 0 ? undefined : this.late.get(number);
  }

  has(number: number): boolean {
    return this.get(number) !== undefined;
  }

  /** `number`: a whole one; one that is there already is given the new value. */
  set(number: number, value: Value): void {
    const place = number & this.mask;
    const there = this.held[place];
    if (there === undefined) {
      if (this.late.size > 0 && this.late.has(number)) {
        this.late.set(number, value);
        return;
      }
      this.size += 1;
    } else if (this.numbers[place] !== number) {
      if (this.late.has(number)) {
        this.late.set(number, value);
        return;
      }
      if (this.mask + 1 < placesMax && this.size > this.mask >> 2) {
        this.grow();
        return this.set(number, value);
      }
      this.late.set(this.numbers[place] as number, there);
      this.size += 1;
    }
    this.numbers[place] = number;
    this.held[place] = value;
  }

  delete(number: number): boolean {
    const place = number & this.mask;
    if (this.held[place] !== undefined && this.numbers[place] === number) {
      this.held[place] = undefined;
      this.size -= 1;
      return true;
    }
    if (this.late.size === 0 || !this.late.delete(number)) return false;
    this.size -= 1;
    return true;
  }

  clear(): void {
    this.held.fill(undefined);
    this.late.clear();
    this.size = 0;
  }

  /** All that is there. Entries may be removed meanwhile; whether one that is added is seen is not promised. */
  *values(): IterableIterator<Value> {
    for (let place = 0; place < this.held.length; place += 1) {
      const value = this.held[place];
      if (value !== undefined) yield value;
    }
    yield* this.late.values();
  }

  private grow(): void {
    const { numbers, held } = this;
    const places = held.length * 2;
    this.mask = places - 1;
    this.numbers = new Float64Array(places);
    this.held = emptyPlaces(places);
    held.forEach((value, at) => {
      if (value === undefined) return;
      const number = numbers[at] as number;
      this.numbers[number & this.mask] = number;
      this.held[number & this.mask] = value;
    });
  }
}
