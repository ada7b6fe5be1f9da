/** The chains of a log as a structure: each author's entries in an unbroken row, and the proof when an author wrote two. */

import type { AuthorityEntry, AuthorityHead, Genesis, KeyText } from './messages.ts';

/** Entries kept of one author. Later ones are refused by every node alike: another admin has to carry on. */
export const chainLengthMax = 1024;

/** Authors whose chains are kept: the roots and whoever an entry made an admin. Later ones are not kept. */
export const authorsMax = 64;

/** What became of an entry. `gap`: entries before it are missing. `fork`: it proves that its author wrote two. */
export type ChainVerdict =
  | 'added'
  | 'known'
  | 'gap'
  | 'fork'
  | 'branch'
  | 'unknown-author'
  | 'full'
  | 'bad';

/** One author's entries. */
interface Chain {
  readonly entries: AuthorityEntry[];
  /** Two entries of the same number, the first after `entries`. */
  proof: readonly [AuthorityEntry, AuthorityEntry] | undefined;
}

/** All chains of a mesh. */
export interface AuthorityChains {
  /** `branch`: it continues a row we do not have, so its author forked somewhere before. */
  add(entry: AuthorityEntry): ChainVerdict;
  isKnown(author: KeyText): boolean;
  head(author: KeyText): AuthorityHead;
  /** The hash of the author's entry with this number, if it is in the row. */
  hashAt(author: KeyText, seq: number): string | undefined;
  heads(): AuthorityHead[];
  /** Entries of the author from this number on, with the proof if the row ends in one; at most `limit`. */
  slice(author: KeyText, fromSeq: number, limit: number): AuthorityEntry[];
  /** Authors with a proof against them. */
  frozen(): Set<KeyText>;
  /** Entries that may count. */
  rows(): AuthorityEntry[];
  /** Everything worth keeping: the rows and the proofs. */
  all(): AuthorityEntry[];
  /** The highest Lamport time seen. */
  lamport(): number;
}

/** Builds empty chains. */
export function createAuthorityChains(genesis: Genesis): AuthorityChains {
  const chains = new Map<KeyText, Chain>();
  for (const root of genesis.roots.slice(0, authorsMax)) know(root);
  let lamport = 0;

  function know(author: KeyText): void {
    if (!chains.has(author)) chains.set(author, { entries: [], proof: undefined });
  }

  /**
   * The roots, and whoever a row of one of these makes an admin. A chain whose author no row names any more, because of
   * a fork, is left out: other nodes may never have known it.
   */
  function named(): [KeyText, Chain][] {
    const found = new Map<KeyText, Chain>();
    const queue = [...genesis.roots];
    for (let author = queue.shift(); author !== undefined; author = queue.shift()) {
      const chain = chains.get(author);
      if (chain === undefined || found.has(author)) continue;
      found.set(author, chain);
      for (const { statement } of chain.entries) {
        if (statement.kind === 'add-admin') queue.push(statement.key);
      }
    }
    return [...found];
  }

  function headOf(author: KeyText, chain: Chain | undefined): AuthorityHead {
    const last = chain?.entries.at(-1);
    return {
      author,
      seq: last?.seq ?? 0,
      hash: last?.hash ?? genesis.hash,
      isFrozen: chain?.proof !== undefined,
    };
  }

  /** Cuts the row before two entries of the same number; an earlier fork replaces a later one. */
  function fork(chain: Chain, held: AuthorityEntry, entry: AuthorityEntry): ChainVerdict {
    chain.entries.length = entry.seq - 1;
    chain.proof = [held, entry];
    return 'fork';
  }

  function append(chain: Chain, head: AuthorityHead, entry: AuthorityEntry): ChainVerdict {
    if (entry.prev !== head.hash) return head.seq === 0 ? 'bad' : 'branch';
    if (entry.lamport <= (chain.entries.at(-1)?.lamport ?? 0)) return 'bad';
    if (chain.entries.length >= chainLengthMax) return 'full';
    chain.entries.push(entry);
    lamport = Math.max(lamport, entry.lamport);
    const said = entry.statement;
    if (said.kind === 'add-admin' && chains.size < authorsMax) know(said.key);
    return 'added';
  }

  return {
    add(entry) {
      const chain = chains.get(entry.author);
      if (chain === undefined) return 'unknown-author';
      if (!Number.isSafeInteger(entry.seq) || entry.seq < 1) return 'bad';
      if (!Number.isSafeInteger(entry.lamport)) return 'bad';
      const held = chain.entries[entry.seq - 1];
      if (held !== undefined) return held.hash === entry.hash ? 'known' : fork(chain, held, entry);
      const head = headOf(entry.author, chain);
      if (chain.proof !== undefined) return 'known';
      return entry.seq === head.seq + 1 ? append(chain, head, entry) : 'gap';
    },
    isKnown: (author) => chains.has(author),
    head: (author) => headOf(author, chains.get(author)),
    hashAt: (author, seq) => chains.get(author)?.entries[seq - 1]?.hash,
    heads: () => named().map(([author, chain]) => headOf(author, chain)),
    slice(author, fromSeq, limit) {
      const chain = chains.get(author);
      if (chain === undefined || !(fromSeq >= 1)) return [];
      const row = chain.entries.slice(fromSeq - 1, fromSeq - 1 + limit);
      const isWhole = row.length + 2 <= limit && fromSeq <= chain.entries.length + 1;
      return isWhole ? [...row, ...(chain.proof ?? [])] : row;
    },
    frozen: () =>
      new Set(named().flatMap(([author, { proof }]) => (proof === undefined ? [] : [author]))),
    rows: () => named().flatMap(([, { entries }]) => entries),
    all: () => [...chains.values()].flatMap(({ entries, proof }) => [...entries, ...(proof ?? [])]),
    lamport: () => lamport,
  };
}
