/** Groups of replicas in the simulated world: the production core and state machine on disks that fail, with clients. */

import type { Core } from '../../src/kernel/core.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import type { Random } from '../../src/kernel/random.ts';
import { Machine } from '../../src/protocol/consensus/machine.ts';
import type { Outcome } from '../../src/protocol/consensus/machine-types.ts';
import type {
  Configuration,
  Entry,
  RaftMessage,
  Seat,
} from '../../src/protocol/consensus/messages.ts';
import { createRaft as createProductionRaft } from '../../src/protocol/consensus/raft.ts';
import type {
  RaftEffect,
  RaftInput,
  RaftLimits,
  RaftTiming,
  RaftView,
} from '../../src/protocol/consensus/raft-types.ts';
import {
  decodeMachineState,
  decodeRequest,
  encodeMachineState,
} from '../../src/wire/machine-codec.ts';
import { ReplicaDisk } from './replica-disk.ts';
import type { DiskKnobs, Found } from './replica-disk.ts';
import { simNodeId } from './routing-mesh.ts';
import type { Host, HostAdapter, HostId, HostOptions, World } from './world.ts';

/** What travels: a message with the seats at both ends. */
export interface RaftLetter {
  readonly type: string;
  readonly from: Seat;
  readonly to: Seat;
  readonly message: RaftMessage;
}

/** A group's knobs. */
export interface GroupKnobs {
  readonly timing: RaftTiming;
  readonly limits?: Partial<RaftLimits> | undefined;
  /** A changed core, to see whether the checkers notice. */
  readonly createRaft?: typeof createProductionRaft;
  /** A changed state machine. */
  readonly createMachine?: () => Machine;
  /** A disk that says "done" before it is. */
  readonly isBarrierDropped?: boolean;
}

/** Facts for the hosts' cores, or a message for another seat than the one that lives there. */
type HostInput = RaftInput | { readonly type: 'strayed' };

/** What a replica tells its clients. */
export interface ReplicaEvents {
  accepted(host: HostId, ref: number, index: number, term: number): void;
  refused(host: HostId, ref: number): void;
  applied(host: HostId, entry: Entry, outcome: Outcome | undefined): void;
  /** Everything up to the read's index is applied at this host's machine. */
  readable(host: HostId, ref: number, machine: Machine): void;
}

/** One host of a group. */
export interface ReplicaHost {
  readonly id: HostId;
  readonly host: Host<HostInput, RaftView | undefined>;
  readonly disk: ReplicaDisk;
  /** The seat that lives here; 0: none, or its disk lost it. */
  seat: Seat;
  machine: Machine;
  appliedIndex: number;
  /** The snapshot that its machine holds came from there. */
  restoredAt: number;
  /** What its disk held when it started. */
  found: Found | undefined;
}

/** A group and whoever could be in it. */
export interface SimGroup {
  readonly world: World<RaftLetter>;
  readonly hosts: Map<HostId, ReplicaHost>;
  readonly seats: Map<Seat, HostId>;
  readonly listeners: Set<ReplicaEvents>;
  knobs: GroupKnobs;
  /** Lays a fresh replica down under a seat and starts it. */
  seatAt(id: HostId, seat: Seat): void;
  leader(): ReplicaHost | undefined;
}

/** The first configuration: the first `voters` hosts, with the seats 1, 2, 3… */
export function firstConfiguration(ids: readonly HostId[], voters: number): Configuration {
  const seats = ids.slice(0, voters).map((_, at) => at + 1);
  const members = seats.map((seat) => ({ seat, node: simNodeId(seat) }));
  return { voters: seats, outgoing: [], learners: [], members, lastSeat: voters };
}

/** Builds a group in a world. */
export function createSimGroup(
  world: World<RaftLetter>,
  options: {
    readonly ids: readonly HostId[];
    readonly voters: number;
    readonly knobs: GroupKnobs;
    readonly random: Random;
    disk(at: number): DiskKnobs;
    machine?(): HostOptions;
  },
): SimGroup {
  const config = firstConfiguration(options.ids, options.voters);
  const group: SimGroup = {
    world,
    hosts: new Map(),
    seats: new Map(),
    listeners: new Set(),
    knobs: options.knobs,
    seatAt(id, seat) {
      const replica = group.hosts.get(id) as ReplicaHost;
      world.inject({ type: 'crash', host: id });
      replica.disk.format({ hard: { term: 0, vote: 0 }, snapshot: undefined, entries: [] });
      replica.seat = seat;
      group.seats.set(seat, id);
      world.inject({ type: 'restart', host: id });
    },
    leader() {
      let best: ReplicaHost | undefined;
      let term = 0;
      for (const replica of group.hosts.values()) {
        if (replica.host.phase() !== 'running') continue;
        const view = replica.host.view();
        if (view?.role === 'leader' && view.term > term) [best, term] = [replica, view.term];
      }
      return best;
    },
  };
  options.ids.forEach((id, at) => {
    const disk = new ReplicaDisk(options.disk(at), options.random.split());
    const isVoter = at < options.voters;
    const data = encodeMachineState(new Machine().state());
    if (isVoter) {
      disk.format({
        hard: { term: 1, vote: 0 },
        snapshot: { index: 1, term: 1, config, data },
        entries: [],
      });
    }
    const seat = isVoter ? at + 1 : 0;
    if (isVoter) group.seats.set(seat, id);
    const replica: ReplicaHost = {
      id,
      disk,
      seat,
      machine: new Machine(),
      appliedIndex: 0,
      restoredAt: 0,
      found: undefined,
      host: undefined as never,
    };
    group.hosts.set(id, replica);
    const adapter = adapterOf(group, replica);
    const host = world.addHost(id, adapter, options.machine?.() ?? {});
    (replica as { host: unknown }).host = host;
  });
  return group;
}

const idle: Core<HostInput, RaftEffect, RaftView | undefined> = {
  step: () => [],
  deadline: () => Infinity,
  view: () => undefined,
};

function adapterOf(
  group: SimGroup,
  replica: ReplicaHost,
): HostAdapter<RaftLetter, HostInput, RaftEffect, RaftView | undefined> {
  const { world } = group;
  let queue: Extract<RaftEffect, { type: 'persist' }>[] = [];
  let isWriting = false;
  let isFirst = true;
  let reads: { ref: number; index: number }[] = [];

  function pump(): void {
    if (isWriting || queue.length === 0) return;
    const writes = queue;
    queue = [];
    isWriting = true;
    const boots = replica.host.boots();
    const seq = writes.at(-1)?.seq ?? 0;
    const tookMs = replica.disk.begin(writes);
    if (group.knobs.isBarrierDropped === true) replica.host.feed({ type: 'persisted', seq });
    world.at(world.now + tookMs, () => {
      // A process that died meanwhile does not hear of it; its disk was torn when it came back.
      if (replica.host.boots() !== boots || replica.host.phase() === 'down') return;
      replica.disk.done();
      isWriting = false;
      if (group.knobs.isBarrierDropped !== true) replica.host.feed({ type: 'persisted', seq });
      pump();
    });
  }

  function apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      replica.appliedIndex = entry.index;
      const request = entry.type === 'command' ? decodeRequest(entry.data) : undefined;
      const outcome =
        request === undefined ? undefined : replica.machine.apply(entry.index, request).outcome;
      for (const listener of group.listeners) listener.applied(replica.id, entry, outcome);
    }
    answerReads();
  }

  function answerReads(): void {
    const ready = reads.filter(({ index }) => index <= replica.appliedIndex);
    reads = reads.filter(({ index }) => index > replica.appliedIndex);
    for (const { ref } of ready) {
      for (const listener of group.listeners) listener.readable(replica.id, ref, replica.machine);
    }
  }

  function loadMachine(found: Found): void {
    replica.machine = group.knobs.createMachine?.() ?? new Machine();
    replica.appliedIndex = found.snapshot?.index ?? 0;
    replica.restoredAt = replica.appliedIndex;
    const state = found.snapshot && decodeMachineState(found.snapshot.data);
    if (state !== undefined) replica.machine.restore(state);
  }

  return {
    tick: { type: 'tick' },
    build({ random }) {
      if (!isFirst) replica.disk.crash();
      isFirst = false;
      queue = [];
      isWriting = false;
      reads = [];
      if (replica.seat === 0) return idle;
      const found = replica.disk.open();
      if (found === 'lost' || found === 'rotten') {
        // Whatever it promised must not be relied on: the seat is empty from now on.
        replica.seat = 0;
        return idle;
      }
      loadMachine(found);
      replica.found = found;
      const { timing, limits, createRaft = createProductionRaft } = group.knobs;
      const config = {
        self: replica.seat,
        timing,
        restored: found,
        ...(limits === undefined ? {} : { limits }),
      };
      const core = createRaft(config, random);
      return {
        step: (now, input) => (input.type === 'strayed' ? [] : core.step(now, input)),
        deadline: () => core.deadline(),
        view: () => core.view(),
      };
    },
    receive(_, letter) {
      if (letter.to !== replica.seat) return { type: 'strayed' };
      return { type: 'received', from: letter.from, message: letter.message };
    },
    run(effect, tools) {
      switch (effect.type) {
        case 'send': {
          const to = group.seats.get(effect.to);
          const { message } = effect;
          const letter = { type: message.type, from: replica.seat, to: effect.to, message };
          if (to !== undefined) tools.send(to, letter);
          return;
        }
        case 'persist':
          queue.push(effect);
          return pump();
        case 'apply':
          return apply(effect.entries);
        case 'restore': {
          loadMachine({ hard: { term: 0, vote: 0 }, snapshot: effect.snapshot, entries: [] });
          return answerReads();
        }
        case 'takeSnapshot': {
          const data = encodeMachineState(replica.machine.state());
          return tools.feed({ type: 'snapshotTaken', index: effect.index, data });
        }
        case 'accepted':
          for (const one of group.listeners)
            one.accepted(replica.id, effect.ref, effect.index, effect.term);
          return;
        case 'refused':
          for (const one of group.listeners) one.refused(replica.id, effect.ref);
          return;
        case 'readable':
          reads.push({ ref: effect.ref, index: effect.index });
          return answerReads();
        case 'giveUp':
          // As when its disk is found rotten: whoever lives here has no seat from now on.
          replica.seat = 0;
          return;
        case 'note':
          return tools.note(effect.code);
        case 'announce':
          return;
      }
    },
    linkReset(peer) {
      const seat = group.hosts.get(peer)?.seat ?? 0;
      return { type: 'linkClosed', seat };
    },
    woke: () => ({ type: 'woke' }),
  };
}

/** A node id for a host's place in the list. */
export function nodeAt(at: number): NodeId {
  return simNodeId(at + 1);
}

/** Timing that suits a simulated disk and network. */
export const simTiming: RaftTiming = {
  electionMsMin: 150,
  electionMsMax: 300,
  heartbeatMs: 50,
  hintStepMs: 40,
};
