/** A group of replicas on a table: every message and every write happens when the test says so. */

import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type {
  Configuration,
  Entry,
  HardState,
  RaftMessage,
  Seat,
  Snapshot,
} from '../../../src/protocol/consensus/messages.ts';
import { createRaft } from '../../../src/protocol/consensus/raft.ts';
import type { Raft } from '../../../src/protocol/consensus/raft.ts';
import type {
  MembershipChange,
  RaftEffect,
  RaftInput,
  RaftLimits,
  RaftTiming,
  RaftView,
} from '../../../src/protocol/consensus/raft-types.ts';

type CreateRaft = typeof createRaft;

let create: CreateRaft = createRaft;

/** Runs stories with another core, to see whether they notice. */
export function withCore(other: CreateRaft, run: () => void): void {
  create = other;
  try {
    run();
  } finally {
    create = createRaft;
  }
}

/** Short and wide apart, so that tests can aim between the timers. */
export const stageTiming: RaftTiming = {
  electionMsMin: 100,
  electionMsMax: 200,
  heartbeatMs: 30,
  hintStepMs: 20,
};

/** The node of a seat. */
export const nodeOf = (seat: Seat): NodeId => `node-${seat}` as NodeId;

/** A configuration of these seats. */
export function configuration(
  voters: readonly Seat[],
  learners: readonly Seat[] = [],
  outgoing: readonly Seat[] = [],
): Configuration {
  const seats = [...new Set([...voters, ...learners, ...outgoing])];
  return {
    voters,
    outgoing,
    learners,
    members: seats.map((seat) => ({ seat, node: nodeOf(seat) })),
    lastSeat: Math.max(0, ...seats),
  };
}

/** A change to these seats. */
export function change(voters: readonly Seat[], learners: readonly Seat[] = []): MembershipChange {
  const { members } = configuration(voters, learners);
  return { voters, learners, members };
}

interface Disk {
  hard: HardState;
  snapshot: Snapshot | undefined;
  entries: Entry[];
}

interface Letter {
  readonly from: Seat;
  readonly to: Seat;
  readonly message: RaftMessage;
}

/** One replica, its disk, and everything that it ever ordered. */
export interface Player {
  core: Raft;
  disk: Disk;
  /** Writes that the disk has not done yet. */
  writes: Extract<RaftEffect, { type: 'persist' }>[];
  isDiskHeld: boolean;
  isDown: boolean;
  readonly effects: RaftEffect[];
  readonly applied: Entry[];
  now: number;
}

/** The table. */
export class Stage {
  readonly players: Map<Seat, Player> = new Map();
  letters: Letter[] = [];
  /** Letters that this refuses are lost. */
  passes: (letter: Letter) => boolean = () => true;
  now = 0;
  #limits: Partial<RaftLimits>;
  #seed: number;

  constructor(
    seats: readonly Seat[],
    config: Configuration = configuration(seats),
    limits: Partial<RaftLimits> = {},
    seed = 1,
  ) {
    this.#limits = limits;
    this.#seed = seed;
    for (const seat of seats) {
      const snapshot = { index: 1, term: 1, config, data: new Uint8Array() };
      this.add(seat, { hard: { term: 1, vote: 0 }, snapshot, entries: [] });
    }
  }

  /** Seats a replica with what its disk holds; without a disk it knows nothing. */
  add(seat: Seat, disk?: Disk): Player {
    const player: Player = {
      disk: disk ?? { hard: { term: 0, vote: 0 }, snapshot: undefined, entries: [] },
      core: undefined as never,
      writes: [],
      isDiskHeld: false,
      isDown: false,
      effects: [],
      applied: [],
      now: 0,
    };
    this.players.set(seat, player);
    this.#boot(seat, player);
    return player;
  }

  #boot(seat: Seat, player: Player): void {
    this.#seed += 1;
    const restored = { ...player.disk, entries: [...player.disk.entries] };
    const config = { self: seat, timing: stageTiming, limits: this.#limits, restored };
    player.core = create(config, createRandom(this.#seed * 7919 + seat));
    player.writes = [];
    player.applied.length = 0;
    this.feed(seat, { type: 'tick' });
  }

  /** The process dies with what the disk had done, and starts again. */
  restart(seat: Seat): void {
    const player = this.at(seat);
    player.isDown = false;
    this.#boot(seat, player);
  }

  at(seat: Seat): Player {
    const player = this.players.get(seat);
    if (player === undefined) throw new Error(`nobody sits at ${seat}`);
    return player;
  }

  view(seat: Seat): RaftView {
    return this.at(seat).core.view();
  }

  /** Hands a fact to a replica; its messages wait in `letters`, its writes are done unless its disk is held. */
  feed(seat: Seat, input: RaftInput): readonly RaftEffect[] {
    const player = this.at(seat);
    if (player.isDown) return [];
    const effects = player.core.step(this.now, input);
    player.effects.push(...effects);
    for (const effect of effects) {
      if (effect.type === 'send') {
        this.letters.push({ from: seat, to: effect.to, message: effect.message });
      } else if (effect.type === 'persist') player.writes.push(effect);
      else if (effect.type === 'apply') player.applied.push(...effect.entries);
    }
    if (!player.isDiskHeld) this.sync(seat);
    return effects;
  }

  /** The disk does what waits, or only the first `count` writes. */
  sync(seat: Seat, count = Infinity): void {
    const player = this.at(seat);
    for (let done = 0; done < count; done += 1) {
      const write = player.writes.shift();
      if (write === undefined) return;
      commitWrite(player.disk, write);
      this.feed(seat, { type: 'persisted', seq: write.seq });
    }
  }

  /** Delivers one letter. */
  deliver(letter: Letter): void {
    if (!this.passes(letter)) return;
    this.feed(letter.to, { type: 'received', from: letter.from, message: letter.message });
  }

  /** Delivers until nobody has anything to say. */
  stabilize(): void {
    for (let rounds = 0; this.letters.length > 0; rounds += 1) {
      if (rounds > 10_000) throw new Error('the replicas talk for ever');
      const letter = this.letters.shift() as Letter;
      if (this.players.has(letter.to)) this.deliver(letter);
    }
  }

  /** Lets time pass; everybody whose deadline comes is told, and everything said is delivered at once. */
  run(ms: number, isQuiet = false): void {
    const end = this.now + ms;
    for (;;) {
      let next: Seat | undefined;
      let at = Infinity;
      for (const [seat, { core, isDown }] of this.players) {
        if (!isDown && core.deadline() < at) [next, at] = [seat, core.deadline()];
      }
      if (next === undefined || at > end) break;
      this.now = Math.max(this.now, at);
      this.feed(next, { type: 'tick' });
      if (!isQuiet) this.stabilize();
    }
    this.now = end;
  }

  /** Makes a replica campaign now, whatever the others think of it. */
  elect(seat: Seat): void {
    this.now += 1_000;
    this.feed(seat, { type: 'tick' });
    this.stabilize();
  }

  /** Proposes one command. */
  propose(seat: Seat, text: string, ref = 0): readonly RaftEffect[] {
    const data = new TextEncoder().encode(text);
    return this.feed(seat, { type: 'proposed', items: [{ ref, data }] });
  }

  /** What was applied at a replica, as text. */
  texts(seat: Seat): string[] {
    return this.at(seat).applied.flatMap((entry) =>
      entry.type === 'command' ? [new TextDecoder().decode(entry.data)] : [],
    );
  }

  leaders(): Seat[] {
    return [...this.players]
      .filter(([, one]) => one.core.view().role === 'leader')
      .map(([seat]) => seat);
  }
}

function commitWrite(disk: Disk, write: Extract<RaftEffect, { type: 'persist' }>): void {
  if (write.hard !== undefined) disk.hard = write.hard;
  if (write.snapshot !== undefined) {
    const { snapshot, keepFrom, isForeign } = write.snapshot;
    disk.snapshot = snapshot;
    disk.entries = isForeign ? [] : disk.entries.filter(({ index }) => index >= keepFrom);
  }
  const first = write.entries[0];
  if (first === undefined) return;
  disk.entries = [...disk.entries.filter(({ index }) => index < first.index), ...write.entries];
}
