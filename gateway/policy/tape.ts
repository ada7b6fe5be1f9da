/** An answer as it grows: written once, read by any number from any place, kept until the last reader has it. */

import type { Batch } from '../events.ts';
import type { LlmFailure } from '../failure.ts';

/** Batches the writer may be ahead of its fastest reader. */
export const tapeLeadMax = 64;

/** One answer. */
export class Tape {
  readonly batches: Batch[] = [];
  #isEnded = false;
  #failure: LlmFailure | undefined;
  #readers = new Set<{ at: number }>();
  #wakeReaders: (() => void)[] = [];
  #wakeWriter: (() => void) | undefined;
  #isReleased = false;

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get failure(): LlmFailure | undefined {
    return this.#failure;
  }

  get readerCount(): number {
    return this.#readers.size;
  }

  write(batch: Batch): void {
    if (this.#isEnded || batch.length === 0) return;
    this.batches.push(batch);
    this.#wake();
  }

  /** Ends it, with a failure when it is not whole. */
  end(failure?: LlmFailure): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#failure = failure;
    this.#wake();
  }

  /** Whether the writer is too far ahead of every reader. */
  get isFull(): boolean {
    return this.#lead() > tapeLeadMax && !this.#isEnded && !this.#isReleased;
  }

  /** Waits until some reader is near the end; without readers there is nobody to wait for. */
  async room(): Promise<void> {
    while (this.isFull) {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  /** The writer waits for nobody any more. */
  release(): void {
    this.#isReleased = true;
    this.#wakeWriter?.();
  }

  /** Reads from a batch on; fails with what the tape ended with. `return` takes the reader off at once. */
  read(from = 0): AsyncIterableIterator<Batch> {
    const reader = { at: from };
    this.#readers.add(reader);
    let stop: (() => void) | undefined;
    let isOff = false;
    const off = (): void => {
      isOff = true;
      this.#readers.delete(reader);
      this.#wakeWriter?.();
      stop?.();
    };
    const done = { done: true, value: undefined } as const;
    const take = (): Batch | undefined => {
      const batch = isOff ? undefined : this.batches[reader.at];
      if (batch === undefined) return undefined;
      reader.at += 1;
      this.#wakeWriter?.();
      return batch;
    };
    const wait = async (): Promise<IteratorResult<Batch, undefined>> => {
      while (!isOff) {
        const batch = take();
        if (batch !== undefined) return { done: false, value: batch };
        if (this.#isEnded) {
          off();
          if (this.#failure !== undefined) throw this.#failure;
          return done;
        }
        await new Promise<void>((resolve) => {
          stop = resolve;
          this.#wakeReaders.push(resolve);
        });
      }
      return done;
    };
    return {
      next: () => {
        const batch = take();
        return batch === undefined ? wait() : Promise.resolve({ done: false, value: batch });
      },
      return: () => {
        off();
        return Promise.resolve(done);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  #lead(): number {
    if (this.#readers.size === 0) return 0;
    let nearest = 0;
    for (const { at } of this.#readers) nearest = Math.max(nearest, at);
    return this.batches.length - nearest;
  }

  #wake(): void {
    const waking = this.#wakeReaders;
    this.#wakeReaders = [];
    for (const wake of waking) wake();
  }
}
