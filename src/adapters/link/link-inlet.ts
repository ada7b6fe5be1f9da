/** Where the frames of a connection come in: they wait until the session that they are for is in use. */

import type { Lane } from '../../ports/link.ts';
import type { OpenLink } from './link-session.ts';

/** Frames that wait: the peer may speak as soon as its login is answered, a turn or two before this end is ready. */
const earlyMax = 256;

/** One connection's. */
export interface LinkInlet {
  took(lane: Lane, frame: Uint8Array): void;
  /** The session is in use. */
  open(link: OpenLink): void;
}

/** Builds one. `overflowed`: more came before the session was in use than may wait; they are lost. */
export function createLinkInlet(overflowed: () => void): LinkInlet {
  let early: { readonly lane: Lane; readonly frame: Uint8Array }[] = [];
  let open: OpenLink | undefined;
  return {
    took(lane, frame) {
      if (open !== undefined) open.received(lane, frame);
      else if (early.length < earlyMax) early.push({ lane, frame });
      else overflowed();
    },
    open(link) {
      open = link;
      const waited = early;
      early = [];
      for (const { lane, frame } of waited) link.received(lane, frame);
    },
  };
}
