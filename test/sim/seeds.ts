/** Seeds that once failed, kept for ever: each is run before any fresh one of its scenario. */

/** A kept seed and what it showed. */
export interface KeptSeed {
  readonly seed: number;
  readonly why: string;
}

/** By name of the scenario. */
const kept: Readonly<Record<string, readonly KeptSeed[]>> = {
  'consensus storm': [
    { seed: 1043, why: 'repeated answers to pieces of a snapshot multiplied without end' },
    { seed: 92, why: 'a host that a deposed leader had seated was never seated again' },
    {
      seed: 1001503,
      why: 'a follower that lost what it had acknowledged was asked without a pause',
    },
    { seed: 1006801, why: 'the same' },
  ],
  'consensus rot': [
    { seed: 2, why: 'damage to what was promised last was taken for a torn end' },
    { seed: 4, why: 'the same' },
    { seed: 6001283, why: 'what a crash had kept from the disk was taken for written' },
    { seed: 6000094, why: 'a client took a late answer for that to its next request' },
  ],
};

/** The kept seeds of a scenario. */
export function keptSeeds(scenario: string): number[] {
  return (kept[scenario] ?? []).map(({ seed }) => seed);
}
