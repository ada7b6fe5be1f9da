/**
 * All replicated state of one node: live writes by address, and the context of every write it has heard of. A write goes
 * from unknown to live to dead and never back; a join takes the later of the two for every dot. What is dead needs no
 * tombstone: the context knows it, the cell does not have it.
 */

import { CausalContext, isCount } from './causal-context.ts';
import type { Dot, Intervals, ReplicaId } from './causal-context.ts';
import { parseAddress, readCell } from './cell.ts';
import type { CellAddress, Entry, Plain } from './cell.ts';
import { beyond, together } from './writes.ts';
import type { CellChange } from './writes.ts';
import { DigestTree, entryPrint, fingerprint, leafOf } from './digest-tree.ts';
import type { Fingerprint } from './digest-tree.ts';
import type { Hlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { Retirement } from './retirement.ts';

/**
 * What is known about some writes at one address, and about nothing else: the unit that is shipped and stored.
 * It never claims a dot of another address: a context larger than its writes is how others lose data (protocols 3.3).
 */
export interface CellFact {
  readonly address: CellAddress;
  readonly live: readonly Entry[];
  readonly dead: readonly Dot[];
}

/** What a join changed. `undefined` fact: nothing was new. */
export interface Joined {
  /** The part of the fact that was new here. */
  readonly fresh: CellFact | undefined;
  /** Live entries of the fact that are long dead here: whoever sent them should hear it. */
  readonly outdated: readonly Dot[];
}

/** Live writes at one address. */
interface Cell {
  readonly leaf: number;
  entries: readonly Entry[];
}

/** Nothing is live there. */
const nothing: readonly Entry[] = [];

/** The state of one replica. Mutable; deterministic; never throws. */
export class ReplicaState {
  readonly context: CausalContext = new CausalContext();
  readonly digest: DigestTree = new DigestTree();
  #cells = new Map<CellAddress, Cell>();
  #entryCount = 0;
  /** Live writes by replica. */
  #liveOf = new Map<ReplicaId, number>();
  readonly #retirement: Retirement = new Retirement();
  /** The first counter of this life, and what own pages said when it began. */
  #life: { readonly replica: ReplicaId; readonly first: number; next: number } | undefined;
  #bases = new Map<CellAddress, Plain>();

  /** Addresses with a live write. */
  get size(): number {
    return this.#cells.size;
  }

  /** Live writes at all addresses. */
  get entryCount(): number {
    return this.#entryCount;
  }

  addresses(): IterableIterator<CellAddress> {
    return this.#cells.keys();
  }

  entries(address: CellAddress): readonly Entry[] {
    return this.#cells.get(address)?.entries ?? nothing;
  }

  /** The value at an address; undefined when nothing is live there, or it is no address. */
  read(address: CellAddress): Plain | undefined {
    const cell = this.#cells.get(address);
    const type = cell && parseAddress(address)?.type;
    return cell && type && readCell(type, cell.entries);
  }

  /** Makes a local write: kills what it replaces, and adds its values; a removal has none. Gives the fact to tell. */
  write(replica: ReplicaId, address: CellAddress, change: CellChange, at: Hlc): CellFact {
    const dead = this.entries(address)
      .filter((entry) => change.replaces(entry))
      .map(({ replica: by, count }) => ({ replica: by, count }));
    this.#rememberBase(replica, address, dead);
    const live: Entry[] = [];
    for (const value of change.values ?? (change.value === undefined ? [] : [change.value])) {
      const count = this.#nextCount(replica, live.length);
      live.push({ replica, count, at, value });
    }
    const fact = { address, live, dead };
    this.join(fact);
    return fact;
  }

  /** Learns a fact. */
  join(fact: CellFact): Joined {
    const { address } = fact;
    const cell = this.#cells.get(address);
    const before = cell?.entries ?? nothing;
    const live: Entry[] = [];
    const outdated: Dot[] = [];
    const dead: Dot[] = [];
    for (const entry of fact.live) {
      const { replica, count } = entry;
      if (!isCount(count)) continue;
      if (!this.context.has(replica, count)) {
        this.context.add(replica, count);
        live.push(entry);
      } else if (!before.some((own) => isSame(own, entry))) outdated.push({ replica, count });
    }
    const killed = new Set<Entry>();
    for (const dot of fact.dead) {
      const mine = before.find((own) => isSame(own, dot)) ?? live.find((own) => isSame(own, dot));
      if (mine !== undefined) killed.add(mine);
      else if (this.context.has(dot.replica, dot.count)) continue;
      this.context.add(dot.replica, dot.count);
      dead.push(dot);
    }
    if (live.length === 0 && dead.length === 0) return { fresh: undefined, outdated };
    const added = live.filter((entry) => !killed.has(entry));
    const gone = before.filter((entry) => killed.has(entry));
    const kept = gone.length === 0 ? before : before.filter((entry) => !killed.has(entry));
    this.#put(address, cell?.leaf ?? leafOf(address), { gone, added, after: [...kept, ...added] });
    return { fresh: { address, live: added, dead }, outdated };
  }

  /** Takes over another replica's whole context. Right only when both hold the same live writes. */
  joinContext(other: Iterable<readonly [ReplicaId, Intervals]>): void {
    this.context.join(other);
  }

  /** A fingerprint of what `told` gives. */
  contextPrint(): Fingerprint {
    return fingerprint(this.told().flatMap(([replica, spans]) => [replica, ...spans]));
  }

  /** The context as others are told it: without retired replicas, of which each node remembers what it has heard. */
  told(): [ReplicaId, Intervals][] {
    const retired = this.#retired();
    const all = this.context.entries();
    return retired.size === 0 ? all : all.filter(([replica]) => !retired.has(replica));
  }

  /** All other nodes that may still write: what replicas of others left is no more than a memory. */
  setOwners(nodes: readonly NodeId[]): void {
    this.#retirement.setOwners(nodes);
  }

  /**
   * Every member holds exactly what is live here. Gives replicas that have retired since the last time; some of those
   * that did long ago are forgotten.
   */
  retire(wallMs: number): readonly ReplicaId[] {
    const { fresh, over } = this.#retirement.settle(this.#retired(), wallMs);
    // An own older name, of a card that was put back, may write again at any time.
    for (const replica of over) if (replica !== this.#life?.replica) this.context.forget(replica);
    return fresh;
  }

  /** Retired replicas, and since when. */
  retired(): readonly (readonly [ReplicaId, number])[] {
    return this.#retirement.entries();
  }

  /** The storage says that a replica has been retired since then. */
  restoreRetired(replica: ReplicaId, since: number): void {
    this.#retirement.restore(replica, since);
  }

  /** What is live at addresses of these leaves. */
  *inLeaves(leaves: ReadonlySet<number>): IterableIterator<readonly [CellAddress, number]> {
    for (const [address, { leaf }] of this.#cells) {
      if (leaves.has(leaf)) yield [address, leaf];
    }
  }

  /** Everything that is live, as facts without dead dots. */
  *facts(): IterableIterator<CellFact> {
    for (const [address, { entries }] of this.#cells) yield { address, live: entries, dead: [] };
  }

  /**
   * From here on `replica` writes for this node, with counters from `floor` on: a number that grows with time, so that
   * an older copy of the storage does not use again what was used after it for other writes.
   */
  beginLife(replica: ReplicaId, floor: number): void {
    const first = Math.max(this.context.last(replica) + 1, floor);
    this.#life = { replica, first, next: first };
    this.#bases.clear();
  }

  /**
   * Every member was asked, and nobody holds a write under the counters that this and earlier lives skipped: they count
   * as dead, so that a context does not grow with every start. Gives the interval to tell; empty when there is no gap.
   */
  closeGaps(): readonly (readonly [ReplicaId, Intervals])[] {
    const life = this.#life;
    if (life === undefined || this.context.spansOf(life.replica).length <= 2) return [];
    const last = this.context.last(life.replica);
    const known = [[life.replica, [1, last]]] as const;
    this.context.join(known);
    life.next = last + 1;
    return known;
  }

  /**
   * A page that this node wrote in a life its storage does not remember came back from the mesh. Gives the change that
   * puts what both lives said into one page; undefined when there is nothing to put together.
   */
  reunite(address: CellAddress): CellChange | undefined {
    const replica = this.#life?.replica ?? '';
    const type = parseAddress(address)?.type;
    if (type !== 'counter' && type !== 'bounded-counter') return undefined;
    const own = this.entries(address).filter((entry) => entry.replica === replica);
    const [older, newer] = own.toSorted((left, right) => left.count - right.count);
    if (older === undefined || newer === undefined) return undefined;
    const value = together(type, newer.value, beyond(type, older.value, this.#bases.get(address)));
    return { replaces: (entry) => entry.replica === replica, value };
  }

  /**
   * Never simply after the last known one: that may be of a life whose later counters are not known here yet.
   * @param taken counters that this write has used already
   */
  #nextCount(replica: ReplicaId, taken: number): number {
    const life = this.#life;
    if (life?.replica !== replica) return this.context.last(replica) + 1 + taken;
    const count = this.context.firstFree(replica, life.next);
    life.next = count + 1;
    return count;
  }

  /** Pages are sums: what the page said before this life must not count twice when a lost one comes back. */
  #rememberBase(replica: ReplicaId, address: CellAddress, dead: readonly Dot[]): void {
    const life = this.#life;
    if (life?.replica !== replica) return;
    const old = dead.find((dot) => dot.replica === replica && dot.count < life.first);
    const entry = old && this.entries(address).find((one) => isSame(one, old));
    const type = parseAddress(address)?.type;
    if (entry === undefined || (type !== 'counter' && type !== 'bounded-counter')) return;
    if (!this.#bases.has(address)) this.#bases.set(address, entry.value);
  }

  #retired(): ReadonlySet<ReplicaId> {
    return this.#retirement.among(this.context.replicas(), this.#life?.replica, (replica) =>
      this.#liveOf.has(replica),
    );
  }

  #put(
    address: CellAddress,
    leaf: number,
    change: {
      readonly gone: readonly Entry[];
      readonly added: readonly Entry[];
      readonly after: readonly Entry[];
    },
  ): void {
    const { gone, added, after } = change;
    for (const entry of gone) this.#toggle(address, leaf, entry, -1);
    for (const entry of added) this.#toggle(address, leaf, entry, 1);
    this.#entryCount += added.length - gone.length;
    const cell = this.#cells.get(address);
    if (after.length === 0) this.#cells.delete(address);
    else if (cell === undefined) this.#cells.set(address, { leaf, entries: after });
    else cell.entries = after;
  }

  #toggle(address: CellAddress, leaf: number, entry: Entry, by: 1 | -1): void {
    const [high, low] = entryPrint(address, entry);
    this.digest.toggle(leaf, high, low);
    const count = (this.#liveOf.get(entry.replica) ?? 0) + by;
    if (count > 0) this.#liveOf.set(entry.replica, count);
    else this.#liveOf.delete(entry.replica);
  }
}

/** Whether both name the same write. */
export function isSame(left: Dot, right: Dot): boolean {
  return left.count === right.count && left.replica === right.replica;
}
