/** One replica at work: its core, its files, its state machine, and those who wait for decisions. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Command, Outcome } from '../../protocol/consensus/machine-types.ts';
import { Machine } from '../../protocol/consensus/machine.ts';
import type { Entry, Seat } from '../../protocol/consensus/messages.ts';
import { createRaft } from '../../protocol/consensus/raft.ts';
import type { RaftEffect, RaftInput, Refusal } from '../../protocol/consensus/raft-types.ts';
import { decodeRequest, encodeMachineState, encodeRequest } from '../../wire/machine-codec.ts';
import { encodeSnapshot, recordOfEntry } from '../../wire/raft-codec.ts';
import { drive } from '../drive.ts';
import { RefusedError } from './replica-world.ts';
import type { Replica, ReplicaWorld } from './replica-world.ts';
import { readRestored, restoreMachine } from './restored.ts';
import { HeartbeatWatch } from './timing.ts';

/** Commands that wait to be decided at once; more are refused as overloaded. */
const pendingMax = 8192;

/** Bytes of entries in one message: one parcel of the mesh, less what its letter needs. */
const messageBytesMax: number = 30 * 1024;

/** Indices at which somebody waits to look at the machine; the oldest look is given up. */
const looksMax = 16;

/** Seats whose node is known from their letters. */
const writersMax = 32;

/** Commands in one batch. */
const batchMax = 256;

interface Waiter<Result> {
  resolve(result: Result): void;
  reject(error: Error): void;
}

/** Starts a replica from what its files hold. @throws {RangeError} when its snapshot cannot be read */
export function startReplica(world: ReplicaWorld): Replica {
  const { seat, files, clock, log, metrics } = world;
  const restored = readRestored(files.restored);
  const machine = new Machine();
  if (restored.snapshot !== undefined) restoreMachine(machine, restored.snapshot.data);
  const config = { self: seat, timing: world.timing, limits: { messageBytesMax }, restored };
  const core = createRaft(config, world.random.split());

  let appliedIndex = restored.snapshot?.index ?? 0;
  let nextRef = 1;
  let isStopped = false;
  let writing = 0;
  let isFlushing = false;
  let hasSent = false;
  let stampedAt: Millis = clock.now();
  let wasLeader = false;
  let batch: { ref: number; client: string; number: number; command: Command }[] = [];
  const heartbeats = new HeartbeatWatch(world.timing.heartbeatMs);
  const writers = new BoundedMap<Seat, NodeId>(writersMax);
  const asked = new Map<number, Waiter<Outcome>>();
  const changes = new Map<number, Waiter<void>>();
  const placed = new Map<number, { term: number; waiter: Waiter<Outcome> }>();
  const placedChanges = new Map<number, { term: number; waiter: Waiter<void> }>();
  const reads = new Map<number, Waiter<void>>();
  let ready: { index: number; waiter: Waiter<void> }[] = [];
  const looks = new BoundedMap<number, (isThere: boolean) => void>(looksMax, (_, look) =>
    look(false),
  );

  const driver = drive<RaftInput, RaftEffect>(core, {
    clock,
    tick: { type: 'tick' },
    run,
    failed: (effect, error) =>
      log.error({ error, effect: effect.type }, 'an order of the consensus core failed'),
    overflowed: () => metrics.drop('consensus', 'overflow'),
  });

  function run(effect: RaftEffect): void {
    switch (effect.type) {
      case 'send': {
        const member = core.view().config.members.find((one) => one.seat === effect.to);
        // A replica that has no log yet knows its leader by its letters alone.
        const node = member?.node ?? writers.get(effect.to);
        if (node === undefined) return;
        world.send(effect.to, node, effect.message);
        hasSent = true;
        return;
      }
      case 'persist':
        return persist(effect);
      case 'apply':
        return apply(effect.entries);
      case 'restore':
        restoreMachine(machine, effect.snapshot.data);
        appliedIndex = effect.snapshot.index;
        for (const [index, { waiter }] of placed) {
          if (index > appliedIndex) continue;
          placed.delete(index);
          waiter.reject(new RefusedError('unknown'));
        }
        world.touched([]);
        letLook();
        return answerReads();
      case 'takeSnapshot':
        driver.feed({
          type: 'snapshotTaken',
          index: effect.index,
          data: encodeMachineState(machine.state()),
        });
        return;
      case 'accepted':
        return accepted(effect.ref, effect.index, effect.term);
      case 'refused':
        return refused(effect.ref, effect.reason);
      case 'readable': {
        const waiter = reads.get(effect.ref);
        reads.delete(effect.ref);
        if (waiter !== undefined) ready.push({ index: effect.index, waiter });
        return answerReads();
      }
      case 'announce':
        if (effect.role !== 'follower') heartbeats.interrupted();
        if (effect.role === 'leader' && !wasLeader) stampedAt = clock.now();
        if (effect.role !== 'leader' && wasLeader) deposed();
        wasLeader = effect.role === 'leader';
        return world.changed();
      case 'giveUp':
        end();
        return world.forgot();
      case 'note':
        return metrics.count(effect.code);
    }
  }

  /** A decision is as slow as its slowest step: what goes to others waits for no end of a turn (decision 0060). */
  function feed(input: RaftInput): void {
    driver.feed(input);
    hurry();
  }

  function hurry(): void {
    if (!hasSent) return;
    hasSent = false;
    world.hurry();
  }

  function persist(effect: Extract<RaftEffect, { type: 'persist' }>): void {
    const { seq, hard: state, snapshot: taken } = effect;
    // The letters leave before the write: the loop may wait for it, and others write meanwhile.
    hurry();
    writing += 1;
    files
      .write({
        hard: state,
        records: effect.entries.map(recordOfEntry),
        snapshot: taken && {
          bytes: encodeSnapshot(taken.snapshot),
          keepFrom: taken.keepFrom,
          isForeign: taken.isForeign,
        },
      })
      .then(
        () => {
          writing -= 1;
          feed({ type: 'persisted', seq });
          flushSoon();
        },
        // What the disk holds is not known any more: this replica promises nothing from now on.
        (error: unknown) => fail(error),
      );
  }

  function apply(decided: readonly Entry[]): void {
    const touched: string[] = [];
    // Other members, or the first decision of a term: from then on a leader may say that it leads.
    let isTurn = false;
    for (const entry of decided) {
      letLook();
      appliedIndex = entry.index;
      if (entry.type !== 'command') isTurn = true;
      const outcome = applyOne(entry, touched);
      if (isStopped) return;
      const here = placed.get(entry.index);
      placed.delete(entry.index);
      if (here !== undefined && here.term === entry.term && outcome !== undefined) {
        here.waiter.resolve(outcome);
      } else here?.waiter.reject(new RefusedError('lost'));
      const change = placedChanges.get(entry.index);
      placedChanges.delete(entry.index);
      if (change?.term === entry.term) change.waiter.resolve();
      else change?.waiter.reject(new RefusedError('lost'));
    }
    letLook();
    if (touched.length > 0) world.touched(touched);
    if (isTurn) world.changed();
    answerReads();
  }

  /** Lets those look who wait for this very index, and tells those who have missed theirs. */
  function letLook(): void {
    for (const [index, look] of looks) {
      if (index > appliedIndex && !isStopped) continue;
      looks.delete(index);
      look(index === appliedIndex && !isStopped);
    }
  }

  function applyOne(entry: Entry, touched: string[]): Outcome | undefined {
    if (entry.type !== 'command') return undefined;
    const request = decodeRequest(entry.data);
    if (request === undefined) {
      // To skip what others apply would be to part ways with them.
      fail(new RangeError(`entry ${entry.index} is of another version`));
      return undefined;
    }
    const done = machine.apply(entry.index, request);
    touched.push(...done.touched);
    return done.outcome;
  }

  function answerReads(): void {
    if (ready.length === 0) return;
    const answered = ready.filter(({ index }) => index <= appliedIndex);
    ready = ready.filter(({ index }) => index > appliedIndex);
    for (const { waiter } of answered) waiter.resolve();
  }

  function accepted(ref: number, index: number, term: number): void {
    const command = asked.get(ref);
    asked.delete(ref);
    if (command !== undefined) placed.set(index, { term, waiter: command });
    const change = changes.get(ref);
    changes.delete(ref);
    if (change !== undefined) placedChanges.set(index, { term, waiter: change });
  }

  /** Whether what it has placed will be decided is up to the next leader, if there ever is one: whoever waits asks again. */
  function deposed(): void {
    for (const { waiter } of [...placed.values(), ...placedChanges.values()]) {
      waiter.reject(new RefusedError('unknown'));
    }
    placed.clear();
    placedChanges.clear();
  }

  function refused(ref: number, reason: Refusal): void {
    const waiter = asked.get(ref) ?? reads.get(ref) ?? changes.get(ref);
    asked.delete(ref);
    reads.delete(ref);
    changes.delete(ref);
    waiter?.reject(new RefusedError(reason));
  }

  /** What comes while a write runs becomes the next one: one sync, and one message to each follower, for all of it. */
  function flushSoon(): void {
    if (isFlushing || batch.length === 0 || writing > 0) return;
    isFlushing = true;
    queueMicrotask(() => {
      isFlushing = false;
      if (writing === 0) flush();
    });
  }

  function flush(): void {
    if (isStopped || batch.length === 0) return;
    const now = clock.now();
    const taken = batch.splice(0, batchMax);
    const items = taken.map(({ ref, client, number, command }, at) => {
      // The machine's time moves with its leader's clock; while nobody led it stood still.
      const advanceMs = at === 0 ? Math.max(0, now - stampedAt) : 0;
      return { ref, data: encodeRequest({ client, number, advanceMs, command }) };
    });
    stampedAt = now;
    feed({ type: 'proposed', items });
    flushSoon();
  }

  function fail(error: unknown): void {
    if (isStopped) return;
    end();
    world.failed(error);
  }

  function end(): void {
    isStopped = true;
    driver.stop();
    const stopped = new RefusedError('stopped');
    for (const waiter of [...asked.values(), ...reads.values(), ...changes.values()]) {
      waiter.reject(stopped);
    }
    for (const { waiter } of [...placed.values(), ...placedChanges.values(), ...ready]) {
      waiter.reject(new RefusedError('unknown'));
    }
    for (const one of [asked, reads, changes, placed, placedChanges]) one.clear();
    ready = [];
    batch = [];
    letLook();
  }

  function ask<Result>(
    into: Map<number, Waiter<Result>>,
    feed: (ref: number) => void,
  ): Promise<Result> {
    if (isStopped) return Promise.reject(new RefusedError('stopped'));
    return new Promise<Result>((resolve, reject) => {
      const ref = nextRef;
      nextRef += 1;
      into.set(ref, { resolve, reject });
      feed(ref);
    });
  }

  return {
    seat,
    machine,
    view: () => core.view(),
    received(from, node, message) {
      writers.set(from, node);
      if (message.type === 'heartbeat') heartbeats.heard(clock.now(), from);
      feed({ type: 'received', from, message });
    },
    linkClosed: (closed) => driver.feed({ type: 'linkClosed', seat: closed }),
    woke() {
      heartbeats.interrupted();
      driver.feed({ type: 'woke' });
    },
    timed: (timing) => driver.feed({ type: 'timed', timing }),
    lateMs: () => heartbeats.lateMs(),
    leaderPhi: () => heartbeats.phi(clock.now()),
    submit(client, number, command) {
      if (asked.size + placed.size >= pendingMax) {
        return Promise.reject(new RefusedError('overloaded'));
      }
      return ask(asked, (ref) => {
        batch.push({ ref, client, number, command });
        flushSoon();
      });
    },
    at: (index, look) =>
      new Promise((resolve) => {
        looks.get(index)?.(false);
        looks.set(index, (isThere) => resolve(isThere ? look(machine) : undefined));
        letLook();
      }),
    read: () => ask(reads, (ref) => feed({ type: 'readAsked', ref })),
    change: (change) => ask(changes, (ref) => driver.feed({ type: 'changeAsked', ref, change })),
    transfer: (to) => driver.feed({ type: 'transferAsked', to }),
    sinceStampMs: () => (wasLeader ? Math.max(0, clock.now() - stampedAt) : 0),
    async stop() {
      if (!isStopped) end();
      await files.close();
    },
  };
}
