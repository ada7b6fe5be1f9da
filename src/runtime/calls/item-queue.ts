/** The items of a stream on their way to whoever iterates over it. Bounded by the credit that reading them gives. */

/** One stream, read by one reader. */
export interface ItemQueue {
  item(body: Uint8Array): void;
  end(): void;
  fail(error: Error): void;
  /** The next item; undefined at the end. Rejects when the stream failed, after the items that came before. */
  next(): Promise<Uint8Array | undefined>;
}

/** Builds an open, empty one. */
export function createItemQueue(): ItemQueue {
  const items: Uint8Array[] = [];
  let outcome: { readonly error: Error | undefined } | undefined;
  let wake = (): void => {};

  function finish(error: Error | undefined): void {
    outcome ??= { error };
    wake();
  }

  return {
    item(body) {
      items.push(body);
      wake();
    },
    end: () => finish(undefined),
    fail: (error) => finish(error),
    async next() {
      while (items.length === 0) {
        if (outcome !== undefined) {
          if (outcome.error === undefined) return undefined;
          throw outcome.error;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return items.shift();
    },
  };
}
