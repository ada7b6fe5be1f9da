/** What this node does for others: it bids for tasks from live facts, runs what it is awarded, and stops when it is not its own any more. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { DeviceFacts, Hardware } from '../../ports/hardware.ts';
import type { BatchOffer } from '../../protocol/agreement/batch.ts';
import { createContractor } from '../../protocol/agreement/contractor.ts';
import type { ContractorEffect, ContractorInput } from '../../protocol/agreement/contractor.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import { taskCost } from '../../protocol/agreement/task-cost.ts';
import type { BidFacts, SettledBid, TaskCost } from '../../protocol/agreement/task-cost.ts';
import { drive } from '../drive.ts';
import type { Driver } from '../drive.ts';
import type { PartWorld } from '../parts.ts';
import { makeOffers } from './batch-offers.ts';
import { readQuestion } from './batches.ts';
import { createOpenAnswers } from './open-answers.ts';
import type { OpenCall } from './open-answers.ts';
import { isOpenRule, taskResultBytesMax } from './task-types.ts';
import type { TaskOffer, TaskRunner } from './task-runner.ts';
import type { TaskBody } from './task-types.ts';
import { jsonBytes } from './task-words.ts';
import type { TaskWord } from './task-words.ts';

/** Tasks that one node has accepted and not finished. */
export const taskSlotsMax = 256;

/** A look at the board is good for so long, in ms. */
const factsMs: Millis = 1_000;

/** How much one more run moves the mean duration of its kind. */
const meanShare = 0.2;

/** Bids that wait for their award. */
const quotesMax = 1_024;

/** Endings of auctions kept for one bidder until it is asked again; the oldest goes. */
const settledMax = 16;

/** What bidding needs. */
export interface BiddingWorld {
  readonly world: PartWorld;
  readonly hardware: Hardware;
  /** Labels and capabilities of this node fit the task. */
  fits(body: TaskBody): boolean;
  /** Of what a task would like to find, how much is here. */
  wishesMet(body: TaskBody): number;
  send(to: NodeId, word: TaskWord): void;
}

/** The bidding of one node. */
export interface Bidding {
  /** Takes a kind of tasks from now on; returns the function that ends it. */
  offer(runner: TaskRunner): () => void;
  kinds(): readonly string[];
  hear(from: NodeId, word: TaskWord): void;
  /** Offers for the tasks of a batch; undefined when it is not asked rightly. */
  offers(from: NodeId, question: Uint8Array): Promise<readonly BatchOffer[] | undefined>;
  /** Another node conducts the auctions of this task. */
  moved(task: string, to: NodeId): void;
  running(): readonly string[];
  start(): void;
  stop(): void;
}

interface Quote extends TaskCost {
  readonly runner: TaskRunner;
  /** Its auctioneer has the offer already. */
  readonly isTold?: boolean;
  /** The award it was made for, while it is not known how that ended. */
  readonly epoch?: number | undefined;
}

/** Builds it. */
export function createBidding(parts: BiddingWorld): Bidding {
  const { world, hardware } = parts;
  const { clock, log, mesh, metrics } = world;
  const runners = new Map<string, Set<TaskRunner>>();
  const quotes = new BoundedMap<string, Quote>(quotesMax);
  const means = new BoundedMap<string, number>(64);
  const endings = new WeakMap<TaskRunner, readonly SettledBid[]>();
  const jobs = new Map<string, { readonly control: AbortController }>();
  let facts: { readonly at: Millis; readonly board: DeviceFacts } | undefined;

  function board(): DeviceFacts {
    const now = clock.now();
    if (facts === undefined || now - facts.at > factsMs)
      facts = { at: now, board: hardware.read() };
    return facts.board;
  }

  function bidFacts(body: TaskBody, from: NodeId, heldCount = 0): BidFacts {
    const { cpu, temperatureC, power } = board();
    return {
      queue: jobs.size + heldCount,
      meanMs: means.get(body.kind),
      load: cpu.load,
      cores: cpu.cores,
      temperatureC,
      isThrottled: power.isThrottled,
      batteryShare: power.source === 'battery' ? power.batteryShare : undefined,
      rttMs: from === mesh.self ? 0 : mesh.rttMs(from),
      wishes: body.prefers.length,
      wishesMet: parts.wishesMet(body),
    };
  }

  /** The best bid of those here that take this kind. */
  async function quote(
    from: NodeId,
    spec: TaskSpec<TaskBody>,
    withinMs: Millis,
    held: readonly TaskSpec<TaskBody>[] = [],
  ): Promise<Quote | undefined> {
    const { body } = spec;
    const able = runners.get(body.kind);
    if (able === undefined || !parts.fits(body)) return undefined;
    const known = bidFacts(body, from, held.length);
    const usual = taskCost(known, body.expectedMs);
    const job = offerOf(spec, held);
    const all = await Promise.all(
      [...able].map(async (runner): Promise<Quote | undefined> => {
        if (runner.bid === undefined) return { ...usual, runner };
        try {
          const heard = endings.get(runner) ?? [];
          endings.delete(runner);
          const cost = await runner.bid(job, { ...known, settled: heard }, withinMs);
          if (cost === undefined || !Number.isFinite(cost)) return undefined;
          return { cost, parts: { own: cost }, runner };
        } catch (error) {
          log.debug({ error, owner: runner.owner, task: spec.id }, 'an agent did not bid');
          return undefined;
        }
      }),
    );
    const bids = all.filter((one) => one !== undefined);
    // Of equal ones, the one asked longest ago: the set keeps the order of offering.
    return bids.sort((one, other) => one.cost - other.cost)[0];
  }

  async function called(from: NodeId, word: TaskWord & { t: 'call' }): Promise<void> {
    const { spec, epoch, closesInMs, ask, leader } = word;
    if (isOpenRule(spec.body.rule)) {
      return ask === undefined ? undefined : open.called({ from, epoch, spec, ask, leader });
    }
    const best = await quote(from, spec, closesInMs * 0.6);
    if (best === undefined) quotes.delete(spec.id);
    else quotes.set(spec.id, { ...best, epoch });
    driver.feed({ type: 'called', from, epoch, spec });
  }

  const open = createOpenAnswers<Quote>({
    self: mesh.self,
    quote: ({ from, spec }) => quote(from, spec, spec.body.biddingMs * 0.6),
    offer(call, found) {
      // What it costs stays here: the word is only that the price will do.
      quotes.set(call.spec.id, { ...found, cost: call.ask, parts: {} });
      feedCall(call);
    },
    drop(call) {
      quotes.delete(call.spec.id);
      feedCall(call);
    },
  });

  /** Keeps how it ended for whoever made the bid, until it is asked for the next one. */
  function settled(
    { task, epoch, bestOther }: TaskWord & { t: 'award' | 'reject' },
    isWon: boolean,
  ): void {
    const quote = quotes.get(task);
    if (quote?.epoch !== epoch) return;
    quotes.set(task, { ...quote, epoch: undefined });
    const all = endings.get(quote.runner) ?? [];
    endings.set(quote.runner, [
      ...all.slice(1 - settledMax),
      { task, asked: quote.cost, isWon, bestOther },
    ]);
  }

  function feedCall({ from, epoch, spec }: Pick<OpenCall, 'from' | 'epoch' | 'spec'>): void {
    driver.feed({ type: 'called', from, epoch, spec });
  }

  async function offers(
    from: NodeId,
    bytes: Uint8Array,
  ): Promise<readonly BatchOffer[] | undefined> {
    const question = readQuestion(bytes);
    if (question === undefined) return undefined;
    const withinMs = question.withinMs * 0.6;
    const found = new Map<string, Quote>();
    const made = await makeOffers(question, {
      async price(spec, held) {
        const best = await quote(from, spec, withinMs, held);
        if (best !== undefined) found.set(spec.id, best);
        return best?.cost;
      },
      async own(specs) {
        const [first] = specs;
        const takers = first && [...(runners.get(first.body.kind) ?? [])];
        const named = takers?.find(({ bundles }) => bundles !== undefined);
        if (first === undefined || named?.bundles === undefined) return undefined;
        if (specs.some((one) => one.body.kind !== named.kind)) return undefined;
        for (const { id } of specs) {
          const was = found.get(id);
          if (was !== undefined) found.set(id, { ...was, runner: named });
        }
        const facts = bidFacts(first.body, from);
        return named.bundles(
          specs.map((spec) => offerOf(spec, [])),
          facts,
        );
      },
    });
    for (const spec of question.open) {
      const best = found.get(spec.id);
      if (best === undefined) continue;
      quotes.set(spec.id, { ...best, isTold: true });
      // The first award of a task has epoch 1, and a batch is always the first auction of its tasks.
      feedCall({ from, epoch: 1, spec });
    }
    return made;
  }

  function perform(spec: TaskSpec<TaskBody>, epoch: number): void {
    const name = `${spec.id} ${epoch}`;
    const control = new AbortController();
    jobs.set(name, { control });
    const from = clock.now();
    const { kind, input, by } = spec.body;
    const runner = quotes.get(spec.id)?.runner ?? [...(runners.get(kind) ?? [])][0];
    const work = async (): Promise<unknown> => {
      if (runner === undefined || runners.get(kind)?.has(runner) !== true) {
        throw new MycelError('MYCEL_UNKNOWN_TASK', {
          reason: `Nothing here takes '${kind}' any more.`,
        });
      }
      return runner.run({ id: spec.id, kind, input, fence: epoch, by }, control.signal);
    };
    metrics.count('tasks.wins');
    work()
      .then((result) => {
        const bytes = jsonBytes(result);
        if (bytes <= taskResultBytesMax) return { outcome: 'done', result } as const;
        throw new MycelError('MYCEL_TOO_LARGE', {
          reason: `A result of ${bytes} bytes as JSON is larger than ${taskResultBytesMax}.`,
        });
      })
      .catch((error: unknown) => {
        const result = error instanceof Error ? error.message : String(error);
        return { outcome: 'failed', result: result.slice(0, 500) } as const;
      })
      .then(({ outcome, result }) => {
        jobs.delete(name);
        const tookMs = clock.now() - from;
        const mean = means.get(kind);
        if (outcome === 'done')
          means.set(kind, mean === undefined ? tookMs : mean + (tookMs - mean) * meanShare);
        if (control.signal.aborted) return;
        driver.feed({ type: 'completed', task: spec.id, epoch, outcome, result });
      })
      .catch((error: unknown) => log.error({ error, task: spec.id }, 'a task could not be ended'));
  }

  function run(effect: ContractorEffect<TaskBody>): void {
    switch (effect.type) {
      case 'bid': {
        const { to, task, epoch, cost } = effect;
        if (quotes.get(task)?.isTold === true) break;
        const shown = quotes.get(task)?.parts ?? {};
        metrics.count('tasks.bids_made');
        parts.send(to as NodeId, { t: 'bid', task, epoch, cost, parts: shown });
        break;
      }
      case 'decline':
      case 'accept':
        parts.send(effect.to as NodeId, { t: effect.type, task: effect.task, epoch: effect.epoch });
        break;
      case 'renew': {
        const { to, task, epoch, turn } = effect;
        parts.send(to as NodeId, { t: 'renew', task, epoch, turn });
        break;
      }
      case 'report': {
        const { to, task, epoch, outcome, result } = effect;
        parts.send(to as NodeId, { t: 'report', task, epoch, outcome, result });
        break;
      }
      case 'run':
        perform(effect.spec, effect.epoch);
        break;
      case 'stop': {
        const job = jobs.get(`${effect.task} ${effect.epoch}`);
        metrics.count('tasks.stops');
        log.info({ task: effect.task, reason: effect.reason }, "a task is this node's no more");
        job?.control.abort(new MycelError('MYCEL_FENCED', { task: effect.task }));
        jobs.delete(`${effect.task} ${effect.epoch}`);
        break;
      }
    }
  }

  const core = createContractor<TaskBody>({
    slots: taskSlotsMax,
    callsMax: quotesMax,
    quote: ({ id }) => quotes.get(id)?.cost,
  });
  let driver: Driver<ContractorInput<TaskBody>> = idle;

  return {
    offer(runner) {
      const all = runners.get(runner.kind) ?? new Set();
      runners.set(runner.kind, all.add(runner));
      return () => {
        all.delete(runner);
        if (all.size === 0 && runners.get(runner.kind) === all) runners.delete(runner.kind);
      };
    },
    kinds: () => [...runners.keys()],
    hear(from, word) {
      switch (word.t) {
        case 'call':
          called(from, word).catch((error: unknown) => log.error({ error }, 'a bid failed'));
          break;
        case 'ask':
          open.asked(from, word.task, word.epoch, word.ask, word.leader);
          break;
        case 'reject':
          settled(word, false);
          break;
        case 'award':
          settled(word, true);
          driver.feed({ type: 'awarded', from, task: word.task, epoch: word.epoch });
          break;
        case 'revoke':
          driver.feed({ type: 'revoked', from, task: word.task, epoch: word.epoch });
          break;
        case 'acknowledge':
          driver.feed({ type: 'acknowledged', from, task: word.task, epoch: word.epoch });
          break;
        case 'start': {
          const { task, epoch, leaseMs } = word;
          driver.feed({ type: 'started', from, task, epoch, leaseMs });
          break;
        }
        case 'renewal': {
          const { task, epoch, turn, isHeld } = word;
          driver.feed({ type: 'renewal', task, epoch, turn, isHeld });
          break;
        }
        case 'moved':
          driver.feed({ type: 'moved', task: word.task, to: word.to });
          break;
        default:
          break;
      }
    },
    offers,
    moved: (task, to) => driver.feed({ type: 'moved', task, to }),
    running: () => [...jobs.keys()],
    start() {
      driver = drive<ContractorInput<TaskBody>, ContractorEffect<TaskBody>>(core, {
        clock,
        tick: { type: 'tick' },
        run,
        failed: (effect, error) =>
          log.warn({ error, effect: effect.type }, 'a contractor could not act'),
        overflowed: () => metrics.drop('tasks', 'overflow'),
      });
    },
    stop() {
      driver.stop();
      for (const { control } of jobs.values()) control.abort(new MycelError('MYCEL_NOT_RUNNING'));
      jobs.clear();
    },
  };
}

/** Before the start nothing is heard. */
const idle: Driver<ContractorInput<TaskBody>> = { feed: () => {}, stop: () => {} };

function offerOf({ id, body }: TaskSpec<TaskBody>, held: readonly TaskSpec<TaskBody>[]): TaskOffer {
  const { kind, input, by, rule, costMax } = body;
  const inHand = held.map((one) => ({ id: one.id, kind: one.body.kind, input: one.body.input }));
  return { id, kind, input, by, rule, costMax, held: inHand };
}
