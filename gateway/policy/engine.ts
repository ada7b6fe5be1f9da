/** The policy in one place: every request of every format goes through `ask`. */

import { LRUCache } from 'lru-cache';
import type { LlmKnown } from 'mycel';

import type { GatewayConfig } from '../config/load.ts';
import type { OfflineStep } from '../config/schema.ts';
import type { Batch } from '../events.ts';
import { LlmFailure } from '../failure.ts';
import { createAccounts } from './accounts.ts';
import type { Accounts } from './accounts.ts';
import { createAnswerCache } from './answer-cache.ts';
import type { AnswerCache } from './answer-cache.ts';
import { idOf, isRepeatable, isShareable, modelOf } from './ask.ts';
import type { Ask } from './ask.ts';
import { candidatesOf, localsFor } from './choice.ts';
import type { Candidate } from './choice.ts';
import type { Desk } from './desk.ts';
import { countTokens, createEstimator, statedOutput } from './estimate.ts';
import { startFlight } from './flight.ts';
import type { Flight, FlightOutcome, FlightWorld } from './flight.ts';
import { createOfflineQueue } from './offline-queue.ts';
import { withOffline } from './offline.ts';
import type { OfflineWay } from './offline.ts';
import { createPriceList } from './prices.ts';
import { createRates } from './rates.ts';
import { requestKey } from './request-key.ts';
import { tokensOf } from './meter.ts';
import { createUsageBook } from './usage-book.ts';
import type { WaitingLog } from './waiting-log.ts';
import type { UsageBook } from './usage-book.ts';

/** Answers under way at once; one more is told to come back. */
export const flightsMax = 4096;

/** Answers kept for those who ask for the same id again. */
const keptFlightsMax = 1024;

/** How long they are kept, in ms, and no shorter than their asker waits. */
const keptFlightMs = 120_000;

/** How long answers that are ended at a close may take to be settled, in ms. */
const landMs = 1_000;

/** A place in an answer. */
interface Place {
  readonly run: string;
  readonly next: number;
}

/** An answer that somebody reads. */
export interface Answer {
  /** The run that it is read from; batches of one run can be read again from any place. */
  readonly run: string;
  readonly cache: 'hit' | 'stale' | 'coalesced' | 'miss';
  /** How it was got although the target could not be reached; undefined: it could. */
  readonly offline?: OfflineWay | undefined;
  /** @throws {LlmFailure} */
  readonly batches: AsyncIterable<Batch>;
  /** A reader that cannot take anything back has passed something on. */
  told(): void;
  /** What became of it; undefined while it is under way, and for answers from the cache. */
  outcome(): FlightOutcome | undefined;
  /** The reader is gone. With nobody left, the target is told to stop after so long, in ms. */
  leave(graceMs: number): void;
}

/** The policy of one gateway. */
export interface Engine {
  /** @throws {LlmFailure} what is wrong with the request itself; the rest comes from the answer. */
  ask(ask: Ask, from?: { readonly run: string; readonly next: number }): Answer;
  /** Puts a request that waited before a restart back into the queue. @throws {LlmFailure} when no target has its model. */
  waitOn(ask: Ask): Answer;
  /** What is known here of a request by its principal and id (`idOf`): whether an answer is under way or kept. */
  known(id: string): LlmKnown;
  /** An answer that is under way or kept, whoever asks; undefined when there is none. @throws {LlmFailure} for another request. */
  attach(ask: Ask, from?: { readonly run: string; readonly next: number }): Answer | undefined;
  readonly desks: readonly Desk[];
  readonly accounts: Accounts;
  readonly usage: UsageBook;
  readonly cache: AnswerCache;
  /** Answers under way. */
  inflight(): number;
  /** Requests that wait for a target to come back. */
  waitingOffline(): number;
  /** Asked with every answer before a target is asked for it; what it throws ends the answer. */
  beforeDispatch(claim: (flight: Flight) => Promise<void>): void;
  /** Called with every answer that ended. */
  onLanded(listener: (flight: Flight) => void): void;
  /** Ends every answer under way; resolves when all of them are settled, or a second is over. */
  close(): Promise<void>;
}

/** Builds it over targets that are already open. */
export function createEngine(
  config: GatewayConfig,
  desks: readonly Desk[],
  waiting?: WaitingLog,
): Engine {
  const accounts = createAccounts(config);
  const estimator = createEstimator();
  const cache = createAnswerCache(config.cache.bytes);
  const usage = createUsageBook();
  const queue = createOfflineQueue(config.offlineQueueMax);
  const priceOf = createPriceList(config.prices);
  /** With the tokens that the rates were charged for each. */
  const flights = new Map<Flight, number>();
  const shared = new Map<string, Flight>();
  const rates = createRates(config);
  const byId = new LRUCache<string, Flight>({ max: keptFlightsMax, ttl: keptFlightMs });
  const listeners: ((flight: Flight) => void)[] = [];
  let claim: (flight: Flight) => Promise<void> = async () => undefined;
  let emptied = (): void => undefined;

  const world: FlightWorld = {
    accounts,
    estimator,
    priceOf: ({ desk, model }) => priceOf(desk.config, model),
    chance: Math.random,
    claim: (flight) => claim(flight),
    landed(flight) {
      const { ask, key, tape, outcome } = flight;
      const taken = flights.get(flight) ?? 0;
      flights.delete(flight);
      if (key !== undefined && shared.get(key) === flight) shared.delete(key);
      if (outcome === undefined) return;
      rates.correct(ask.principal, tokensOf(outcome.usage) - taken);
      // What another gateway answers stands in its report.
      if (outcome.failure?.code !== 'answered_elsewhere')
        usage.landed(ownerOf(ask, outcome.model), outcome);
      if (outcome.failure === undefined && key !== undefined && mayKeep(ask)) {
        cache.keep(key, tape.batches, performance.now() + (ask.cacheMs ?? Infinity));
      }
      for (const listener of listeners) listener(flight);
      if (flights.size === 0) emptied();
    },
  };

  function keyOf(ask: Ask): string | undefined {
    const isKept = mayKeep(ask);
    if (!isKept && !isShareable(ask)) return undefined;
    const scope = config.cache.scope === 'mesh' ? '' : ask.principal.name;
    return requestKey(scope, ask.kind, ask.body);
  }

  function take(ask: Ask, candidates: readonly Candidate[], from: Place | undefined): Answer {
    const same = ask.isIdGiven ? byId.get(idOf(ask)) : undefined;
    if (same !== undefined) {
      assertSame(same, ask);
      // A failed one may be tried again: whatever could be told of it was told.
      if (same.tape.failure === undefined) return follow(same, 'coalesced', from);
    }
    const key = keyOf(ask);
    if (key !== undefined && ask.cacheMs !== 0) {
      const kept = mayKeep(ask) ? cache.get(key) : undefined;
      if (kept !== undefined && kept.freshUntil > performance.now()) {
        usage.spared(ownerOf(ask, modelOf(ask.body)), 'cacheHits');
        return keptAnswer('hit', key, kept.events);
      }
      const running = isShareable(ask) ? shared.get(key) : undefined;
      if (running !== undefined) {
        usage.spared(ownerOf(ask, modelOf(ask.body)), 'coalesced');
        if (ask.isIdGiven) byId.set(idOf(ask), running);
        return follow(running, 'coalesced', undefined);
      }
    }
    const tokens = admit(ask);
    const flight = startFlight(ask, key, candidates, world, (begun) => {
      flights.set(begun, tokens);
      if (ask.isIdGiven) byId.set(idOf(ask), begun, { ttl: Math.max(keptFlightMs, ask.ttlMs) });
      if (key !== undefined && isShareable(ask)) shared.set(key, begun);
    });
    return follow(flight, 'miss', undefined);
  }

  /** Begins an answer, with what is to be done when nobody can be reached. */
  function askOrElse(ask: Ask, candidates: readonly Candidate[], from: Place | undefined): Answer {
    const steps =
      candidates.find(({ model }) => model.offline !== undefined)?.model.offline ??
      ask.principal.offline ??
      config.offline;
    const isPatient = !steps.some((step) => step !== 'stale-cache' && step !== 'fail');
    const answer = take({ ...ask, isPatient }, candidates, from);
    if (answer.cache === 'hit' || steps.length === 0 || steps[0] === 'fail') return answer;
    return orElse(answer, { ...ask, isPatient }, steps, candidates);
  }

  function orElse(
    answer: Answer,
    ask: Ask,
    steps: readonly OfflineStep[],
    candidates: readonly Candidate[],
  ): Answer {
    return withOffline(answer, {
      ask,
      steps,
      candidates,
      queue,
      waiting,
      kept() {
        const key = keyOf(ask);
        return key === undefined ? undefined : cache.get(key);
      },
      locals: (wanted) => localsFor(ask, desks, candidates, wanted),
      begin: (next, places) => take(next, places, undefined),
      note: (way) => usage.offline(ownerOf(ask, modelOf(ask.body)), way),
    });
  }

  /** Lets a request in; gives the tokens that were taken from its rates. */
  function admit(ask: Ask): number {
    if (flights.size >= flightsMax) {
      throw new LlmFailure(
        'queue',
        `The gateway works on ${flightsMax} requests already. Ask again in a second.`,
        { retryAfterMs: 1000 },
      );
    }
    const tokens = forecastOf(ask);
    rates.take(ask.principal, tokens);
    return tokens;
  }

  /** What it will use, as far as anybody can tell before it was asked. */
  function forecastOf(ask: Ask): number {
    if (ask.kind === 'embeddings') return countTokens(ask.body);
    const output = statedOutput(ask.body) ?? estimator.outputTokens(modelOf(ask.body));
    return countTokens(ask.body) + output;
  }

  return {
    ask: (ask, from) => askOrElse(ask, candidatesOf(ask, desks), from),
    waitOn(ask) {
      const why = new LlmFailure('network', 'The gateway was started again.');
      return orElse(
        failedAnswer(why),
        { ...ask, isPatient: false },
        ['queue'],
        candidatesOf(ask, desks),
      );
    },
    known(id) {
      const flight = byId.get(id);
      if (flight === undefined || flight.tape.failure !== undefined) return 'nothing';
      return flight.isClaimed ? 'answering' : 'claiming';
    },
    attach(ask, from) {
      const flight = byId.get(idOf(ask));
      if (flight === undefined) return undefined;
      assertSame(flight, ask);
      return follow(flight, 'coalesced', from);
    },
    desks,
    accounts,
    usage,
    cache,
    inflight: () => flights.size,
    waitingOffline: () => queue.length,
    beforeDispatch(next) {
      claim = next;
    },
    onLanded: (listener) => void listeners.push(listener),
    async close() {
      for (const flight of flights.keys()) {
        flight.cancel(
          new LlmFailure('overload', 'The gateway stops. Ask another one.', {
            code: 'gateway_stopping',
          }),
        );
      }
      queue.close();
      if (flights.size > 0) {
        await new Promise<void>((resolve) => {
          emptied = resolve;
          setTimeout(resolve, landMs).unref();
        });
      }
      for (const desk of desks) desk.close();
    },
  };
}

function mayKeep(ask: Ask): boolean {
  return ask.cacheMs === undefined ? isRepeatable(ask) : ask.cacheMs > 0;
}

function ownerOf(
  ask: Ask,
  model: string,
): { principal: string; agent: string | undefined; model: string } {
  return { principal: ask.principal.name, agent: ask.agent, model };
}

/** The same id for another request would give somebody an answer to a question that was not asked. */
function assertSame({ ask: known }: Flight, ask: Ask): void {
  if (
    known.kind === ask.kind &&
    requestKey('', ask.kind, known.body) === requestKey('', ask.kind, ask.body)
  )
    return;
  throw new LlmFailure(
    'invalid',
    'This id was used for another request. Draw a new one for each request.',
    {
      status: 422,
      code: 'idempotency_conflict',
    },
  );
}

function follow(flight: Flight, cache: 'coalesced' | 'miss', from: Place | undefined): Answer {
  const isSame = from?.run === flight.run;
  const reader = flight.tape.read(isSame ? Math.min(from.next, flight.tape.batches.length) : 0);
  return {
    run: flight.run,
    cache,
    batches: reader,
    outcome: () => flight.outcome,
    told() {
      flight.canReset = false;
    },
    leave(graceMs) {
      void reader.return?.();
      if (flight.tape.isEnded || flight.tape.readerCount > 0) return;
      const cancel = (): void => {
        if (flight.tape.readerCount === 0)
          flight.cancel(new LlmFailure('cancelled', 'The client went away.'));
      };
      if (graceMs === 0) cancel();
      else setTimeout(cancel, graceMs).unref();
    },
  };
}

function failedAnswer(failure: LlmFailure): Answer {
  // eslint-disable-next-line require-yield
  async function* batches(): AsyncGenerator<Batch> {
    throw failure;
  }
  return {
    run: '',
    cache: 'miss',
    batches: batches(),
    outcome: () => undefined,
    told: () => undefined,
    leave: () => undefined,
  };
}

function keptAnswer(cache: 'hit', run: string, events: Batch): Answer {
  async function* batches(): AsyncGenerator<Batch> {
    yield events;
  }
  return {
    run,
    cache,
    batches: batches(),
    outcome: () => undefined,
    told: () => undefined,
    leave: () => undefined,
  };
}
