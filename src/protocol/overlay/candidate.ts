/** What an overlay knows about a peer it wants a link with. */

import { isSameAddress } from '../../kernel/address.ts';
import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { SessionId } from './overlay.ts';

/** Addresses kept for one peer; the latest sighting comes first. */
export const addressesMax = 16;

/** An open connection with a peer. */
export interface OpenSession {
  readonly session: SessionId;
  readonly isDialler: boolean;
  readonly boot: number;
}

/** One peer: waiting for its turn, being dialled, or linked. */
export interface Candidate {
  readonly node: NodeId;
  addresses: readonly Address[];
  isMember: boolean;
  /** The connection that carries the frames. */
  current: OpenSession | undefined;
  /** When the peer was last linked. */
  linkedAt: Millis;
  /** When a dial began; undefined when none is under way. */
  dialledAt: Millis | undefined;
  /** When to dial; Infinity while linked or without an address. */
  dialAt: Millis;
  /** A refusal asked to be left alone until then. */
  notBefore: Millis;
  /** Failed dials since the last link that lasted. */
  failures: number;
}

/** Whether the address is in the list. */
export function knowsAddress(known: readonly Address[], address: Address): boolean {
  return known.some((other) => isSameAddress(other, address));
}

/** The newest addresses first, without repeats, bounded. */
export function mergeAddresses(
  known: readonly Address[],
  seen: readonly Address[],
): readonly Address[] {
  const merged: Address[] = [];
  for (const address of [...seen.slice(0, addressesMax), ...known]) {
    if (merged.length === addressesMax) break;
    if (!knowsAddress(merged, address)) merged.push(address);
  }
  return merged;
}

/**
 * Whether a new connection takes the place of the current one. Both ends decide the same:
 * a later life of the peer first, then the one dialled by the lower id, then the newest of one dialler
 * (who would not dial again while it holds a link).
 */
export function isBetter(next: OpenSession, current: OpenSession, isSelfLower: boolean): boolean {
  if (next.boot !== current.boot) return next.boot > current.boot;
  if (next.isDialler === current.isDialler) return true;
  return next.isDialler === isSelfLower;
}
