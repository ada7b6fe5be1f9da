/** Keeps one publisher's messages in order while each of them waits to be taken. */

/** A gate of one client. Its length is bounded by what one read of the socket holds (64 KiB and one packet). */
export interface PublishGate {
  /** Starts `attempt` at once; `settle` runs when it and all earlier ones are taken or refused. */
  pass(attempt: (taken: (refusal?: string) => void) => void, settle: Settle): void;
  readonly waitingCount: number;
}

/** Continues with a message: published when `refusal` is undefined, else acknowledged and dropped. */
export type Settle = (refusal: string | undefined) => void;

interface Waiting {
  readonly settle: Settle;
  verdict: { readonly refusal: string | undefined } | undefined;
}

/** Builds an open gate. */
export function createPublishGate(): PublishGate {
  let waiting: Waiting[] = [];
  let isReleasing = false;

  function release(): void {
    // `settle` may publish and so come back here: the outer loop goes on with what that adds.
    if (isReleasing) return;
    isReleasing = true;
    let count = 0;
    for (let next = waiting[count]; next?.verdict !== undefined; next = waiting[count]) {
      count += 1;
      next.settle(next.verdict.refusal);
    }
    waiting = waiting.slice(count);
    isReleasing = false;
  }

  return {
    pass(attempt, settle) {
      const entry: Waiting = { settle, verdict: undefined };
      waiting.push(entry);
      attempt((refusal) => {
        if (entry.verdict !== undefined) return;
        entry.verdict = { refusal };
        if (waiting[0] === entry) release();
      });
    },
    get waitingCount() {
      return waiting.length;
    },
  };
}
