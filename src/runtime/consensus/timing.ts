/** How patient a group is on each kind of network, and how slow disks and late heartbeats make it more so (protocols reference, 4.6 and 10). */

import type { Millis } from '../../kernel/core.ts';
import type { RaftTiming } from '../../protocol/consensus/raft-types.ts';
import { PhiAccrual } from '../../protocol/membership/phi-accrual.ts';
import type { ProfileName } from '../../protocol/membership/profiles.ts';

const wired: RaftTiming = {
  electionMsMin: 150,
  electionMsMax: 300,
  heartbeatMs: 50,
  hintStepMs: 40,
};

/** By profile. */
const timings: Readonly<Record<ProfileName, RaftTiming>> = {
  wired,
  fast: wired,
  // Not 50-100 ms: many nodes share the loop of one machine there (docs/divergences.md).
  loopback: { ...wired, hintStepMs: 20 },
  wifi: { electionMsMin: 1_000, electionMsMax: 2_000, heartbeatMs: 250, hintStepMs: 200 },
};

/** A vote waits for two syncs, the candidate's and the voter's: the timeout must be longer than both. */
const syncsPerElection = 2;

/** A timeout this many times as long as what heartbeats are usually late by is seldom wrong (protocols reference, 4.6). */
const latenessPerElection = 10;

/** The most that measurements stretch a profile's timeouts. */
const stretchMax = 8;

/** Heartbeats whose lateness is remembered: 50 s of them on a cable. */
const heartbeatsKept = 1_000;

/** What a silence is compared with: gaps vary by so much at least, in ms, and so many intervals more are nothing (8.1). */
const deviationMsMin = 100;
const pauseHeartbeats = 3;

/** What was measured: 99th percentiles, in ms; 0 before there is anything. */
export interface Measured {
  /** How long this node's disk takes to sync. */
  readonly syncMs: Millis;
  /** By how much the leader's heartbeats came later than promised. */
  readonly lateMs: Millis;
}

/**
 * The timing for a network as it was found to be. Each node stretches its own patience; heartbeats stay as frequent as
 * the profile says, so that a patient leader never seems dead to an impatient follower.
 */
export function timingFor(profile: ProfileName, { syncMs, lateMs }: Measured): RaftTiming {
  const base = timings[profile];
  const wanted = Math.max(
    syncsPerElection * syncMs,
    base.heartbeatMs + latenessPerElection * lateMs,
  );
  const factor = Math.min(stretchMax, Math.max(1, wanted / base.electionMsMin));
  // In whole doublings, so that it does not change with every measurement.
  const step = 2 ** Math.ceil(Math.log2(factor) - 0.01);
  return {
    electionMsMin: base.electionMsMin * step,
    electionMsMax: base.electionMsMax * step,
    heartbeatMs: base.heartbeatMs,
    hintStepMs: base.hintStepMs,
  };
}

/** Measures by how much a leader's heartbeats are late: the network's doing, the leader's, or this node's own. */
export class HeartbeatWatch {
  #from: number | undefined;
  #heardAt: Millis = 0;
  #everyMs: Millis;
  readonly #gaps: PhiAccrual;

  /** @param everyMs what a leader promises */
  constructor(everyMs: Millis) {
    this.#everyMs = everyMs;
    this.#gaps = new PhiAccrual({
      window: heartbeatsKept,
      deviationMsMin: Math.max(deviationMsMin, everyMs / 10),
      pauseMs: pauseHeartbeats * everyMs,
    });
  }

  /** A heartbeat of a leader came. */
  heard(now: Millis, from: number): void {
    // The gap between two leaders is an election, not a late heartbeat. One that comes early (for a read) is in time.
    if (this.#from === from) this.#gaps.heard(Math.max(this.#everyMs, now - this.#heardAt));
    this.#from = from;
    this.#heardAt = now;
  }

  /** The gap since the last heartbeat means nothing: this computer slept, or leads by itself. */
  interrupted(): void {
    this.#from = undefined;
  }

  /** The 99th percentile, in ms; 0 before there is anything. */
  lateMs(): Millis {
    return Math.max(0, this.#gaps.quantile(0.99) - this.#everyMs);
  }

  /** How suspicious the silence of the leader is by now (phi); 0 when there is none to hear. */
  phi(now: Millis): number {
    return this.#from === undefined ? 0 : this.#gaps.phi(now - this.#heardAt);
  }
}
