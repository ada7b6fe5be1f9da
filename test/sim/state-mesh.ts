/** Replicas on a simulated network with loss, partitions, crashes and old or lost storage; and an oracle that knows every write. */

import { createHybridClock } from '../../src/kernel/hlc.ts';
import type { HybridClock } from '../../src/kernel/hlc.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { Intervals } from '../../src/protocol/replication/causal-context.ts';
import { addressOf } from '../../src/protocol/replication/cell.ts';
import type { StateMessage } from '../../src/protocol/replication/messages.ts';
import { ReplicaState } from '../../src/protocol/replication/replica-state.ts';
import type { CellFact } from '../../src/protocol/replication/replica-state.ts';
import { createStateSync } from '../../src/protocol/replication/state-sync.ts';
import type { StateSyncEffect, StateSyncInput } from '../../src/protocol/replication/state-sync.ts';
import type { CellChange } from '../../src/protocol/replication/writes.ts';
import { assign, clear } from '../../src/protocol/replication/writes.ts';
import { encodeCbor } from '../../src/wire/cbor.ts';
import { decodeStateMessage, encodeStateMessage } from '../../src/wire/state-codec.ts';
import { contextParts, factParts, ReplicaTable } from '../../src/wire/state-facts.ts';
import { EventHeap } from './event-heap.ts';
import { simNodeId } from './routing-mesh.ts';

/** Planted bugs of which the oracle must catch every one. */
export type StateMutation =
  /** The prior art's: part of the state travels with the whole context (protocols 3.3). */
  | 'whole-context'
  /** Removals are heard and not believed. */
  | 'deaf-to-removals'
  /** A context is taken over although the states differ. */
  | 'context-of-another-state'
  /** A life after a restart counts on where the storage ends. */
  | 'counters-reused'
  /** Replicas are forgotten as soon as they are retired: whoever was away brings back what they had removed. */
  | 'forgotten-at-once';

/** What wall clocks show when a run begins, in ms: clocks that are behind show something, too. */
const wallEpochMs = 1_000_000_000_000;

/** Knobs of a run. */
export interface StateMeshOptions {
  readonly seed: number;
  readonly count: number;
  readonly loss?: number;
  readonly mutation?: StateMutation;
}

type Kept =
  | { readonly facts: readonly CellFact[] }
  | { readonly known: readonly (readonly [string, Intervals])[] }
  | { readonly replicas: readonly string[]; readonly since: number };

interface SimNode {
  readonly id: NodeId;
  replica: string;
  journal: Kept[];
  /** Records that are on disk; own writes always are before anybody hears of them. */
  synced: number;
  state: ReplicaState;
  core: ReturnType<typeof createStateSync>;
  clock: HybridClock;
  /** How far its wall clock is from the truth, in ms. */
  skewMs: number;
  isUp: boolean;
  lives: number;
}

/** The mesh. */
export class StateMesh {
  readonly nodes: SimNode[];
  readonly random: Random;
  now = 0;
  /** Parcels sent, and their bytes. */
  sent: { parcels: number; bytes: number } = { parcels: 0, bytes: 0 };
  #heap = new EventHeap();
  #wakeAt = new Map<SimNode, number>();
  #side = new Map<SimNode, number>();
  #gone = new Set<SimNode>();
  #options: StateMeshOptions;
  #loss: number;
  /** Dots that an acknowledged write made, and those that one took away. */
  readonly made: Map<string, string> = new Map();
  readonly taken: Set<string> = new Set();
  /** Dots whose fate went down with a lost storage. */
  readonly excused: Set<string> = new Set();
  /** Replicas that a planted bug has forgotten. */
  readonly #forgotten: Set<string> = new Set();

  constructor(options: StateMeshOptions) {
    this.#options = options;
    this.#loss = options.loss ?? 0;
    this.random = createRandom(options.seed);
    this.nodes = Array.from({ length: options.count }, (_, at) => this.#createNode(simNodeId(at)));
    for (const node of this.nodes) this.#introduce(node);
  }

  /** A local write that is on disk when this returns. */
  write(at: number, address: string, change: CellChange): CellFact {
    const node = this.nodes[at] as SimNode;
    const fact = node.state.write(
      node.replica,
      address,
      change,
      node.clock.tick(wallEpochMs + this.now + node.skewMs),
    );
    for (const { replica, count } of fact.live) this.made.set(`${replica} ${count}`, address);
    for (const { replica, count } of fact.dead) this.taken.add(`${replica} ${count}`);
    this.#keep(node, { facts: [fact] });
    node.synced = node.journal.length;
    this.#feed(node, { type: 'wrote', facts: [fact] });
    return fact;
  }

  set(at: number, key: string, value: number): void {
    this.write(at, addressOf('register', [key]), assign(value));
  }

  remove(at: number, key: string): void {
    this.write(at, addressOf('register', [key]), clear());
  }

  /** Splits the mesh: only nodes of the same side reach each other. Membership notices after a while. */
  split(sideOf: (at: number) => number): void {
    for (const [at, node] of this.nodes.entries()) this.#side.set(node, sideOf(at));
    this.#later(500, () => this.#membership());
  }

  heal(): void {
    this.#side.clear();
    this.#later(500, () => this.#membership());
  }

  /** No more loss from here on. */
  calm(): void {
    this.#loss = 0;
  }

  crash(at: number, fate: 'kept' | 'lost' | 'older'): void {
    const node = this.nodes[at] as SimNode;
    node.isUp = false;
    const before = node.state;
    node.journal = node.journal.slice(0, node.synced);
    if (fate === 'lost') node.journal = [];
    if (fate === 'older') node.journal = node.journal.slice(0, this.random.below(node.synced + 1));
    node.synced = node.journal.length;
    // A replica is named by its storage: without any, a new name.
    if (node.synced === 0) node.replica = this.#replicaOf(node.id, node.lives);
    this.#excuse(before, node);
    this.#later(500, () => this.#membership());
  }

  /** Membership gives the node up for good: it is none of those that may come back. */
  leave(at: number): void {
    this.#gone.add(this.nodes[at] as SimNode);
    for (const node of this.nodes) this.#tellMembers(node);
  }

  /** It is a member again. */
  back(at: number): void {
    this.#gone.delete(this.nodes[at] as SimNode);
    for (const node of this.nodes) this.#tellMembers(node);
  }

  /** Sets a wall clock: a step, as of a board that has just heard the time, or of one that has lost it. */
  step(at: number, skewMs: number): void {
    (this.nodes[at] as SimNode).skewMs = Math.round(skewMs);
  }

  restart(at: number): void {
    const node = this.nodes[at] as SimNode;
    const fresh = this.#createNode(node.id, node);
    Object.assign(node, fresh);
    this.#introduce(node);
    this.#later(100, () => this.#membership());
  }

  /** Runs until the time has come. */
  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      let next: SimNode | undefined;
      let at = Infinity;
      for (const [node, wake] of this.#wakeAt) {
        if (node.isUp && wake < at) [next, at] = [node, wake];
      }
      const letter = this.#heap.nextAt();
      const soon = Math.min(at, letter);
      if (soon > end) break;
      this.now = Math.max(this.now, soon);
      if (letter <= at) this.#heap.pop()?.();
      else if (next !== undefined) this.#feed(next, { type: 'tick' });
    }
    this.now = end;
  }

  /** The whole replica as bytes: equal replicas have equal ones. */
  bytes(at: number): Uint8Array {
    const { state } = this.nodes[at] as SimNode;
    return stateBytes(state);
  }

  /** What is wrong, in words; empty when nothing is. */
  verdict(): string[] {
    const wrong: string[] = [];
    const first = Buffer.from(this.bytes(0));
    for (const at of this.nodes.keys()) {
      if (!first.equals(this.bytes(at))) wrong.push(`replica ${at} differs from replica 0`);
    }
    for (const [at, { state }] of this.nodes.entries()) {
      const live = new Set<string>();
      for (const address of state.addresses()) {
        for (const { replica, count } of state.entries(address)) live.add(`${replica} ${count}`);
      }
      let lost = 0;
      let back = 0;
      for (const dot of this.made.keys()) {
        if (this.excused.has(dot)) continue;
        if (!live.has(dot) && !this.taken.has(dot)) lost += 1;
        if (live.has(dot) && this.taken.has(dot)) back += 1;
      }
      if (lost > 0) wrong.push(`replica ${at} lost ${lost} of ${this.made.size} writes`);
      if (back > 0) wrong.push(`replica ${at} has ${back} removed writes back`);
    }
    return wrong;
  }

  /** What only the lost storage knew cannot be asked of the others. */
  #excuse(before: ReplicaState, node: SimNode): void {
    const after = new ReplicaState();
    for (const kept of node.journal) replay(after, kept);
    const others = this.nodes.filter((one) => one !== node).map(({ state }) => state);
    const holders = [after, ...others];
    for (const [dot, address] of this.made) {
      const [replica = '', count = ''] = dot.split(' ');
      const number = Number(count);
      if (!before.context.has(replica, number)) continue;
      const isLive = (state: ReplicaState): boolean =>
        state.entries(address).some((one) => one.replica === replica && one.count === number);
      const has = (one: ReplicaState): boolean =>
        one.context.has(replica, number) || this.#forgotten.has(replica);
      const isKnown = holders.some(has);
      const isDead = holders.some((one) => has(one) && !isLive(one));
      if (!isKnown || (this.taken.has(dot) && !isDead)) this.excused.add(dot);
    }
  }

  #replicaOf(id: NodeId, life: number): string {
    return `${id}:${life}`;
  }

  #createNode(id: NodeId, old?: SimNode): SimNode {
    const state = new ReplicaState();
    for (const kept of old?.journal ?? []) replay(state, kept);
    const lives = (old?.lives ?? 0) + 1;
    const replica = old?.replica ?? this.#replicaOf(id, 0);
    const isReused = this.#options.mutation === 'counters-reused';
    state.beginLife(replica, isReused ? 0 : Math.floor(this.now));
    const core = createStateSync(
      { state, compareMs: 2_000, gatherMs: 10, answerMs: 500, driftMsMax: 60_000 },
      this.random.split(),
    );
    const clock = createHybridClock();
    return {
      id,
      replica,
      state,
      core,
      clock,
      skewMs: old?.skewMs ?? 0,
      journal: old?.journal ?? [],
      synced: old?.synced ?? 0,
      isUp: true,
      lives,
    };
  }

  #tellMembers(node: SimNode): void {
    const others = this.nodes.filter((one) => one !== node && !this.#gone.has(one));
    this.#feed(node, { type: 'members', nodes: others.map(({ id }) => id) });
  }

  #introduce(node: SimNode): void {
    this.#tellMembers(node);
    for (const other of this.nodes) {
      if (other === node || !other.isUp) continue;
      this.#feed(node, { type: 'peerUp', node: other.id });
    }
  }

  #membership(): void {
    for (const node of this.nodes) {
      if (!node.isUp) continue;
      for (const other of this.nodes) {
        if (other === node) continue;
        const isThere = other.isUp && this.#reaches(node, other);
        this.#feed(node, { type: isThere ? 'peerUp' : 'peerDown', node: other.id });
      }
    }
  }

  #reaches(one: SimNode, other: SimNode): boolean {
    return (this.#side.get(one) ?? 0) === (this.#side.get(other) ?? 0);
  }

  #feed(node: SimNode, input: StateSyncInput): void {
    if (!node.isUp) return;
    for (const effect of node.core.step(this.now, input)) this.#carryOut(node, effect);
    this.#wakeAt.set(node, node.core.deadline());
  }

  #carryOut(node: SimNode, effect: StateSyncEffect): void {
    const { mutation } = this.#options;
    if (effect.type === 'learned') this.#keep(node, { facts: effect.facts });
    if (effect.type === 'learnedContext') this.#keep(node, { known: effect.known });
    if (effect.type === 'retired') {
      this.#keep(node, effect);
      for (const replica of mutation === 'forgotten-at-once' ? effect.replicas : []) {
        node.state.context.forget(replica);
        this.#forgotten.add(replica);
      }
    }
    if (effect.type !== 'send') return;
    const to = this.nodes.find(({ id }) => id === effect.to);
    const bytes = encodeStateMessage(effect.message);
    this.sent.parcels += 1;
    this.sent.bytes += bytes.length;
    if (bytes.length > 32 * 1024) throw new Error(`a parcel of ${bytes.length} bytes`);
    const copies = this.random.below(50) === 0 ? 2 : 1;
    for (let copy = 0; copy < copies && to !== undefined; copy += 1) {
      if (this.random.unit() < this.#loss) continue;
      const context = mutation === undefined ? [] : node.state.context.entries();
      this.#later(1 + this.random.below(30), () => {
        if (!to.isUp || !this.#reaches(node, to)) return;
        const message = decodeStateMessage(bytes);
        if (message === undefined) throw new Error(`unreadable ${effect.message.kind}`);
        const heard = mutation === 'deaf-to-removals' ? withoutDeaths(message) : message;
        const input = {
          type: 'received',
          from: node.id,
          message: heard,
          wallMs: wallEpochMs + this.now + to.skewMs,
        } as const;
        this.#feed(to, input);
        const isFragment = message.kind === 'repair' || message.kind === 'rest';
        if (mutation === 'whole-context' && isFragment) to.state.joinContext(context);
        if (mutation === 'context-of-another-state' && message.kind === 'root') {
          to.state.joinContext(context);
        }
      });
    }
  }

  #keep(node: SimNode, kept: Kept): void {
    node.journal.push(kept);
    const life = node.lives;
    const length = node.journal.length;
    this.#later(1 + this.random.below(3_000), () => {
      if (node.isUp && node.lives === life) node.synced = Math.max(node.synced, length);
    });
  }

  #later(ms: number, run: () => void): void {
    this.#heap.push(this.now + ms, 0, run);
  }
}

function withoutDeaths(message: StateMessage): StateMessage {
  if (!('facts' in message)) return message;
  return { ...message, facts: message.facts.map((fact) => ({ ...fact, dead: [] })) };
}

/** Puts a record of the journal back into a state. */
function replay(state: ReplicaState, kept: Kept): void {
  if ('known' in kept) state.joinContext(kept.known);
  else if ('replicas' in kept) {
    for (const replica of kept.replicas) state.restoreRetired(replica, kept.since);
  } else for (const fact of kept.facts) state.join(fact);
}

/** What replicas must agree on as bytes, independent of the order in which it learned things. */
export function stateBytes(state: ReplicaState): Uint8Array {
  const table = new ReplicaTable();
  const facts = [...state.facts()]
    .sort((left, right) => (left.address < right.address ? -1 : 1))
    .map((fact) => ({
      ...fact,
      live: fact.live.toSorted(
        (left, right) => left.count - right.count || (left.replica < right.replica ? -1 : 1),
      ),
    }));
  const context = contextParts(state.told(), table);
  return encodeCbor([context, facts.map((fact) => factParts(fact, table)), table.names]);
}
