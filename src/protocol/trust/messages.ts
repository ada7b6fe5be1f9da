/** What admins write about a mesh: the entries of the authority log and the genesis they start from. */

import type { NodeId } from '../../kernel/ids.ts';

/** A public signing key in 64 lower-case hex digits: what trust is pinned to, never a signature or a certificate hash. */
export type KeyText = string;

/** What a mesh is willing to do without asking a person. */
export interface TrustPolicy {
  /** Newcomers in an open join window become members without a look at the six digits. @default false */
  readonly autoApprove: boolean;
  /** How many epochs a certificate outlives the one in which it was issued. @default 1000 */
  readonly epochLagMax: number;
}

/** A device that an entry speaks of. The id follows from the key; both are written so that people can read the log. */
export interface Subject {
  readonly node: NodeId;
  readonly key: KeyText;
}

/** What one entry says. */
export type AuthorityStatement =
  | ({ readonly kind: 'add-admin' } & Subject)
  /** `chainLength`: how many entries of the subject its author has seen; later ones are void. */
  | ({ readonly kind: 'remove-admin'; readonly chainLength: number } & Subject)
  | ({ readonly kind: 'revoke'; readonly chainLength: number } & Subject)
  /** `commitment`: hash of the new epoch key in hex; the key itself travels sealed. */
  | { readonly kind: 'epoch'; readonly number: number; readonly commitment: string }
  /** Opens the join window for so many ms of uptime; 0 closes it. */
  | { readonly kind: 'window'; readonly openForMs: number }
  | ({ readonly kind: 'policy' } & TrustPolicy)
  | ({ readonly kind: 'approve' } & Subject)
  | ({ readonly kind: 'gateway'; readonly isGranted: boolean } & Subject);

/** One entry, its signature already checked against `author`. */
export interface AuthorityEntry {
  readonly author: KeyText;
  /** 1 for the author's first entry, then one more each. */
  readonly seq: number;
  /** Hash of the author's entry before this one; for the first entry, the hash of the genesis. */
  readonly prev: string;
  /** Lamport time: greater than that of every entry its author had seen. */
  readonly lamport: number;
  readonly statement: AuthorityStatement;
  /** Hash of the signed body, in hex. */
  readonly hash: string;
  /** The entry as signed, kept as received. */
  readonly bytes: Uint8Array;
}

/** The end of one author's chain as a node knows it. */
export interface AuthorityHead {
  readonly author: KeyText;
  readonly seq: number;
  readonly hash: string;
  /** The author signed two different entries as number `seq` + 1: nothing it wrote after `seq` counts. */
  readonly isFrozen: boolean;
}

/** How a mesh began. Its hash is the mesh's name. */
export interface Genesis {
  readonly roots: readonly KeyText[];
  readonly policy: TrustPolicy;
  readonly meshName: string;
  /** Hash of the genesis bytes, in hex: the `prev` of every first entry. */
  readonly hash: string;
}
