/** Replicated state at work: the core between the journal, the mesh and whoever reads, writes and watches. */

import { createHybridClock } from '../../kernel/hlc.ts';
import type { Hlc, HybridClock } from '../../kernel/hlc.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { ReplicaId } from '../../protocol/replication/causal-context.ts';
import { readBounded } from '../../protocol/replication/cell.ts';
import type { CellAddress, Entry, Plain } from '../../protocol/replication/cell.ts';
import { ReplicaState } from '../../protocol/replication/replica-state.ts';
import type { CellFact } from '../../protocol/replication/replica-state.ts';
import { createStateSync } from '../../protocol/replication/state-sync.ts';
import type { StateSyncEffect, StateSyncInput } from '../../protocol/replication/state-sync.ts';
import { give } from '../../protocol/replication/writes.ts';
import type { CellChange } from '../../protocol/replication/writes.ts';
import { decodeStateMessage, encodeStateMessage } from '../../wire/state-codec.ts';
import { drive } from '../drive.ts';
import type { Driver } from '../drive.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import { openStateStorage } from './state-storage.ts';
import type { StateStorage } from './state-storage.ts';

/** Addresses with a value that one node takes; a new one beyond is refused. */
export const stateAddressesMax = 200_000;

/** A time this far ahead of the wall clock is refused, in ms: a day, because the clock here may be the wrong one. */
export const stateDriftMsMax = 86_400_000;

/** The protocol's name on the mesh. */
const protocol = 'state';

/** How often a journal that the disk had refused is tried again, in ms. */
const retryMs = 10_000;

/** Counters of a life begin at the seconds since 2026 times this: more writes a second for years are not expected. */
const countsPerSecond = 64;
const countsSince: number = Date.UTC(2026, 0, 1);

/** Intervals of the parameter sheet (protocols 10), in ms. */
const pace = {
  loopback: { compareMs: 500, gatherMs: 5, answerMs: 500 },
  fast: { compareMs: 2_000, gatherMs: 5, answerMs: 500 },
  wired: { compareMs: 10_000, gatherMs: 20, answerMs: 1_000 },
  wifi: { compareMs: 60_000, gatherMs: 50, answerMs: 3_000 },
} as const;

/** Something others wrote. */
export interface StateLearned {
  readonly from: NodeId;
  readonly facts: readonly CellFact[];
  /** It was found by comparing, not pushed. */
  readonly isRepair: boolean;
}

/** What is worth telling a person. */
export interface StateAlert {
  readonly code: 'clock-ahead-there' | 'clock-ahead-here' | 'storage-damaged' | 'storage-refused';
  readonly text: string;
}

/** A picture for status and doctor. */
export interface StateStatus {
  readonly keys: number;
  readonly entries: number;
  readonly replica: ReplicaId;
  readonly replicas: number;
  readonly contextIntervals: number;
  readonly waiting: number;
  readonly journal: {
    readonly bytes: number;
    readonly records: number;
    /** Bytes written to flash a day, at the rate since the start. */
    readonly flashBytesPerDay: number;
    readonly trouble: string | undefined;
    readonly notes: readonly string[];
  };
}

/** The state of this node. */
export interface StateRoom {
  readonly part: NodePart;
  replica(): ReplicaId;
  read(address: CellAddress): Plain | undefined;
  entries(address: CellAddress): readonly Entry[];
  addresses(): Iterable<CellAddress>;
  /**
   * Changes one cell; `decide` may decline by giving undefined. Resolves with whether it was changed, when the change
   * is on disk.
   * @throws {MycelError} MYCEL_NOT_RUNNING, MYCEL_STATE_INVALID
   */
  change(
    address: CellAddress,
    decide: (entries: readonly Entry[], replica: ReplicaId) => CellChange | undefined,
  ): Promise<boolean>;
  /** Hears of every address whose value may be another one now, also by own writes. */
  onChanged(listener: (addresses: readonly CellAddress[]) => void): () => void;
  onLearned(listener: (learned: StateLearned) => void): () => void;
  onAgreed(listener: (peer: NodeId) => void): () => void;
  /** Asks every peer for rights of a bounded counter. */
  ask(address: CellAddress, amount: number): void;
  /** A timestamp of this node's hybrid clock. */
  tick(): Hlc;
  /** Learns the time of a message. */
  observe(at: Hlc): void;
  status(): StateStatus;
  /** A fingerprint of everything that is live, in hex: equal on nodes whose state is equal. */
  fingerprint(): string;
}

/** Builds it. */
export function createStateRoom(world: PartWorld): StateRoom {
  const { clock, log, mesh, metrics } = world;
  const changed = new Set<(addresses: readonly CellAddress[]) => void>();
  const learned = new Set<(one: StateLearned) => void>();
  const agreed = new Set<(peer: NodeId) => void>();
  let state = new ReplicaState();
  let hybrid: HybridClock = createHybridClock({ driftMsMax: stateDriftMsMax });
  let storage: StateStorage | undefined;
  let driver: Driver<StateSyncInput> | undefined;
  let core: ReturnType<typeof createStateSync> | undefined;
  let stops: (() => void)[] = [];
  let startedAt = 0;

  function tell<Value>(listeners: ReadonlySet<(value: Value) => void>, value: Value): void {
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        log.error({ error }, 'a listener to replicated state threw');
      }
    }
  }

  function alert(code: StateAlert['code'], text: string): void {
    world.alert(code, text);
  }

  function here(): StateStorage {
    if (storage === undefined) throw new MycelError('MYCEL_NOT_RUNNING');
    return storage;
  }

  async function change(
    address: CellAddress,
    decide: (entries: readonly Entry[], replica: ReplicaId) => CellChange | undefined,
  ): Promise<boolean> {
    const open = here();
    const entries = state.entries(address);
    if (entries.length === 0 && state.size >= stateAddressesMax) {
      throw new MycelError('MYCEL_STATE_INVALID', {
        reason: `There are ${stateAddressesMax} keys already.`,
        fix: 'Remove keys that are not needed.',
      });
    }
    const wanted = decide(entries, open.replica);
    if (wanted === undefined) return false;
    const fact = state.write(open.replica, address, wanted, hybrid.tick(clock.wallMs()));
    if (fact.live.length + fact.dead.length === 0) return false;
    metrics.count('state.writes');
    tell(changed, [address]);
    await open.keep([fact]);
    // Nobody hears of a write that a power cut could take back.
    driver?.feed({ type: 'wrote', facts: [fact] });
    return true;
  }

  function takeIn({ from, facts, isRepair }: StateLearned): void {
    storage?.keepLazily(facts);
    metrics.count(isRepair ? 'state.repaired' : 'state.pushed', facts.length);
    for (const fact of facts) {
      for (const { at } of fact.live) hybrid.observe(clock.wallMs(), at);
    }
    tell(learned, { from, facts, isRepair });
    tell(
      changed,
      facts.map(({ address }) => address),
    );
    for (const { address, live } of facts) {
      if (!live.some(({ replica }) => replica === storage?.replica)) continue;
      const reunion = state.reunite(address);
      if (reunion !== undefined) void change(address, () => reunion);
    }
  }

  /** Gives a peer what it lacks: as much as it asked for, at most half of what this node may spend. */
  function answerAsk(address: CellAddress, amount: number, to: ReplicaId): void {
    const { rights } = readBounded(state.entries(address));
    const mine = rights.get(storage?.replica ?? '') ?? 0;
    const gift = Math.min(amount, Math.ceil(mine / 2));
    if (gift <= 0) return;
    void change(address, (entries, replica) => give(entries, replica, to, gift));
  }

  function run(effect: StateSyncEffect): void {
    switch (effect.type) {
      case 'send':
        mesh.send(effect.to, protocol, encodeStateMessage(effect.message));
        return;
      case 'learned':
        return takeIn(effect);
      case 'learnedContext':
        storage?.keepContext(effect.known);
        return;
      case 'retired':
        storage?.keepRetired(effect.replicas, effect.since);
        return;
      case 'agreed':
        return tell(agreed, effect.with);
      case 'asked':
        return answerAsk(effect.address, effect.amount, effect.replica);
      case 'poison': {
        metrics.drop('state', 'clock ahead', effect.count);
        const days = Math.round(effect.aheadMs / 86_400_000);
        return alert(
          'clock-ahead-there',
          `${effect.count} writes from ${effect.from} were not taken: their time is ${days} days ahead. Set that clock; the values here stay as they are.`,
        );
      }
      case 'refused': {
        const days = Math.round(effect.aheadMs / 86_400_000);
        return alert(
          'clock-ahead-here',
          `${effect.by} refuses writes of this node: their time is ${days} days ahead. Set the clock and start the node again; the writes are kept and will be told with the right time.`,
        );
      }
    }
  }

  /** Writes of this node that carry a time far ahead, from when its clock was wrong: they get the time that is right. */
  function setTimesRight(replica: ReplicaId): CellFact[] {
    const latest = clock.wallMs() + stateDriftMsMax;
    const facts: CellFact[] = [];
    for (const address of state.addresses()) {
      for (const entry of state.entries(address)) {
        if (entry.replica !== replica || entry.at.wallMs <= latest) continue;
        const replaces = (one: Entry): boolean => one === entry;
        const again = { replaces, value: entry.value };
        facts.push(state.write(replica, address, again, hybrid.tick(clock.wallMs())));
      }
    }
    return facts;
  }

  function highestTime(): Hlc {
    const latest = clock.wallMs() + stateDriftMsMax;
    let highest: Hlc = { wallMs: 0, count: 0 };
    for (const address of state.addresses()) {
      for (const { at } of state.entries(address)) {
        const isHigher =
          at.wallMs > highest.wallMs || (at.wallMs === highest.wallMs && at.count > highest.count);
        if (isHigher && at.wallMs <= latest) highest = at;
      }
    }
    return highest;
  }

  async function start(): Promise<void> {
    const random = world.random();
    const fresh = new ReplicaState();
    state = fresh;
    startedAt = clock.now();
    const open = await openStateStorage(
      world.adapters.openJournal(world.dataDir),
      fresh,
      () => `${mesh.self}:${mesh.boot().toString(36)}.${random.below(2 ** 32).toString(36)}`,
    );
    const seconds = Math.max(0, Math.floor((clock.wallMs() - countsSince) / 1_000));
    fresh.beginLife(open.replica, seconds * countsPerSecond);
    hybrid = createHybridClock({ driftMsMax: stateDriftMsMax, restored: highestTime() });
    const corrected = setTimesRight(open.replica);
    if (corrected.length > 0) await open.keep(corrected);
    storage = open;
    const { findings } = open.journal;
    if (findings.hasLosses) {
      alert(
        'storage-damaged',
        `The stored state was damaged: ${findings.notes.join('; ')}. It is filled again from the mesh.`,
      );
    }
    core = createStateSync(
      { state: fresh, ...pace[world.options.profile ?? 'wired'], driftMsMax: stateDriftMsMax },
      random,
    );
    const driven = drive(core, {
      clock,
      tick: { type: 'tick' },
      run,
      failed: (effect, error) => log.error({ error, effect: effect.type }, 'an effect failed'),
      overflowed: () => metrics.drop('state', 'inbox'),
    });
    driver = driven;
    const members = (): void => {
      const nodes = world.node.members().filter((one) => !one.isSelf && one.state !== 'left');
      driven.feed({ type: 'members', nodes: nodes.map(({ id }) => id) });
    };
    stops = [
      mesh.handle(protocol, (from, bytes) => {
        const message = decodeStateMessage(bytes);
        if (message === undefined) return metrics.drop('state', 'not understood');
        driven.feed({ type: 'received', from, message, wallMs: clock.wallMs() });
      }),
      mesh.onChange((peer) => {
        if (peer.kind === 'up') driven.feed({ type: 'peerUp', node: peer.node });
        else if (peer.kind === 'down') driven.feed({ type: 'peerDown', node: peer.node });
        else if (peer.kind !== 'moved') driven.feed({ type: peer.kind, node: peer.node });
      }),
      world.node.on('member', members),
    ];
    for (const node of mesh.peers()) {
      driven.feed({ type: 'peerUp', node });
      if (mesh.isLinked(node)) driven.feed({ type: 'linked', node });
    }
    members();
    retry();
  }

  let cancelRetry = (): void => {};
  let trouble: string | undefined;
  function retry(): void {
    cancelRetry = clock.alarm(clock.now() + retryMs, retry);
    storage?.compactIfWanted();
    const now = storage?.journal.view().trouble;
    if (now !== undefined && now !== trouble) alert('storage-refused', now);
    trouble = now;
  }

  return {
    part: {
      start,
      async stop() {
        cancelRetry();
        for (const end of stops) end();
        stops = [];
        driver?.stop();
        const open = storage;
        storage = undefined;
        await open?.journal.close();
      },
    },
    replica: () => here().replica,
    read: (address) => state.read(address),
    entries: (address) => state.entries(address),
    addresses: () => state.addresses(),
    change,
    onChanged: (listener) => subscribe(changed, listener),
    onLearned: (listener) => subscribe(learned, listener),
    onAgreed: (listener) => subscribe(agreed, listener),
    ask(address, amount) {
      const { replica } = here();
      const message = encodeStateMessage({ kind: 'ask', address, amount, replica });
      for (const node of mesh.peers()) mesh.send(node, protocol, message);
    },
    tick: () => hybrid.tick(clock.wallMs()),
    observe: (at) => void hybrid.observe(clock.wallMs(), at),
    status() {
      const { journal, replica } = here();
      const view = journal.view();
      const days = Math.max(1, clock.now() - startedAt) / 86_400_000;
      return {
        keys: state.size,
        entries: state.entryCount,
        replica,
        replicas: state.context.replicaCount,
        contextIntervals: state.context.intervalCount,
        waiting: core?.view().waiting ?? 0,
        journal: {
          bytes: view.bytes,
          records: view.recordCount,
          flashBytesPerDay: Math.round(view.flashBytes / Math.max(days, 1 / 24)),
          trouble: view.trouble,
          notes: journal.findings.notes,
        },
      };
    },
    fingerprint: () => {
      const [high, low] = state.digest.root();
      return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
    },
  };
}

function subscribe<Value>(listeners: Set<Value>, listener: Value): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
