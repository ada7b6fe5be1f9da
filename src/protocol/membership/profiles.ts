/** Sets of SWIM parameters for kinds of network, as data (reference: memberlist config.go; docs/protocols/membership.md). */

/** Everything about pace and patience that depends on the network. Durations in ms. */
export interface SwimProfile {
  /** Protocol period T: one member is probed per period. */
  readonly probeIntervalMs: number;
  /** How long a direct ping may take before helpers are asked. Below `probeIntervalMs`. */
  readonly probeTimeoutMs: number;
  /** Helpers asked to probe in our stead (k). More forgive loss and cost `2k` messages per failed probe. */
  readonly helperCount: number;
  /** `a`: the shortest suspicion is `a * max(1, log10 n)` periods. 0 condemns at once (plain SWIM without suspicion). */
  readonly suspicionMult: number;
  /**
   * How that grows with the mesh: by memberlist's log10, or by the SWIM paper's whole steps of the natural logarithm,
   * `a * ceil(ln(n + 1))` periods.
   * @default 'memberlist'
   */
  readonly suspicionScale?: 'memberlist' | 'swim';
  /** `b`: the longest suspicion is `b` times the shortest. */
  readonly suspicionMaxMult: number;
  /** How often queued news is sent, and to how many members each time. */
  readonly gossipIntervalMs: number;
  readonly gossipFanout: number;
  /** `M`: news is sent `M * ceil(log10(n + 1))` times by each member. */
  readonly retransmitMult: number;
  /** How long the dead still get gossip, so that they can object. */
  readonly gossipToDeadMs: number;
  /** Pause between digest push-pulls with one random member. */
  readonly pushPullIntervalMs: number;
  /** Pause between calls at the last address of one dead member, so that partitions heal. */
  readonly graveyardIntervalMs: number;
  /** How long the dead are remembered so that old news cannot revive them. */
  readonly tombstoneMs: number;
}

/** Names of the profiles. */
export type ProfileName = 'wired' | 'wifi' | 'fast' | 'loopback';

const wired: SwimProfile = {
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  helperCount: 3,
  // Not memberlist's 4: docs/decisions/0002-suspicion-outlasts-a-five-second-stall.md.
  suspicionMult: 4.5,
  suspicionMaxMult: 6,
  gossipIntervalMs: 200,
  gossipFanout: 3,
  retransmitMult: 4,
  gossipToDeadMs: 30_000,
  pushPullIntervalMs: 30_000,
  graveyardIntervalMs: 10_000,
  tombstoneMs: 86_400_000,
};

/** `wired`: the default. `wifi`: patient. `fast`: wired and on mains power. `loopback`: one machine, for tests and demos. */
export const swimProfiles: Readonly<Record<ProfileName, SwimProfile>> = {
  wired,
  wifi: {
    ...wired,
    probeIntervalMs: 2_000,
    probeTimeoutMs: 800,
    suspicionMult: 5,
    gossipIntervalMs: 400,
    pushPullIntervalMs: 60_000,
    graveyardIntervalMs: 20_000,
  },
  fast: {
    ...wired,
    probeIntervalMs: 500,
    probeTimeoutMs: 200,
    suspicionMult: 3,
    suspicionMaxMult: 4,
    gossipIntervalMs: 100,
  },
  loopback: {
    ...wired,
    probeIntervalMs: 200,
    probeTimeoutMs: 50,
    helperCount: 1,
    suspicionMult: 3,
    suspicionMaxMult: 4,
    gossipIntervalMs: 50,
    pushPullIntervalMs: 2_000,
    graveyardIntervalMs: 1_000,
    tombstoneMs: 60_000,
  },
};
