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
  ],
};

/** The kept seeds of a scenario. */
export function keptSeeds(scenario: string): number[] {
  return (kept[scenario] ?? []).map(({ seed }) => seed);
}
