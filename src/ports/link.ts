/** Authenticated, sealed connections between two nodes; they carry frames. */

import type { Address } from '../kernel/address.ts';
import type { NodeId } from '../kernel/ids.ts';

/** The lanes of a link. `control` is never queued behind `data`. */
export type Lane = 'control' | 'data';

/** Largest frame on a link, in bytes. */
export const frameBytesMax: number = 256 * 1024;

/**
 * Why a node lets go of a link by a bound of its own: the beginning of the reason that `closed` reports. Everything else
 * is the peer's doing, or the overlay's choice.
 */
export const linkBounds = {
  overflow: 'the queue of the link overflowed',
  tooMany: 'too many links of one node',
  silent: 'silent for',
  hostile: 'hostile:',
} as const;

/** Whether a link was closed by a bound. */
export function isLinkEviction(reason: string): boolean {
  return Object.values(linkBounds).some((start) => reason.startsWith(start));
}

/** A control frame that waits longer than this for data ahead of it is a head-of-line incident, in ms. */
export const headOfLineMs = 100;

/** An open link. */
export interface LinkSession {
  readonly peer: NodeId;
  /** Whether this node dialled. */
  readonly isDialler: boolean;
  readonly remote: Address;
  /** The peer's membership certificate, as received and already accepted. */
  readonly certificate: Uint8Array;
  /** Hands a frame to the connection. False: the connection is above its high-water mark, wait for `drained`. */
  send(lane: Lane, frame: Uint8Array): boolean;
  /** Gives the kernel at once what else would be gathered to the end of this turn of the loop. */
  hurry(): void;
  /** Bytes handed over and not yet taken by the kernel. */
  queuedBytes(): number;
  /** Closes; `closed` is called exactly once, also after a local close. */
  close(reason: string): void;
}

/** What a link reports. Nothing is called after `closed`. */
export interface LinkHandlers {
  frame(session: LinkSession, lane: Lane, bytes: Uint8Array): void;
  drained(session: LinkSession): void;
  closed(session: LinkSession, reason: string): void;
}

/** Makes and accepts links. */
export interface LinkTransport {
  /**
   * Tries the addresses happy-eyeballs style (250 ms apart, first to finish the handshake wins).
   * @param expected refuse any other node; undefined accepts whoever is a member (a bare seed).
   * @param use what the connection is for: a link's user asks a silent peer itself, a channel's leaves that to the transport.
   * @throws {MycelError} MYCEL_LINK_FAILED with the last reason of each address.
   */
  dial(
    expected: NodeId | undefined,
    addresses: readonly Address[],
    signal: AbortSignal,
    use?: 'link' | 'channel',
  ): Promise<LinkSession>;
}
