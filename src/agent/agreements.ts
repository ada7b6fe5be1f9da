/** `node.agreements`: nodes agree among themselves: by votes, bargains, markets, or by allotting tasks without an auctioneer. */

import type { NodeId } from '../kernel/ids.ts';
import type { Agreements } from '../runtime/agreements/agreements.ts';
import type { Allotment, AllotmentOptions } from '../runtime/agreements/allotments.ts';
import type { BallotOutcome, BallotRequest, Voter } from '../runtime/agreements/ballots.ts';
import type {
  BargainOptions,
  BargainPartner,
  BargainWish,
  Deal,
} from '../runtime/agreements/bargains.ts';
import type { Market, MarketOptions, Order, Trade } from '../runtime/agreements/markets.ts';

/**
 * Agreements for preferences and prices. What must be decided once and for all, whoever is gone, belongs to `kv`, `lock`
 * and `elect`. Names are those of services: letters, digits, _ - /, 64 characters at most.
 */
export interface AgreementsHandle {
  /**
   * This node votes on ballots of a subject; resolves with the function that ends it. What it throws counts as silence.
   * @throws {MycelError} MYCEL_BAD_OPTION
   */
  voter(subject: string, vote: Voter): Promise<() => void>;
  /**
   * Asks every node with a voter for the subject, and counts. Resolves when all have voted or the time is over.
   * @throws {MycelError} MYCEL_UNKNOWN_SERVICE when there is no voter, MYCEL_BAD_OPTION
   */
  vote(request: BallotRequest): Promise<BallotOutcome>;
  /** This node bargains about a subject with whoever asks, if `accept` gives a strategy; resolves with the function that ends it. @throws {MycelError} MYCEL_BAD_OPTION */
  partner(
    subject: string,
    accept: (wish: BargainWish) => BargainPartner | undefined,
  ): Promise<() => void>;
  /**
   * Shares one unit with another node by alternating offers; the strategies `equilibriumBargainer` and
   * `concedingBargainer` are there. Resolves however it ends.
   * @throws {MycelError} MYCEL_BAD_OPTION, and what a call throws when an offer did not get there
   */
  negotiate(node: NodeId, subject: string, options: BargainOptions): Promise<Deal>;
  /** Opens a market at this node. Its trades are told, not carried out. @throws {MycelError} MYCEL_BAD_OPTION */
  market(name: string, options?: MarketOptions): Promise<Market>;
  /**
   * Places an order for one unit at a market, this node's or another's, and waits for its trade; undefined: there was none.
   * Whoever has an error for an answer may have traded nevertheless: the market's host knows.
   * @throws {MycelError} MYCEL_UNKNOWN_SERVICE, MYCEL_SERVICE_BUSY, MYCEL_BAD_OPTION, and what a call throws
   */
  order(name: string, order: Order, node?: NodeId): Promise<Trade | undefined>;
  /** Takes part in an allotment: nodes that do share the tasks by gossip, each one at one node. @throws {MycelError} MYCEL_BAD_OPTION */
  allot(name: string, options: AllotmentOptions): Promise<Allotment>;
}

/** Builds the handle. The code is loaded when somebody first asks for it: most nodes never do. */
export function createAgreementsHandle(load: () => Promise<Agreements>): AgreementsHandle {
  let loaded: Promise<Agreements> | undefined;
  const all = (): Promise<Agreements> => (loaded ??= load());
  return {
    voter: async (subject, vote) => (await all()).voter(subject, vote),
    vote: async (request) => (await all()).vote(request),
    partner: async (subject, accept) => (await all()).partner(subject, accept),
    negotiate: async (node, subject, options) => (await all()).negotiate(node, subject, options),
    market: async (name, options = {}) => (await all()).open(name, options),
    order: async (name, order, node) => (await all()).order(name, order, node),
    allot: async (name, options) => (await all()).takePart(name, options),
  };
}
