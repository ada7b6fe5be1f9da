/** One answer on its way: a place, an attempt, another target when it fails, and the bill in the end. */

import { randomUUID } from 'node:crypto';

import type { Price } from '../config/schema.ts';
import { isObject } from '../events.ts';
import type { Usage } from '../events.ts';
import { LlmFailure, toLlmFailure } from '../failure.ts';
import { Halt } from '../halt.ts';
import type { Accounts, Hold } from './accounts.ts';
import { modelOf } from './ask.ts';
import type { Ask } from './ask.ts';
import type { Candidate } from './choice.ts';
import { countedUsage, countTokens, statedOutput } from './estimate.ts';
import type { Estimator } from './estimate.ts';
import { charge, measure, tokensOf } from './meter.ts';
import type { Meter } from './meter.ts';
import { costOf } from './prices.ts';
import { choose, judge, mayRetry } from './retry.ts';
import { Tape } from './tape.ts';

/** What a flight needs. */
export interface FlightWorld {
  readonly accounts: Accounts;
  readonly estimator: Estimator;
  priceOf(candidate: Candidate): Price | undefined;
  /** A number in [0, 1). */
  chance(): number;
  /** Tells the other gateways before a target is asked for the first time. @throws {LlmFailure} when one of them answers it. */
  claim(flight: Flight): Promise<void>;
  /** Called once, when everything is settled. */
  landed(flight: Flight): void;
}

/** What became of it. */
export interface FlightOutcome {
  readonly target: string | undefined;
  readonly model: string;
  readonly usage: Usage;
  /** In nano-dollars; undefined: unknown price. */
  readonly cost: number | undefined;
  readonly attempts: number;
  readonly ttftMs: number | undefined;
  readonly totalMs: number;
  readonly failure: LlmFailure | undefined;
}

/** One answer under way. */
export interface Flight {
  /** Told apart from every other run of the same request, here and elsewhere. */
  readonly run: string;
  readonly ask: Ask;
  readonly tape: Tape;
  readonly key: string | undefined;
  /** Whether what was told may be taken back with a `reset`: false once a reader that cannot has been told something. */
  canReset: boolean;
  /** Whether the others were told: a target is being asked, or was. */
  isClaimed: boolean;
  outcome: FlightOutcome | undefined;
  /** Ends it for everybody. */
  cancel(why: LlmFailure): void;
}

/**
 * Starts it. The tape tells the rest; nothing throws from here.
 * @param enter called before anything else happens to it: it may land before this function returns.
 */
export function startFlight(
  ask: Ask,
  key: string | undefined,
  candidates: readonly Candidate[],
  world: FlightWorld,
  enter: (flight: Flight) => void,
): Flight {
  const halt = new Halt();
  const flight: Flight = {
    run: randomUUID(),
    ask,
    key,
    tape: new Tape(),
    canReset: true,
    isClaimed: false,
    outcome: undefined,
    cancel(why) {
      halt.call(why);
      flight.tape.release();
    },
  };
  enter(flight);
  void fly(flight, candidates, halt, world);
  return flight;
}

async function fly(
  flight: Flight,
  candidates: readonly Candidate[],
  halt: Halt,
  world: FlightWorld,
): Promise<void> {
  const { ask, tape } = flight;
  const startedAt = performance.now();
  const deadline = startedAt + ask.ttlMs;
  const [first] = candidates;
  const counted = countTokens(ask.body);
  const meter: Meter = {
    outputTokens: 0,
    inputTokens: counted,
    reported: undefined,
    lost: countedUsage(ask, 0, 0),
    isDispatched: false,
  };
  let hold: Hold | undefined;
  let failure: LlmFailure | undefined;
  let attempts = 0;
  let ttftMs: number | undefined;
  let used = first;
  /** Tokens that the target's rate was charged for the attempt under way. */
  let taken = 0;
  const settleRate = (): void => {
    used?.desk.correctRate(tokensOf(charge(meter, ask)) - taken);
    taken = 0;
  };
  const timer = setTimeout(
    () =>
      flight.cancel(
        new LlmFailure(
          'deadline',
          `No whole answer came in ${Math.round(ask.ttlMs)} ms. Allow more time.`,
        ),
      ),
    ask.ttlMs,
  );
  try {
    const model = first?.model.as ?? modelOf(ask.body);
    meter.inputTokens = world.estimator.inputTokens(model, ask.body);
    assertFits(candidates, meter.inputTokens, ask);
    const price = dearest(candidates, world);
    const claimed = world.claim(flight);
    // Only waited for once there is something to spend.
    claimed.catch(() => undefined);
    hold = await world.accounts.hold(
      ask,
      { inputTokens: meter.inputTokens, outputTokens: world.estimator.outputTokens(model), price },
      halt,
    );
    await claimed;
    halt.throwIfCalled();
    flight.isClaimed = true;
    const tried = new Map<string, number>();
    for (;;) {
      const output = statedOutput(ask.body) ?? world.estimator.outputTokens(model);
      const wanted = meter.inputTokens + (ask.kind === 'embeddings' ? 0 : output);
      const candidate = await choose({
        candidates,
        tried,
        deadline,
        halt,
        tokens: wanted,
        isPatient: ask.isPatient !== false,
      });
      used = candidate;
      taken = wanted;
      attempts += 1;
      tried.set(candidate.desk.config.name, (tried.get(candidate.desk.config.name) ?? 0) + 1);
      try {
        await attempt(flight, candidate, { hold, meter, halt, deadline, startedAt }, (ms) => {
          ttftMs ??= ms;
        });
        break;
      } catch (error) {
        failure = halt.failureOf(error);
        if (
          !(await mayRetry(failure, {
            isBound: tape.batches.length > 0 && !flight.canReset,
            candidates,
            candidate,
            tried,
            attempts,
            deadline,
            halt,
            chance: world.chance,
          }))
        )
          throw failure;
        settleRate();
        if (tape.batches.length > 0) tape.write([{ type: 'reset', attempt: attempts }]);
        failure = undefined;
      }
    }
  } catch (error) {
    failure = halt.failureOf(error);
  } finally {
    clearTimeout(timer);
    settleRate();
    const usage = meter.lost;
    const price = used === undefined ? undefined : world.priceOf(used);
    if (hold !== undefined) world.accounts.settle(hold, usage, price);
    flight.outcome = {
      target: attempts === 0 ? undefined : used?.desk.config.name,
      model: used?.model.name ?? modelOf(ask.body),
      usage,
      cost: price === undefined ? undefined : costOf(price, usage),
      attempts,
      ttftMs,
      totalMs: performance.now() - startedAt,
      failure,
    };
    if (failure === undefined && used !== undefined)
      world.estimator.learn(used.model.as, counted, usage);
    world.landed(flight);
    tape.end(failure);
  }
}

/** What an attempt is given. */
interface AttemptFrame {
  readonly hold: Hold;
  readonly meter: Meter;
  readonly halt: Halt;
  readonly deadline: number;
  readonly startedAt: number;
}

async function attempt(
  flight: Flight,
  { desk, model }: Candidate,
  { hold, meter, halt, deadline, startedAt }: AttemptFrame,
  began: (ms: number) => void,
): Promise<void> {
  const { ask, tape } = flight;
  const place = await desk.enter({
    principal: ask.principal.name,
    class: ask.class,
    patienceMs: deadline - performance.now(),
    halt,
  });
  const breaker = desk.breaker(model.as);
  const at = performance.now();
  let isJudged = false;
  try {
    const answer = desk.target.ask({
      kind: ask.kind,
      body: bodyFor(ask, model.as, hold, desk),
      isStream: ask.isStream,
      halt,
      ttlMs: Math.max(1, deadline - at),
    });
    let isFirst = true;
    meter.isDispatched = true;
    for await (const batch of answer) {
      if (isFirst) {
        isFirst = false;
        breaker.began(performance.now());
        desk.began(performance.now() - at);
        began(performance.now() - startedAt);
      }
      measure(meter, batch, ask);
      tape.write(batch);
      if (tape.isFull) await tape.room();
    }
    isJudged = true;
    breaker.succeeded(performance.now());
    desk.ended(performance.now() - at);
  } catch (error) {
    const failure = toLlmFailure(error);
    if (!failure.wasDispatched && failure.kind !== 'cancelled' && meter.outputTokens === 0)
      meter.isDispatched = false;
    isJudged = judge(desk, model.as, failure);
    throw error;
  } finally {
    if (!isJudged) breaker.abandoned(performance.now());
    place.leave();
  }
}

/** The request as the target gets it: its own name for the model, and no more output than is paid for. */
function bodyFor(ask: Ask, model: string, hold: Hold, desk: Candidate['desk']): Ask['body'] {
  const body = { ...ask.body, model };
  if (ask.kind === 'embeddings') return { ...body, encoding_format: 'float' };
  if (hold.outputTokens === undefined || statedOutput(ask.body) !== undefined) return body;
  const isOpenAi = desk.config.url?.startsWith('https://api.openai.com') === true;
  return { ...body, [isOpenAi ? 'max_completion_tokens' : 'max_tokens']: hold.outputTokens };
}

/** A certain excess is told at once; what may just fit is the target's to judge. */
function assertFits(candidates: readonly Candidate[], inputTokens: number, ask: Ask): void {
  const longest = Math.max(...candidates.map(({ model }) => model.context ?? Infinity));
  const needed = Math.floor(inputTokens / 2) + (statedOutput(ask.body) ?? 0);
  if (needed <= longest) return;
  throw new LlmFailure(
    'invalid',
    `The request is too long for the model '${modelOf(ask.body)}': about ${inputTokens} tokens of input where ${longest} fit, output included. Shorten the ${isObject(ask.body['messages']) ? 'input' : 'messages'}, or use a model with a longer context.`,
    { code: 'context_length_exceeded', param: ask.kind === 'chat' ? 'messages' : 'input' },
  );
}

/** The worst case: the dearest of the targets that may be asked. Undefined as soon as one price is unknown. */
function dearest(candidates: readonly Candidate[], world: FlightWorld): Price | undefined {
  let price: Price = { input: 0, output: 0 };
  for (const candidate of candidates) {
    const one = world.priceOf(candidate);
    if (one === undefined) return undefined;
    price = { input: Math.max(price.input, one.input), output: Math.max(price.output, one.output) };
  }
  return price;
}
