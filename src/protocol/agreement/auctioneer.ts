/**
 * Lets nodes bid for tasks and gives each to one: the contract net (FIPA SC00029H: call, propose or refuse, accept or
 * reject, inform, cancel) with a ledger, two-phase start, leases and epochs. The winner starts only after the ledger
 * took its acceptance; a lease that runs out opens the task again under a higher epoch.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import { defaultChoice } from './auction-rules.ts';
import type { Choice } from './auction-rules.ts';
import type {
  AuctioneerEffect,
  AuctioneerInput,
  AuctioneerView,
  Said,
} from './auctioneer-words.ts';
import { isOver } from './ledger.ts';
import type { LedgerRecord, TaskSpec } from './ledger.ts';

/** How tasks are auctioned. */
export interface AuctioneerConfig {
  /** How long bids are taken, in ms. @default 200 */
  readonly biddingMs?: Millis;
  /** How long a named winner may take to accept, in ms. @default 1000 */
  readonly acceptMs?: Millis;
  /** @default 10_000 */
  readonly leaseMs?: Millis;
  /** Awards of one task before it has failed. @default 5 */
  readonly attemptsMax?: number;
  /** Auctions of one task that nobody bids in before it has failed. @default 20 */
  readonly emptyAuctionsMax?: number;
  /** Who lost a task once is left out of its auctions for this long, doubling, in ms. @default 1000 */
  readonly backoffMs?: Millis;
  /** Tasks that are not over at once. @default 1024 */
  readonly tasksMax?: number;
  /** Tasks that are over and still remembered, so that a late report meets the truth. @default 1024 */
  readonly overMax?: number;
  /** Who is called at most, and how many bids are looked at. @default 64 */
  readonly biddersMax?: number;
  /** Picks the winner. @default the lowest cost; ties by the hash of task and bidder */
  readonly choose?: Choice;
}

interface Entry<Body> {
  record: LedgerRecord<Body>;
  bids: Map<string, number>;
  called: Set<string>;
  lateBidCount: number;
  emptyAuctions: number;
  /** Who is left out until when, and how often it lost the task. */
  barred: Map<string, { until: Millis; times: number }>;
  /** When the current phase ends: bidding, accepting, the lease, or the pause before the next auction. */
  dueAt: Millis;
  phase: 'pausing' | 'bidding' | 'accepting' | 'running' | 'over';
}

/** Builds an auctioneer that knows no bidder. */
export function createAuctioneer<Body = unknown>(
  config: AuctioneerConfig = {},
): Core<AuctioneerInput<Body>, AuctioneerEffect<Body>, AuctioneerView<Body>> {
  const biddingMs = Math.max(1, config.biddingMs ?? 200);
  const acceptMs = Math.max(1, config.acceptMs ?? 1_000);
  const leaseMs = Math.max(1, config.leaseMs ?? 10_000);
  const attemptsMax = Math.max(1, config.attemptsMax ?? 5);
  const emptyAuctionsMax = Math.max(1, config.emptyAuctionsMax ?? 20);
  const backoffMs = Math.max(1, config.backoffMs ?? 1_000);
  const tasksMax = Math.max(1, config.tasksMax ?? 1_024);
  const overMax = Math.max(1, config.overMax ?? 1_024);
  const biddersMax = Math.max(1, config.biddersMax ?? 64);
  const choose = config.choose ?? defaultChoice;
  const live = new Map<string, Entry<Body>>();
  const over = new Map<string, Entry<Body>>();
  let bidders: readonly string[] = [];
  let hasQuorum = true;
  const counts = { auctions: 0, bids: 0, lateBids: 0, reauctions: 0 };

  type Effects = AuctioneerEffect<Body>[];

  function write(entry: Entry<Body>, change: Partial<LedgerRecord<Body>>): Effects {
    entry.record = { ...entry.record, ...change };
    return [{ type: 'record', record: entry.record }];
  }

  function open(now: Millis, entry: Entry<Body>): Effects {
    const { spec, epoch } = entry.record;
    if (spec.effect === 'none' && !hasQuorum) return pause(now, entry);
    counts.auctions += 1;
    const able = bidders.filter((id) => (entry.barred.get(id)?.until ?? 0) <= now);
    const called = (able.length > 0 ? able : bidders).slice(0, biddersMax);
    entry.bids = new Map();
    entry.called = new Set(called);
    if (called.length === 0) return pause(now, entry);
    entry.phase = 'bidding';
    entry.dueAt = now + biddingMs;
    return called.map((to) => ({
      type: 'call',
      to,
      epoch: epoch + 1,
      spec,
      closesInMs: biddingMs,
    }));
  }

  function pause(now: Millis, entry: Entry<Body>): Effects {
    entry.emptyAuctions += 1;
    if (entry.emptyAuctions >= emptyAuctionsMax) return end(entry, 'failed', 'nobody can do it');
    entry.phase = 'pausing';
    entry.dueAt = now + backoffMs;
    return [];
  }

  function award(now: Millis, entry: Entry<Body>): Effects {
    const task = entry.record.spec.id;
    const bids = [...entry.bids].map(([bidder, cost]) => ({ bidder, cost }));
    const winner = choose(task, bids);
    if (winner === undefined || !entry.bids.has(winner)) return pause(now, entry);
    const epoch = entry.record.epoch + 1;
    const attempts = entry.record.attempts + 1;
    entry.phase = 'accepting';
    entry.dueAt = now + acceptMs;
    const losers = bids.filter(({ bidder }) => bidder !== winner);
    return [
      ...write(entry, { state: 'awarded', epoch, winner, attempts }),
      { type: 'award', to: winner, task, epoch },
      ...losers.map(({ bidder }) => ({ type: 'reject' as const, to: bidder, task, epoch })),
    ];
  }

  /** The winner has not accepted or not renewed, or said that it failed. */
  function reopen(now: Millis, entry: Entry<Body>, why: string): Effects {
    const { winner, attempts } = entry.record;
    if (winner !== undefined) {
      const times = (entry.barred.get(winner)?.times ?? 0) + 1;
      entry.barred.set(winner, { until: now + backoffMs * 2 ** Math.min(10, times - 1), times });
      if (entry.barred.size > biddersMax) {
        entry.barred.delete(entry.barred.keys().next().value as string);
      }
    }
    if (attempts >= attemptsMax) return end(entry, 'failed', why);
    counts.reauctions += 1;
    return [...write(entry, { state: 'open', winner: undefined }), ...open(now, entry)];
  }

  function end(
    entry: Entry<Body>,
    state: 'done' | 'failed' | 'cancelled',
    result: unknown,
  ): Effects {
    const task = entry.record.spec.id;
    const written = write(entry, { state, result });
    entry.phase = 'over';
    entry.dueAt = Infinity;
    live.delete(task);
    over.set(task, entry);
    if (over.size > overMax) over.delete(over.keys().next().value as string);
    return [...written, { type: 'settle', record: entry.record }];
  }

  function enter(entry: Entry<Body>): void {
    live.set(entry.record.spec.id, entry);
  }

  function fresh(record: LedgerRecord<Body>): Entry<Body> {
    const none = { bids: new Map(), called: new Set<string>(), lateBidCount: 0 };
    return {
      record,
      ...none,
      emptyAuctions: 0,
      barred: new Map(),
      dueAt: Infinity,
      phase: 'pausing',
    };
  }

  function submit(now: Millis, spec: TaskSpec<Body>): Effects {
    const refuse = (reason: 'full' | 'known' | 'no-quorum'): Effects => [
      { type: 'refuse', task: spec.id, reason },
    ];
    if (live.has(spec.id) || over.has(spec.id)) return refuse('known');
    if (live.size >= tasksMax) return refuse('full');
    if (spec.effect === 'none' && !hasQuorum) return refuse('no-quorum');
    const record: LedgerRecord<Body> = {
      spec,
      state: 'open',
      epoch: 0,
      winner: undefined,
      attempts: 0,
      result: undefined,
    };
    const entry = fresh(record);
    enter(entry);
    return [{ type: 'record', record }, ...open(now, entry)];
  }

  function adopt(now: Millis, record: LedgerRecord<Body>): Effects {
    const { id } = record.spec;
    if (live.has(id) || over.has(id)) return [{ type: 'refuse', task: id, reason: 'known' }];
    if (live.size >= tasksMax) return [{ type: 'refuse', task: id, reason: 'full' }];
    const entry = fresh(record);
    if (isOver(record.state)) {
      entry.phase = 'over';
      over.set(id, entry);
      if (over.size > overMax) over.delete(over.keys().next().value as string);
      return [];
    }
    enter(entry);
    if (record.state === 'open') return open(now, entry);
    entry.phase = record.state === 'running' ? 'running' : 'accepting';
    entry.dueAt = now + (record.state === 'running' ? leaseMs : acceptMs);
    return [];
  }

  function hearBid(now: Millis, entry: Entry<Body> | undefined, said: Said, cost: number): Effects {
    if (entry === undefined) return [];
    const isOpen = entry.phase === 'bidding' && now < entry.dueAt;
    if (!isOpen || said.epoch !== entry.record.epoch + 1) {
      counts.lateBids += 1;
      entry.lateBidCount += 1;
      return [{ type: 'reject', to: said.from, task: said.task, epoch: said.epoch }];
    }
    if (!entry.called.has(said.from) || entry.bids.has(said.from) || !Number.isFinite(cost))
      return [];
    counts.bids += 1;
    entry.bids.set(said.from, cost);
    return answer(now, entry, said.from);
  }

  /** Everybody has answered: there is nothing to wait for. */
  function answer(now: Millis, entry: Entry<Body>, from: string): Effects {
    if (entry.phase !== 'bidding' || !entry.called.delete(from)) return [];
    return entry.called.size === 0 ? award(now, entry) : [];
  }

  function isWinner(entry: Entry<Body>, said: Said): boolean {
    return said.epoch === entry.record.epoch && said.from === entry.record.winner;
  }

  function hearAccept(now: Millis, entry: Entry<Body> | undefined, said: Said): Effects {
    const { task, epoch, from } = said;
    if (entry === undefined || !isWinner(entry, said) || entry.phase === 'over') {
      return [{ type: 'revoke', to: from, task, epoch }];
    }
    const start = { type: 'start', to: from, task, epoch, leaseMs } as const;
    if (entry.phase === 'running') return [start];
    if (entry.phase !== 'accepting') return [{ type: 'revoke', to: from, task, epoch }];
    entry.phase = 'running';
    entry.dueAt = now + leaseMs;
    return [...write(entry, { state: 'running' }), start];
  }

  function hearRenewal(
    now: Millis,
    entry: Entry<Body> | undefined,
    said: Said & { turn: number },
  ): Effects {
    const isHeld = entry !== undefined && entry.phase === 'running' && isWinner(entry, said);
    if (isHeld) entry.dueAt = now + leaseMs;
    const { from, task, epoch, turn } = said;
    return [{ type: 'renewal', to: from, task, epoch, turn, isHeld }];
  }

  function hearEnd(
    now: Millis,
    entry: Entry<Body> | undefined,
    said: Said,
    outcome: 'done' | 'failed',
    result: unknown,
  ): Effects {
    const reply: Effects = [
      { type: 'acknowledge', to: said.from, task: said.task, epoch: said.epoch },
    ];
    if (entry === undefined || entry.phase === 'over') return reply;
    // Work that passed the sink is done, whoever did it; a failure counts only from the one who runs it.
    const isOwn = said.epoch >= 1 && said.epoch <= entry.record.epoch;
    if (outcome === 'done' && isOwn) {
      const { winner, epoch } = entry.record;
      const isStale = winner !== undefined && !isWinner(entry, said) && entry.phase !== 'bidding';
      const stop: Effects = isStale ? [{ type: 'revoke', to: winner, task: said.task, epoch }] : [];
      return [...end(entry, 'done', result), ...reply, ...stop];
    }
    if (outcome === 'failed' && isWinner(entry, said) && entry.phase === 'running') {
      return [...reply, ...reopen(now, entry, String(result))];
    }
    return reply;
  }

  function cancel(entry: Entry<Body> | undefined): Effects {
    if (entry === undefined || entry.phase === 'over') return [];
    const { winner, epoch, spec } = entry.record;
    const stop: Effects =
      winner === undefined ? [] : [{ type: 'revoke', to: winner, task: spec.id, epoch }];
    return [...end(entry, 'cancelled', undefined), ...stop];
  }

  function lose(now: Millis, id: string): Effects {
    bidders = bidders.filter((one) => one !== id);
    const effects: Effects = [];
    for (const entry of live.values()) {
      if (entry.phase === 'bidding') effects.push(...answer(now, entry, id));
      // Only the lease takes running work away: the verdict on a node may be wrong.
      else if (entry.phase === 'accepting' && entry.record.winner === id) {
        effects.push(...reopen(now, entry, `${id} is gone`));
      }
    }
    return effects;
  }

  function elapse(now: Millis): Effects {
    const effects: Effects = [];
    for (const entry of live.values()) {
      if (entry.dueAt > now) continue;
      if (entry.phase === 'bidding') effects.push(...award(now, entry));
      else if (entry.phase === 'pausing') effects.push(...open(now, entry));
      else effects.push(...reopen(now, entry, 'the lease ran out'));
    }
    return effects;
  }

  function take(now: Millis, input: AuctioneerInput<Body>): Effects {
    switch (input.type) {
      case 'tick':
        return [];
      case 'bidders':
        bidders = [...new Set(input.ids)].slice(0, biddersMax);
        return [];
      case 'quorum':
        hasQuorum = input.isThere;
        return [];
      case 'submitted':
        return submit(now, input.spec);
      case 'adopted':
        return adopt(now, input.record);
      case 'bidden':
        return hearBid(now, find(input.task), input, input.cost);
      case 'declined': {
        const entry = live.get(input.task);
        const isThis = entry !== undefined && input.epoch === entry.record.epoch + 1;
        return isThis ? answer(now, entry, input.from) : [];
      }
      case 'accepted':
        return hearAccept(now, find(input.task), input);
      case 'renewed':
        return hearRenewal(now, find(input.task), input);
      case 'finished':
        return hearEnd(now, find(input.task), input, input.outcome, input.result);
      case 'cancelled':
        return cancel(find(input.task));
      case 'gone':
        return lose(now, input.id);
      default:
        return unreachable(input);
    }
  }

  const find = (task: string): Entry<Body> | undefined => live.get(task) ?? over.get(task);

  return {
    step: (now, input) => [...elapse(now), ...take(now, input)],
    deadline() {
      let soonest = Infinity;
      for (const { dueAt } of live.values()) if (dueAt < soonest) soonest = dueAt;
      return soonest;
    },
    view: () => ({
      tasks: [...live.values(), ...over.values()].map((entry) => ({
        record: entry.record,
        bids: [...entry.bids].map(([bidder, cost]) => ({ bidder, cost })),
        lateBidCount: entry.lateBidCount,
      })),
      counts: { ...counts },
    }),
  };
}
