/** One writing at a time: what changes during one goes with the next, once for all who asked meanwhile. */

/** Builds it. @param write writes everything as it is when it is called; it does not reject */
export function createOneWriter(write: () => Promise<void>): () => Promise<void> {
  let now: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  return function ask(): Promise<void> {
    if (now === undefined) {
      now = write().finally(() => (now = undefined));
      return now;
    }
    next ??= now.then(() => {
      next = undefined;
      return ask();
    });
    return next;
  };
}
