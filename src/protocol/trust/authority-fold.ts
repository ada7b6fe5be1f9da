/**
 * From a set of log entries to what they mean: a pure function of the set, whatever order the entries came in.
 *
 * Entries are read in the order (lamport, author). A removal names how many entries of its subject its author had seen;
 * later ones of the subject are void, wherever they sort, so a thief cannot write himself back into the past. Two admins
 * that remove each other without having seen it both fall. docs/protocols/trust.md gives the reasons.
 */

import type { NodeId } from '../../kernel/ids.ts';
import type {
  AuthorityEntry,
  AuthorityStatement,
  Genesis,
  KeyText,
  TrustPolicy,
} from './messages.ts';

/** Epochs that are remembered besides the current one: the keys of nodes that come back late are checked against them. */
export const epochsKeptMax = 8;

/** An epoch as the log announced it. */
export interface EpochNotice {
  readonly number: number;
  /** Whoever made the key. */
  readonly author: KeyText;
  readonly commitment: string;
}

/** What the log says now. */
export interface AuthorityState {
  /** Keys that may write to the log and issue certificates, the roots first. */
  readonly admins: readonly KeyText[];
  /** Admins that signed two different entries of one number: nothing they wrote since counts, and they are admins no more. */
  readonly frozen: readonly KeyText[];
  /** Admins that were removed without blame. What they may still vouch for is the caller's policy. */
  readonly retired: readonly KeyText[];
  /** Devices thrown out for ever. */
  readonly revoked: ReadonlyMap<KeyText, NodeId>;
  readonly approved: ReadonlySet<KeyText>;
  readonly gateways: ReadonlySet<KeyText>;
  /** The epoch with the highest number; of two with the same number, the later one in the order of the log. */
  readonly epoch: EpochNotice | undefined;
  /** The newest epochs, current first, at most `epochsKeptMax`. */
  readonly epochs: readonly EpochNotice[];
  /** The last word on the join window; whether it is still open is a matter of uptime. */
  readonly window: { readonly entry: string; readonly openForMs: number } | undefined;
  readonly policy: TrustPolicy;
}

type Removal = Extract<AuthorityStatement, { kind: 'revoke' | 'remove-admin' }>;

/** An entry that removes someone. */
interface RemovalEntry {
  readonly entry: AuthorityEntry;
  readonly said: Removal;
}

/** How many entries of an author count; authors that are not in it are not cut. */
type Cuts = ReadonlyMap<KeyText, number>;

/** Folds the entries of unbroken chains. `frozen`: the authors whose chain forked after the entries given. */
export function foldAuthority(
  genesis: Genesis,
  entries: readonly AuthorityEntry[],
  frozen: ReadonlySet<KeyText>,
): AuthorityState {
  const ordered = entries.toSorted(inLogOrder);
  const removals = effectiveRemovals(genesis, ordered);
  const { admins, counted } = countEntries(genesis, ordered, cutsOf(removals));
  const everyAdmin = [...admins];
  const removed = new Set(removals.map(({ said }) => said.key));
  const said = summarise(genesis, counted, removals);
  return {
    ...said,
    admins: everyAdmin.filter((key) => !removed.has(key) && !frozen.has(key)),
    frozen: everyAdmin.filter((key) => frozen.has(key)),
    retired: everyAdmin.filter((key) => removed.has(key) && !said.revoked.has(key)),
  };
}

/** The order of the log: Lamport time, then author. One author never has two entries of the same time. */
export function inLogOrder(left: AuthorityEntry, right: AuthorityEntry): number {
  return left.lamport - right.lamport || compareText(left.author, right.author);
}

/** Which entries count when authors are cut so: those of a root, or of someone whom a counted entry made an admin before. */
function countEntries(
  genesis: Genesis,
  ordered: readonly AuthorityEntry[],
  cuts: Cuts,
): { admins: Set<KeyText>; counted: AuthorityEntry[] } {
  const admins = new Set(genesis.roots);
  const counted = ordered.filter((entry) => {
    if (!admins.has(entry.author) || entry.seq > (cuts.get(entry.author) ?? Infinity)) return false;
    if (entry.statement.kind === 'add-admin') admins.add(entry.statement.key);
    return true;
  });
  return { admins, counted };
}

/**
 * Removals void one another, so which of them hold is a fixpoint (alternating, after Van Gelder 1993): `sure` grows from
 * below, `possible` shrinks from above. What stays undecided is a circle; of a circle of two, both hold.
 */
function effectiveRemovals(genesis: Genesis, ordered: readonly AuthorityEntry[]): RemovalEntry[] {
  let sure: RemovalEntry[] = [];
  for (;;) {
    const possible = removalsIn(countEntries(genesis, ordered, cutsOf(sure)).counted);
    const next = removalsIn(countEntries(genesis, ordered, cutsOf(possible)).counted);
    if (next.length > sure.length) {
      sure = next;
      continue;
    }
    const decided = new Set(sure.map(({ entry }) => entry.hash));
    const open = possible.filter(({ entry }) => !decided.has(entry.hash));
    const duels = open.filter((one) =>
      open.some((other) => doesVoid(one, other) && doesVoid(other, one)),
    );
    return [...sure, ...duels];
  }
}

/** Whether the first removal cuts its subject before the subject wrote the second. */
function doesVoid(one: RemovalEntry, other: RemovalEntry): boolean {
  return one.said.key === other.entry.author && other.entry.seq > one.said.chainLength;
}

function removalsIn(entries: readonly AuthorityEntry[]): RemovalEntry[] {
  return entries.flatMap((entry) => {
    const said = entry.statement;
    return said.kind === 'revoke' || said.kind === 'remove-admin' ? [{ entry, said }] : [];
  });
}

function cutsOf(removals: readonly RemovalEntry[]): Cuts {
  const cuts = new Map<KeyText, number>();
  for (const { said } of removals) {
    cuts.set(said.key, Math.min(cuts.get(said.key) ?? Infinity, said.chainLength));
  }
  return cuts;
}

function summarise(
  genesis: Genesis,
  counted: readonly AuthorityEntry[],
  removals: readonly RemovalEntry[],
): Omit<AuthorityState, 'admins' | 'frozen' | 'retired'> {
  const revoked = new Map<KeyText, NodeId>();
  for (const { said } of removals) if (said.kind === 'revoke') revoked.set(said.key, said.node);
  const approved = new Set<KeyText>();
  const gateways = new Set<KeyText>();
  const epochs: EpochNotice[] = [];
  let window: AuthorityState['window'];
  let policy = genesis.policy;
  for (const { author, hash, statement } of counted) {
    if (statement.kind === 'approve') approved.add(statement.key);
    else if (statement.kind === 'gateway' && statement.isGranted) gateways.add(statement.key);
    else if (statement.kind === 'gateway') gateways.delete(statement.key);
    else if (statement.kind === 'window') window = { entry: hash, openForMs: statement.openForMs };
    else if (statement.kind === 'policy') {
      policy = { autoApprove: statement.autoApprove, epochLagMax: statement.epochLagMax };
    } else if (statement.kind === 'epoch') {
      epochs.unshift({ number: statement.number, author, commitment: statement.commitment });
    }
  }
  for (const key of revoked.keys()) {
    approved.delete(key);
    gateways.delete(key);
  }
  epochs.sort((left, right) => right.number - left.number);
  return {
    revoked,
    approved,
    gateways,
    epoch: epochs[0],
    epochs: epochs.slice(0, epochsKeptMax),
    window,
    policy,
  };
}

function compareText(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
