/** What a task would cost a node now, in predicted milliseconds, from what the node measures of itself. */

/** Heat above which a board slows down, and at which it is as good as busy, in degrees Celsius. */
export const warmC = 65;
export const hotC = 85;

/** What each wish that a node does not meet adds to its bid, in ms. */
export const missedWishMs = 1_000;

/** Duration taken for a task of a kind that nobody has run here and whose caller gave no hint, in ms. */
export const unknownTaskMs = 1_000;

/** What a node knows of itself when it is asked for a bid. Undefined: the board does not tell. */
export interface BidFacts {
  /** Tasks accepted and not finished here. */
  readonly queue: number;
  /** Mean duration of this kind of task here, in ms; undefined before the first. */
  readonly meanMs: number | undefined;
  /** Processes that run or wait, averaged over a minute, and the cores they share. */
  readonly load: number;
  readonly cores: number;
  readonly temperatureC: number | undefined;
  readonly isThrottled: boolean | undefined;
  /** Charge of the battery that feeds it, 0 to 1; undefined on mains. */
  readonly batteryShare: number | undefined;
  /** Round trip to whoever asks, in ms; 0 on the same node, undefined while not measured. */
  readonly rttMs: number | undefined;
  /** What the task would like to find and what of it is here: a loaded model, an accelerator. */
  readonly wishes: number;
  readonly wishesMet: number;
  /** How sealed auctions that this bidder took part in ended since it was last asked, the oldest first. */
  readonly settled?: readonly SettledBid[];
}

/** How an auction of a task ended for one who bid in it. */
export interface SettledBid {
  readonly task: string;
  /** What it asked. */
  readonly asked: number;
  readonly isWon: boolean;
  /** The lowest bid of the others; undefined: there was none. */
  readonly bestOther: number | undefined;
}

/** A bid and what it is made of. */
export interface TaskCost {
  readonly cost: number;
  /** Parts by name, in ms or as factors, for people who ask why. */
  readonly parts: Readonly<Record<string, number>>;
}

/**
 * Predicts: the round trip, then the queue and the task itself at the pace of the board as it is now, then what is missing.
 * @param hintMs what the caller thinks that it takes, in ms; what was measured here goes first
 */
export function taskCost(facts: BidFacts, hintMs: number | undefined): TaskCost {
  const workMs = facts.meanMs ?? hintMs ?? unknownTaskMs;
  const busy = Math.max(1, (facts.load + facts.queue) / Math.max(1, facts.cores));
  const heat = heatFactor(facts.temperatureC) * (facts.isThrottled === true ? 2 : 1);
  // An empty battery is worth three times the time: the task had better be done elsewhere.
  const battery = facts.batteryShare === undefined ? 1 : 1 + 2 * (1 - clamp(facts.batteryShare));
  const missing = Math.max(0, facts.wishes - facts.wishesMet) * missedWishMs;
  const rtt = facts.rttMs ?? 0;
  const cost = rtt + workMs * busy * heat * battery + missing;
  return {
    cost: Math.round(cost * 1_000) / 1_000,
    parts: { workMs, busy, heat, battery, rtt, missing },
  };
}

function heatFactor(temperatureC: number | undefined): number {
  if (temperatureC === undefined) return 1;
  return 1 + clamp((temperatureC - warmC) / (hotC - warmC));
}

function clamp(share: number): number {
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}
