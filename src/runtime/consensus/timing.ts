/** How patient a group is on each kind of network, and how a slow disk makes it more so (protocols reference, 4.6 and 10). */

import type { RaftTiming } from '../../protocol/consensus/raft-types.ts';
import type { ProfileName } from '../../protocol/membership/profiles.ts';

const wired: RaftTiming = {
  electionMsMin: 150,
  electionMsMax: 300,
  heartbeatMs: 50,
  hintJitterMs: 40,
};

/** By profile. */
const timings: Readonly<Record<ProfileName, RaftTiming>> = {
  wired,
  fast: wired,
  // Not 50-100 ms: many nodes share the loop of one machine there (docs/divergences.md).
  loopback: { ...wired, hintJitterMs: 20 },
  wifi: { electionMsMin: 1_000, electionMsMax: 2_000, heartbeatMs: 250, hintJitterMs: 200 },
};

/** A vote waits for two syncs, the candidate's and the voter's: the timeout must be longer than both. */
const syncsPerElection = 2;

/** The timing for a network, on a disk whose slowest syncs take so long. */
export function timingFor(profile: ProfileName, syncMsP99: number): RaftTiming {
  const base = timings[profile];
  const factor = Math.min(8, Math.max(1, (syncsPerElection * syncMsP99) / base.electionMsMin));
  // In whole doublings, so that it does not change with every measurement.
  const step = 2 ** Math.ceil(Math.log2(factor) - 0.01);
  return {
    electionMsMin: base.electionMsMin * step,
    electionMsMax: base.electionMsMax * step,
    heartbeatMs: base.heartbeatMs * step,
    hintJitterMs: base.hintJitterMs * step,
  };
}
