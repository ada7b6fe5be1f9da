/** A simulated disk: named values that survive a crash, with slow writes, lost disks and old images. */

/** What a host finds on its disk when it starts again. */
export type DiskFate = 'kept' | 'lost' | 'older';

/** How many old images are kept for a restart with older storage. */
const imageLimit = 8;

/** A disk. Values are copied in and out, so a core cannot reach into it by accident. */
export class SimDisk {
  #values = new Map<string, unknown>();
  #images: Map<string, unknown>[] = [];
  #writeCount = 0;

  /** Writes that reached the disk since the world began. */
  get writeCount(): number {
    return this.#writeCount;
  }

  /** A write that has become durable. */
  commit(name: string, value: unknown): void {
    this.#images.push(new Map(this.#values));
    if (this.#images.length > imageLimit) this.#images.shift();
    this.#values.set(name, structuredClone(value));
    this.#writeCount += 1;
  }

  /** What is on the disk. */
  read(): ReadonlyMap<string, unknown> {
    return structuredClone(this.#values);
  }

  /** Applies a fate before a restart; `pick` chooses the old image, in [0, 1). */
  suffer(fate: DiskFate, pick: number): void {
    if (fate === 'kept') return;
    const image =
      fate === 'older' ? this.#images[Math.floor(pick * this.#images.length)] : undefined;
    this.#values = new Map(image);
    this.#images = [];
  }
}
