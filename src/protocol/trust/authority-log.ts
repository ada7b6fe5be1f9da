/**
 * The authority log of a mesh: who its admins are, whom they threw out, which epoch it is. One hash chain per admin,
 * merged by Lamport time (docs/protocols/trust.md), spread by comparing heads and pulling what is missing.
 */

import type { Core } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { createAuthorityChains } from './authority-chains.ts';
import type { ChainVerdict } from './authority-chains.ts';
import { foldAuthority, inLogOrder } from './authority-fold.ts';
import type { AuthorityState } from './authority-fold.ts';
import type { AuthorityEntry, AuthorityHead, Genesis, KeyText } from './messages.ts';

/** Entries in one `send`; whoever asked asks again for the rest. */
export const entriesPerSendMax = 64;

/** How far back a pull reaches when a chain does not fit, to find where it forked. */
const forkSearchEntries = 32;

/** Facts for the log. Entries come with their signature checked. */
export type AuthorityLogInput =
  /** What the disk holds, once, before anything else. */
  | { readonly type: 'restored'; readonly entries: readonly AuthorityEntry[] }
  | {
      readonly type: 'received';
      readonly from: NodeId;
      readonly entries: readonly AuthorityEntry[];
    }
  /** This node wrote an entry, at the place that `next` named. Sign the next one only after this was taken in. */
  | { readonly type: 'authored'; readonly entry: AuthorityEntry }
  /** A peer told where its chains end. Exchange heads first on every new link, and when digests differ. */
  | { readonly type: 'headsHeard'; readonly from: NodeId; readonly heads: readonly AuthorityHead[] }
  /** A peer pulls. */
  | {
      readonly type: 'asked';
      readonly from: NodeId;
      readonly author: KeyText;
      readonly fromSeq: number;
    };

/** Orders of the log, to be carried out in order. */
export type AuthorityLogEffect =
  /** A barrier: what follows waits until these entries are on disk. */
  | { readonly type: 'persist'; readonly entries: readonly AuthorityEntry[] }
  | {
      readonly type: 'send';
      readonly to: NodeId | 'everyone';
      readonly entries: readonly AuthorityEntry[];
    }
  /** Ask this peer for an author's entries from a number on. */
  | {
      readonly type: 'pull';
      readonly from: NodeId;
      readonly author: KeyText;
      readonly fromSeq: number;
    }
  /** The log grew. `fresh` is empty for what the disk held: a window in it does not open again. */
  | {
      readonly type: 'announce';
      readonly state: AuthorityState;
      readonly fresh: readonly AuthorityEntry[];
    }
  /** Misuse of an admin's key, once per author and kind (`stale`: each time). */
  | { readonly type: 'alert'; readonly code: AuthorityAlert; readonly author: KeyText };

/**
 * `equivocation`: two entries of one number. `full`: the chain has reached its limit. `bad`: it breaks the rules of a
 * chain. `stale`: this node signed an entry for a place that was taken; it is lost and has to be signed again.
 */
export type AuthorityAlert = 'equivocation' | 'full' | 'bad' | 'stale';

/** A picture of the log. */
export interface AuthorityView extends AuthorityState {
  readonly heads: readonly AuthorityHead[];
  /** 16 hex digits that differ when heads differ; cheap enough to ride in every ping. */
  readonly headsDigest: string;
  /** All entries to keep, proofs of misuse included. */
  readonly entries: readonly AuthorityEntry[];
}

/**
 * The core, and where the next entry of an author goes. Between `next` and `authored` nothing else may be authored:
 * one at a time.
 */
export interface AuthorityLog extends Core<AuthorityLogInput, AuthorityLogEffect, AuthorityView> {
  next(author: KeyText): { readonly seq: number; readonly prev: string; readonly lamport: number };
}

/** Builds the log of the mesh that began with this genesis. */
export function createAuthorityLog(config: { readonly genesis: Genesis }): AuthorityLog {
  const { genesis } = config;
  const chains = createAuthorityChains(genesis);
  const alerted = new Set<string>();
  let state = foldAuthority(genesis, [], new Set());
  let picture: AuthorityView | undefined;

  /** Takes entries in, oldest first. */
  function take(entries: readonly AuthorityEntry[], from: NodeId | undefined): Intake {
    const intake: Intake = { fresh: [], pulls: new Map(), alerts: [] };
    for (const entry of entries.toSorted(inLogOrder)) {
      const verdict = chains.add(entry);
      if (verdict === 'added' || verdict === 'fork') intake.fresh.push(entry);
      noteAlert(intake, verdict, entry.author);
      if (from !== undefined) notePull(intake, verdict, entry);
    }
    if (intake.fresh.length > 0) {
      state = foldAuthority(genesis, chains.rows(), chains.frozen());
      picture = undefined;
    }
    return intake;
  }

  function noteAlert(intake: Intake, verdict: ChainVerdict, author: KeyText): void {
    const code = verdict === 'fork' ? 'equivocation' : verdict;
    if (code !== 'equivocation' && code !== 'full' && code !== 'bad') return;
    // Bounded: an alert needs a known author.
    if (!chains.isKnown(author) || alerted.has(`${code} ${author}`)) return;
    alerted.add(`${code} ${author}`);
    intake.alerts.push({ type: 'alert', code, author });
  }

  function notePull(intake: Intake, verdict: ChainVerdict, entry: AuthorityEntry): void {
    const { author, seq } = entry;
    const head = chains.head(author);
    if (verdict === 'gap') intake.pulls.set(author, head.seq + 1);
    else if (verdict === 'branch') intake.pulls.set(author, Math.max(1, seq - forkSearchEntries));
    else if (verdict === 'fork' && seq > 1 && entry.prev !== head.hash) {
      intake.pulls.set(author, Math.max(1, seq - forkSearchEntries));
    } else if (verdict === 'added') {
      intake.pulls.delete(author);
      // A new admin may have written already.
      const said = entry.statement;
      if (said.kind === 'add-admin' && chains.head(said.key).seq === 0)
        intake.pulls.set(said.key, 1);
    }
  }

  /** What the peer's head of one author makes us ask for, if anything. */
  function wanted(head: AuthorityHead): number | undefined {
    if (!chains.isKnown(head.author) || !Number.isSafeInteger(head.seq) || head.seq < 0) return;
    const own = chains.head(head.author);
    if (head.seq > own.seq) return own.isFrozen ? undefined : own.seq + 1;
    const held = head.seq === 0 ? genesis.hash : chains.hashAt(head.author, head.seq);
    if (held !== head.hash) return Math.max(1, head.seq - forkSearchEntries);
    const isNews = head.isFrozen && !(own.isFrozen && own.seq === head.seq);
    return isNews ? head.seq + 1 : undefined;
  }

  function received(from: NodeId, entries: readonly AuthorityEntry[]): AuthorityLogEffect[] {
    const intake = take(entries.slice(0, entriesPerSendMax), from);
    const last = intake.fresh.at(-1);
    // A full load of one author: there is more where it came from.
    if (
      entries.length >= entriesPerSendMax &&
      last !== undefined &&
      !intake.pulls.has(last.author)
    ) {
      intake.pulls.set(last.author, chains.head(last.author).seq + 1);
    }
    const pulls = [...intake.pulls].map(
      ([author, fromSeq]) => ({ type: 'pull', from, author, fromSeq }) as const,
    );
    return [...grown(intake), ...pulls];
  }

  function grown(intake: Intake): AuthorityLogEffect[] {
    const { fresh, alerts } = intake;
    if (fresh.length === 0) return alerts;
    return [{ type: 'persist', entries: fresh }, ...alerts, { type: 'announce', state, fresh }];
  }

  return {
    step(_now, input) {
      switch (input.type) {
        case 'restored': {
          const { alerts } = take(input.entries, undefined);
          return [...alerts, { type: 'announce', state, fresh: [] }];
        }
        case 'received':
          return received(input.from, input.entries);
        case 'authored': {
          const { author, seq, prev } = input.entry;
          const head = chains.head(author);
          // Signed for a place that is taken by now. Kept, it would be proof against its own author.
          if (seq !== head.seq + 1 || prev !== head.hash)
            return [{ type: 'alert', code: 'stale', author }];
          const intake = take([input.entry], undefined);
          const entries = intake.fresh;
          return entries.length === 0
            ? intake.alerts
            : [...grown(intake), { type: 'send', to: 'everyone', entries }];
        }
        case 'headsHeard':
          return input.heads.slice(0, headsPerInputMax).flatMap((head) => {
            const fromSeq = wanted(head);
            if (fromSeq === undefined) return [];
            return [{ type: 'pull', from: input.from, author: head.author, fromSeq } as const];
          });
        case 'asked': {
          const entries = chains.slice(input.author, input.fromSeq, entriesPerSendMax);
          return entries.length === 0 ? [] : [{ type: 'send', to: input.from, entries }];
        }
      }
    },
    deadline: () => Infinity,
    view() {
      const heads = chains.heads();
      picture ??= { ...state, heads, headsDigest: digestOf(heads), entries: chains.all() };
      return picture;
    },
    next(author) {
      const { seq, hash } = chains.head(author);
      return { seq: seq + 1, prev: hash, lamport: chains.lamport() + 1 };
    },
  };
}

/** Heads looked at in one input; there are never more authors. */
const headsPerInputMax = 64;

/** What taking entries in brought about. */
interface Intake {
  readonly fresh: AuthorityEntry[];
  readonly pulls: Map<KeyText, number>;
  readonly alerts: Extract<AuthorityLogEffect, { type: 'alert' }>[];
}

/** Adds up the head hashes, which are hashes of whole chains, so that their order does not matter. */
function digestOf(heads: readonly AuthorityHead[]): string {
  let high = 0;
  let low = 0;
  for (const { hash, seq, isFrozen } of heads) {
    if (seq === 0 && !isFrozen) continue;
    const factor = isFrozen ? 3 : 1;
    high = (high + factor * Number.parseInt(hash.slice(0, 8), 16)) % 0x1_0000_0000;
    low = (low + factor * Number.parseInt(hash.slice(8, 16), 16)) % 0x1_0000_0000;
  }
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
