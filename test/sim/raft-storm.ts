/** The storm over a group: every fault of the menu, disks that rot, lie low or vanish, and changes of members meanwhile. */

import type { Random } from '../../src/kernel/random.ts';
import type { Seat } from '../../src/protocol/consensus/messages.ts';
import type { RaftTiming, RaftView } from '../../src/protocol/consensus/raft-types.ts';
import type { RaftSubject } from './checkers/raft.ts';
import { harshMenu } from './draw-faults.ts';
import type { FaultMenu } from './draw-faults.ts';
import { createSimGroup, nodeAt, simTiming } from './raft.ts';
import type { GroupKnobs, RaftLetter, SimGroup } from './raft.ts';
import { RaftClients } from './raft-clients.ts';
import type { ClientKnobs } from './raft-clients.ts';
import { goodDisk } from './replica-disk.ts';
import type { DiskKnobs } from './replica-disk.ts';
import type { Scenario } from './swarm.ts';
import type { World } from './world.ts';

/** How often the group's keeper looks, in virtual ms. */
const keeperMs = 400;

/** What a variant of the storm changes. */
export interface StormOptions {
  readonly name?: string;
  readonly knobs?: Partial<GroupKnobs>;
  readonly disk?: Partial<DiskKnobs>;
  /** As many bad disks as a group can bear; otherwise as many are drawn, or fewer. */
  readonly isMinorityFragile?: boolean;
  /** Every disk, not only those of the few that a group can lose. */
  readonly isEveryDisk?: boolean;
  readonly safetyMs?: number;
  /** Other faults than all of them. */
  readonly menu?: Partial<FaultMenu>;
  /** How busy clients are. */
  readonly clients?: ClientKnobs;
  readonly hostCounts?: readonly number[];
}

/** The weather in which promises are broken most easily: everybody crashes all the time, on disks that take long. */
export const crashes: StormOptions = {
  name: 'consensus crashes',
  hostCounts: [3, 5],
  safetyMs: 20_000,
  menu: { kinds: ['power-cut', 'crash', 'isolate', 'partition'], gapMsMean: 150, lastMsMean: 300 },
  disk: { writeMsMin: 5, writeMsMean: 40 },
  isEveryDisk: true,
  knobs: { timing: { electionMsMin: 200, electionMsMax: 400, heartbeatMs: 50, hintStepMs: 40 } },
  clients: { count: 6, thinkMs: 20, guessRate: 0.3 },
};

/** The weather for disks that rot where it hurts most: in what was promised last, and everybody crashes all the time. */
export const rot: StormOptions = {
  ...crashes,
  name: 'consensus rot',
  isEveryDisk: false,
  isMinorityFragile: true,
  disk: { writeMsMin: 1, writeMsMean: 4, rotRate: 0.5, isRotAtEnd: true, lossRate: 0 },
};

/** The weather for disks that lose what was promised last, with its copy: as if it had never been written. */
export const lostEnds: StormOptions = {
  ...rot,
  name: 'consensus lost ends',
  disk: { ...rot.disk, rotRate: 0, lostEndRate: 0.5 },
};

/** The weather in which an old leader is asked: it is stopped or cut off, and clients ask anybody. */
export const deposals: StormOptions = {
  name: 'consensus deposals',
  hostCounts: [3, 5],
  safetyMs: 20_000,
  menu: { kinds: ['pause', 'block', 'isolate', 'one-way'], gapMsMean: 300, lastMsMean: 600 },
  clients: { count: 8, thinkMs: 10, guessRate: 0.7 },
};

/** The scenario. */
export function raftStorm(options: StormOptions = {}): Scenario<RaftLetter, RaftSubject> {
  return {
    name: options.name ?? 'consensus storm',
    hostCounts: options.hostCounts ?? [1, 3, 4, 5, 7],
    safetyMs: options.safetyMs ?? 30_000,
    livenessMs: 30_000,
    steadyMs: 500,
    menu: {
      ...harshMenu,
      diskFates: ['kept'],
      gapMsMean: 2_000,
      lastMsMean: 2_500,
      ...options.menu,
    },
    world: { kindOf: ({ type }) => type },
    build(world, { hostCount, random, nextHost }) {
      const ids = Array.from({ length: hostCount }, (_, at) => `host-${at + 1}`);
      const voters = hostCount >= 5 && random.below(2) === 0 ? 5 : hostCount >= 3 ? 3 : 1;
      // A group survives the loss of a minority; which hosts may lose their disks is drawn once.
      const minority = (voters - 1) / 2;
      const drawn = voters === 1 ? 0 : random.below(minority + 1);
      const fragile = options.isMinorityFragile === true ? minority : drawn;
      const knobs: GroupKnobs = {
        timing: drawTiming(random),
        limits: drawLimits(random),
        ...options.knobs,
      };
      const group = createSimGroup(world, {
        ids,
        voters,
        knobs,
        random: random.split(),
        disk: (at) => {
          const disk = drawDisk(random, at < fragile);
          return options.isEveryDisk === true || at < fragile ? { ...disk, ...options.disk } : disk;
        },
        machine: nextHost,
      });
      const clients = new RaftClients(
        group,
        options.clients ?? { count: 1 + random.below(4), thinkMs: 150, guessRate: 0.2 },
        random.split(),
      );
      keepGroup(world, group, random.split(), random.below(3) > 0);
      return { group, clients };
    },
  };
}

function drawTiming(random: Random): RaftTiming {
  const factor = [0.4, 1, 1, 2][random.below(4)] ?? 1;
  return {
    electionMsMin: simTiming.electionMsMin * factor,
    electionMsMax: simTiming.electionMsMax * factor,
    heartbeatMs: simTiming.heartbeatMs * factor,
    hintStepMs: simTiming.hintStepMs * factor,
  };
}

function drawLimits(random: Random): GroupKnobs['limits'] {
  return {
    messageBytesMax: [256, 2_000, 65_536][random.below(3)] ?? 65_536,
    inFlightMax: 1 + random.below(32),
    snapshotEntries: [10, 40, 1_000][random.below(3)] ?? 1_000,
    trailingEntries: random.below(10),
  };
}

function drawDisk(random: Random, isFragile: boolean): DiskKnobs {
  const isCard = random.below(2) === 0;
  const share = (max: number): number => (random.below(2) === 0 ? 0 : random.unit() * max);
  const base = {
    ...goodDisk,
    writeMsMin: isCard ? 5 : 0.5,
    writeMsMean: isCard ? 10 : 1,
    stallRate: share(0.03),
    stallMsMean: 150,
  };
  if (!isFragile) return base;
  return {
    ...base,
    misdirectRate: share(0.02),
    rotRate: share(0.3),
    lossRate: share(0.3),
    stretchRate: 0.5,
  };
}

/** Replaces seats that lost their disks, moves the group to other hosts now and then, and hands leadership around. */
function keepGroup(
  world: World<RaftLetter>,
  group: SimGroup,
  random: Random,
  isRestless: boolean,
): void {
  const look = (): void => {
    world.at(world.now + keeperMs, look);
    const leader = group.leader();
    const view = leader?.host.view();
    if (leader === undefined || view === undefined || !view.isSettled) return;
    if (view.config.outgoing.length > 0 || !view.isConfigCommitted) return;
    const { voters, learners } = view.config;
    const isHere = (seat: Seat): boolean =>
      group.hosts.get(group.seats.get(seat) ?? '')?.seat === seat;
    const ask = (
      nextVoters: readonly Seat[],
      nextLearners: readonly Seat[],
      fresh?: Seat,
    ): void => {
      const at = [...group.hosts.keys()].indexOf(group.seats.get(fresh ?? 0) ?? '');
      const members = fresh === undefined ? [] : [{ seat: fresh, node: nodeAt(at) }];
      const change = { voters: nextVoters, learners: nextLearners, members };
      leader.host.feed({ type: 'changeAsked', ref: -1, change });
    };
    const isCaughtUp = (seat: Seat): boolean =>
      (view.progress.find((one) => one.seat === seat)?.match ?? 0) >= view.commit - 5;
    const ready = learners.find((seat) => isHere(seat) && isCaughtUp(seat));
    const lost = voters.find((seat) => !isHere(seat));
    if (lost !== undefined && ready !== undefined) {
      return ask(
        [...voters.filter((seat) => seat !== lost), ready],
        learners.filter((seat) => seat !== ready),
      );
    }
    const gone = learners.find((seat) => !isHere(seat));
    if (gone !== undefined)
      return ask(
        voters,
        learners.filter((seat) => seat !== gone),
      );
    const isNamed = ({ config }: RaftView, seat: Seat): boolean =>
      config.members.some((one) => one.seat === seat);
    // Also whoever was given a seat by a leader whose change was never decided.
    const empty = [...group.hosts.values()].find((one) => {
      if (one.host.phase() === 'down') return false;
      const own = one.host.view();
      if (one.seat === 0 || own === undefined) return true;
      return !isNamed(view, one.seat) && !(own.isConfigCommitted && isNamed(own, one.seat));
    });
    if (empty !== undefined && learners.length === 0 && (lost !== undefined || isRestless)) {
      const seat = Math.max(view.config.lastSeat, ...group.seats.keys()) + 1;
      group.seatAt(empty.id, seat);
      return ask(voters, [seat], seat);
    }
    if (!isRestless || random.below(4) !== 0) return;
    if (random.below(3) === 0) {
      const to = voters[random.below(voters.length)] as Seat;
      leader.host.feed({ type: 'transferAsked', to });
    } else if (ready !== undefined && voters.length > 0) {
      const out = voters[random.below(voters.length)] as Seat;
      const kept = voters.filter((seat) => seat !== out);
      const isKept = random.below(2) === 0;
      ask([...kept, ready], isKept ? [out, ...learners.filter((seat) => seat !== ready)] : []);
    }
  };
  world.at(keeperMs, look);
}
