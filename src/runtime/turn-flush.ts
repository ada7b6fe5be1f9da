/** Gathers what one turn of the event loop writes to links, and hands it to the kernel at its end. */

import type { Lane, LinkSession } from '../ports/link.ts';

/** The end of each turn in which something was written. */
export interface TurnFlush {
  /** Calls `flush` at the end of this turn: a timer would add latency, a write for each message cost tenfold. */
  soon(): void;
  /** Sends a frame. What a flush sends is with the kernel when it is over: a further turn would bring no more together. */
  send(session: LinkSession, lane: Lane, frame: Uint8Array): boolean;
}

/** Builds it. */
export function createTurnFlush(flush: () => void): TurnFlush {
  const written = new Set<LinkSession>();
  let isDue = false;
  let isFlushing = false;

  function turned(): void {
    isDue = false;
    isFlushing = true;
    try {
      flush();
    } finally {
      isFlushing = false;
      for (const session of written) session.hurry();
      written.clear();
    }
  }

  return {
    soon() {
      if (isDue) return;
      isDue = true;
      setImmediate(turned);
    },
    send(session, lane, frame) {
      if (isFlushing) written.add(session);
      return session.send(lane, frame);
    },
  };
}
