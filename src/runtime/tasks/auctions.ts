/** The auctions that this node conducts: one auctioneer a task, so that a slow decision about one holds up no other. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { createAuctioneer } from '../../protocol/agreement/auctioneer.ts';
import type {
  AuctioneerEffect,
  AuctioneerInput,
} from '../../protocol/agreement/auctioneer-words.ts';
import type { TaskBid } from '../../protocol/agreement/auction-rules.ts';
import { isOver } from '../../protocol/agreement/ledger.ts';
import type { LedgerRecord } from '../../protocol/agreement/ledger.ts';
import { settleSealed } from '../../protocol/agreement/sealed.ts';
import { drive } from '../drive.ts';
import type { Driver } from '../drive.ts';
import type { PartWorld } from '../parts.ts';
import type { Batch } from './batches.ts';
import { inputOf, reasonOf } from './auction-words.ts';
import { createOpenAuction } from './pricing.ts';
import type { Pricing, PricingOutcome } from './pricing.ts';
import type { Entered, TaskLedger } from './task-ledger.ts';
import type { TaskShelf } from './task-shelf.ts';
import { batchRules, bidsShownMax, isOpenRule, queueTimesMax } from './task-types.ts';
import type { ShownBid, TaskBody, TaskRecord } from './task-types.ts';
import type { TaskWord } from './task-words.ts';

/** How long a winner may take to accept, in ms. */
const acceptMs = 2_000;

/** Who lost a task, or a task nobody bid for, waits so long, in ms. */
const backoffMs = 250;

/** Auctions that are over and still answer late words. */
const overMax = 1_024;

type Input = AuctioneerInput<TaskBody>;

/** Its bidding ends by something else than the time for sealed bids. */
const hasOwnWindow = ({ rule }: TaskBody): boolean =>
  isOpenRule(rule) || batchRules.some((one) => one === rule);

interface Auction {
  record: TaskRecord;
  version: number;
  readonly driver: Driver<Input>;
  bids: Map<string, ShownBid>;
  price: number | undefined;
  /** What the winner said it would cost. */
  wonAt: number | undefined;
  reason: string;
  isOver: boolean;
  /** Whoever was called since it was last opened. */
  readonly called: Set<NodeId>;
  /** How its price is being found, when not by one sealed bid each. */
  pricing: Pricing | undefined;
  /** What came of that. */
  outcome: PricingOutcome | undefined;
  batch: Batch | undefined;
  cancelDeadline(): void;
  cancelWindow(): void;
}

/** What auctions need. */
export interface AuctionsWorld {
  readonly world: PartWorld;
  readonly shelf: TaskShelf;
  readonly ledger: TaskLedger;
  /** Nodes that could do it now. */
  bidders(body: TaskBody): readonly NodeId[];
  send(to: NodeId, word: TaskWord): void;
}

/** The auctions of one node. */
export interface Auctions {
  /** Begins with a task nobody conducts yet, or goes on with one whose auctioneer is gone; it is entered already. */
  open(entered: Entered, isNew: boolean, batch?: Batch): void;
  has(task: string): boolean;
  /** Tasks that are not over. */
  liveCount(): number;
  /** How long the tasks that began last had waited, in ms. */
  waitsMs(): readonly number[];
  /** Takes a contractor's word; false when the task is not conducted here. */
  hear(from: NodeId, word: TaskWord): boolean;
  cancel(task: string, reason: string): boolean;
  /** Somebody else conducts it now. */
  abandon(task: string): void;
  /** Members or what they take have changed. */
  biddersChanged(gone?: NodeId): void;
  stop(): void;
}

/** Builds them. */
export function createAuctions(parts: AuctionsWorld): Auctions {
  const { world, shelf, ledger } = parts;
  const { clock, log, metrics } = world;
  const live = new Map<string, Auction>();
  const waits: number[] = [];
  const over = new BoundedMap<string, Auction>(overMax, (_, one) => one.driver.stop());

  function drop(id: string, auction: Auction): void {
    close(auction);
    auction.driver.stop();
    live.delete(id);
  }

  function close(auction: Auction): void {
    auction.cancelDeadline();
    auction.cancelWindow();
    auction.pricing?.stop();
    auction.pricing = undefined;
  }

  /** Calls one bidder, in the way of the auction. */
  function call(
    id: string,
    auction: Auction,
    effect: AuctioneerEffect<TaskBody> & { type: 'call' },
  ): void {
    const { spec, epoch } = effect;
    const to = effect.to as NodeId;
    auction.bids = new Map();
    auction.price = undefined;
    auction.wonAt = undefined;
    auction.outcome = undefined;
    auction.called.add(to);
    const closed = (outcome: PricingOutcome): void => settleBy(id, auction, epoch, outcome);
    if (isOpenRule(spec.body.rule)) {
      auction.pricing ??= createOpenAuction({ world, spec, epoch, send: parts.send, closed });
    } else auction.pricing ??= auction.batch?.seat(id, closed);
    if (auction.pricing?.call(to) === true) return;
    auction.pricing = undefined;
    metrics.count('tasks.calls');
    const closesInMs = spec.body.biddingMs;
    parts.send(to, { t: 'call', epoch, spec, closesInMs });
    if (!hasOwnWindow(spec.body)) return;
    // Its core waits longer than this: for the rounds of the batch it came with.
    auction.cancelWindow();
    auction.cancelWindow = clock.alarm(clock.now() + closesInMs, () =>
      dropAll(id, auction, epoch, undefined),
    );
  }

  function dropAll(id: string, auction: Auction, epoch: number, but: string | undefined): void {
    for (const from of auction.called) {
      if (from !== but) auction.driver.feed({ type: 'declined', from, task: id, epoch });
    }
  }

  /** An auction of another kind has ended: its winner is the only one that bids here. */
  function settleBy(id: string, auction: Auction, epoch: number, outcome: PricingOutcome): void {
    const { winner, price, bids } = outcome;
    auction.pricing?.stop();
    auction.pricing = undefined;
    auction.batch = undefined;
    auction.bids = new Map(bids.map((bid) => [bid.bidder, bid]));
    if (winner !== undefined) auction.outcome = outcome;
    dropAll(id, auction, epoch, winner);
    if (winner === undefined) return;
    auction.driver.feed({ type: 'bidden', from: winner, task: id, epoch, cost: price });
  }

  function record(
    id: string,
    auction: Auction,
    next: LedgerRecord<TaskBody>,
  ): Promise<void> | undefined {
    const { record: last } = auction;
    if (next.state === last.ledger.state && next.epoch === last.ledger.epoch) return undefined;
    const shown = [...auction.bids.values()].sort((one, other) => one.cost - other.cost);
    const written: TaskRecord = {
      ...last,
      ledger: next,
      bids: shown.slice(0, bidsShownMax),
      price: next.state === 'open' ? undefined : auction.price,
      reason: reasonOf(auction.record, next, auction),
      count: last.count + 1,
      at: clock.wallMs(),
    };
    count(last, next);
    auction.record = written;
    const settle = async (): Promise<void> => {
      const entered = await ledger.enter(written, auction.version, () => live.get(id) === auction);
      if ('lost' in entered) {
        log.warn({ task: id }, 'another node conducts this task now');
        drop(id, auction);
        shelf.put(entered.lost.record, false);
        return;
      }
      auction.version = entered.entered.version;
      auction.record = { ...auction.record, isDecided: entered.entered.record.isDecided };
      shelf.put(auction.record, true);
    };
    if (next.spec.effect !== 'idempotent') return settle();
    shelf.put(written, true);
    return undefined;
  }

  function count(last: TaskRecord, next: LedgerRecord<TaskBody>): void {
    if (next.state === 'awarded') metrics.count('tasks.awards');
    if (next.state === 'running' && next.attempts === 1) {
      metrics.count('tasks.started');
      const waitedMs = Math.max(0, clock.wallMs() - next.spec.body.at);
      metrics.count('tasks.queue_ms', waitedMs);
      waits.push(waitedMs);
      if (waits.length > queueTimesMax) waits.shift();
    }
    if (next.state === 'open' && last.ledger.attempts > 0) metrics.count('tasks.reauctions');
    if (!isOver(next.state)) return;
    metrics.count(`tasks.${next.state}`);
    metrics.count('tasks.turnaround_ms', Math.max(0, clock.wallMs() - next.spec.body.at));
  }

  function run(
    id: string,
    auction: Auction,
    effect: AuctioneerEffect<TaskBody>,
  ): Promise<void> | undefined {
    const to = 'to' in effect ? (effect.to as NodeId) : world.mesh.self;
    switch (effect.type) {
      case 'record':
        return record(id, auction, effect.record);
      case 'call':
        call(id, auction, effect);
        return undefined;
      case 'settle':
        close(auction);
        auction.isOver = true;
        live.delete(id);
        over.set(id, auction);
        return undefined;
      case 'refuse':
        return undefined;
      case 'start': {
        const { task, epoch, leaseMs } = effect;
        parts.send(to, { t: 'start', task, epoch, leaseMs });
        return undefined;
      }
      case 'renewal': {
        const { task, epoch, turn, isHeld } = effect;
        parts.send(to, { t: 'renewal', task, epoch, turn, isHeld });
        return undefined;
      }
      case 'award':
      case 'reject': {
        const { type: t, task, epoch } = effect;
        parts.send(to, { t, task, epoch, bestOther: bestOther(auction, to, epoch) });
        return undefined;
      }
      default:
        parts.send(to, { t: effect.type, task: effect.task, epoch: effect.epoch });
        return undefined;
    }
  }

  /** Told to those whose bids were compared: not to one that came too late, and not in the open, where all know. */
  function bestOther(auction: Auction, bidder: NodeId, epoch: number): number | undefined {
    const isCompared = auction.bids.has(bidder) && epoch === auction.record.ledger.epoch;
    if (!isCompared || auction.outcome !== undefined) return undefined;
    const others = [...auction.bids.values()].filter((bid) => bid.bidder !== bidder);
    return others.length === 0 ? undefined : Math.min(...others.map(({ cost }) => cost));
  }

  function choose(auction: Auction, task: string, bids: readonly TaskBid[]): string | undefined {
    const { rule, costMax } = auction.record.ledger.spec.body;
    metrics.count('tasks.auctions');
    metrics.count('tasks.bids', auction.bids.size);
    if (auction.outcome !== undefined) {
      auction.price = auction.outcome.price;
      auction.wonAt = auction.price;
      metrics.count('tasks.cost_won_ms', auction.price);
      if (!isOpenRule(rule)) metrics.count('tasks.cost_batch_won_ms', auction.price);
      return auction.outcome.winner;
    }
    const sale = settleSealed(
      bids.map(({ bidder, cost }) => ({ bidder, amount: cost })),
      {
        item: task,
        sense: 'lowest',
        price: rule === 'vickrey' ? 'second' : 'first',
        ...(costMax === undefined ? {} : { reserve: costMax }),
      },
    );
    if (sale.kind !== 'sold') return undefined;
    auction.price = sale.price;
    auction.wonAt = auction.bids.get(sale.winner)?.cost;
    metrics.count('tasks.cost_won_ms', auction.wonAt ?? 0);
    return sale.winner;
  }

  function open({ record: given, version }: Entered, isNew: boolean, batch?: Batch): void {
    const { spec } = given.ledger;
    const { id, body } = spec;
    const core = createAuctioneer<TaskBody>({
      // In the open and in rounds the end is another one, and always comes.
      biddingMs: hasOwnWindow(body) ? 86_400_000 : body.biddingMs,
      acceptMs,
      backoffMs,
      leaseMs: body.leaseMs,
      attemptsMax: body.attemptsMax,
      // The deadline of the task ends the wait for somebody who can do it.
      emptyAuctionsMax: 1_000_000,
      tasksMax: 1,
      choose: (task, bids) => choose(auction, task, bids),
    });
    const driver = drive<Input, AuctioneerEffect<TaskBody>>(core, {
      clock,
      tick: { type: 'tick' },
      run: (effect) => run(id, auction, effect),
      failed: (effect, error) =>
        log.warn({ error, effect: effect.type, task: id }, 'an auction could not go on'),
      overflowed: () => metrics.drop('tasks', 'overflow'),
    });
    const leftMs = Math.max(body.leaseMs, body.at + body.deadlineMs - clock.wallMs());
    const auction: Auction = {
      record: given,
      version,
      driver,
      bids: new Map(),
      price: given.price,
      wonAt: undefined,
      reason: '',
      isOver: false,
      called: new Set(),
      pricing: undefined,
      outcome: undefined,
      batch,
      cancelWindow() {},
      cancelDeadline: clock.alarm(clock.now() + Math.min(leftMs, body.deadlineMs), () =>
        cancel(id, `it was not done within ${body.deadlineMs} ms`),
      ),
    };
    live.set(id, auction);
    shelf.put(given, true);
    driver.feed({ type: 'bidders', ids: parts.bidders(body) });
    driver.feed(isNew ? { type: 'submitted', spec } : { type: 'adopted', record: given.ledger });
  }

  function cancel(id: string, reason: string): boolean {
    const auction = live.get(id);
    if (auction === undefined) return false;
    auction.reason = reason;
    auction.driver.feed({ type: 'cancelled', task: id });
    return true;
  }

  return {
    open,
    has: (task) => live.has(task),
    liveCount: () => live.size,
    waitsMs: () => waits,
    hear(from, word) {
      if (!('task' in word)) return false;
      const auction = live.get(word.task) ?? over.get(word.task);
      if (auction === undefined) return false;
      const input = inputOf(from, word);
      if (input === undefined) return true;
      const { pricing } = auction;
      if (pricing !== undefined && (word.t === 'bid' || word.t === 'decline')) {
        if (word.epoch !== auction.record.ledger.epoch + 1) return true;
        if (word.t === 'bid') pricing.bid(from, word.cost);
        else pricing.drop(from);
        return true;
      }
      if (word.t === 'bid') {
        const isOpen = auction.record.ledger.state === 'open';
        if (isOpen && word.epoch === auction.record.ledger.epoch + 1) {
          const bid = { bidder: from, cost: word.cost, parts: word.parts };
          if (!auction.bids.has(from)) auction.bids.set(from, bid);
        } else {
          metrics.count('tasks.late_bids');
          // What the best choice would have saved, had it come in time.
          const saved = (auction.wonAt ?? 0) - word.cost;
          if (saved > 0) metrics.count('tasks.cost_regret_ms', saved);
          auction.record = { ...auction.record, lateBids: auction.record.lateBids + 1 };
        }
      }
      auction.driver.feed(input);
      return true;
    },
    cancel,
    abandon(task) {
      const auction = live.get(task);
      if (auction !== undefined) drop(task, auction);
    },
    biddersChanged(gone) {
      for (const auction of live.values()) {
        const ids = parts.bidders(auction.record.ledger.spec.body);
        auction.driver.feed({ type: 'bidders', ids });
        if (gone !== undefined) auction.pricing?.drop(gone);
        if (gone !== undefined) auction.driver.feed({ type: 'gone', id: gone });
      }
    },
    stop() {
      for (const [id, auction] of live) drop(id, auction);
      for (const [, auction] of over) auction.driver.stop();
    },
  };
}
