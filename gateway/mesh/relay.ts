/**
 * A client that repeats its request at another gateway finds the answer that it began: the words come from there, and
 * nobody pays a second time. When that gateway dies on the way, the answer begins anew here and is counted.
 */

import { MycelError } from 'mycel';
import type { LlmHandle, LlmPlace, NodeId } from 'mycel';

import type { Batch } from '../events.ts';
import { LlmFailure } from '../failure.ts';
import type { FailureClass } from '../failure.ts';
import { idOf } from '../policy/ask.ts';
import type { Ask } from '../policy/ask.ts';
import type { Answer, Engine } from '../policy/engine.ts';
import { AnsweredElsewhere } from './word.ts';
import type { Word } from './word.ts';

/** Changes of the gateway that one answer is followed through. */
const turnsMax = 4;

/** An engine for clients that do not know the mesh: what is answered elsewhere is fetched from there. */
export function withRelay(engine: Engine, word: Word, llm: Pick<LlmHandle, 'claimer'>): Engine {
  return {
    ...engine,
    ask(ask, from) {
      if (!ask.isIdGiven || engine.known(idOf(ask)) !== 'nothing') return engine.ask(ask, from);
      return relay({ ask, from, engine, word, llm });
    },
  };
}

interface RelayFrame {
  readonly ask: Ask;
  readonly from: LlmPlace | undefined;
  readonly engine: Engine;
  readonly word: Word;
  readonly llm: Pick<LlmHandle, 'claimer'>;
}

function relay({ ask, from, engine, word, llm }: RelayFrame): Answer {
  const controller = new AbortController();
  /** The answer of this gateway, once it is that. */
  let own: Answer | undefined;
  let isTold = false;
  let gone: number | undefined;

  function begin(): Answer {
    own = engine.ask(ask, from);
    if (isTold) own.told();
    if (gone !== undefined) own.leave(gone);
    return own;
  }

  async function* follow(gateway: NodeId): AsyncGenerator<Batch> {
    const { id, kind, body, class: queueClass, ttlMs, isStream, cacheMs, agent } = ask;
    const wish = { id, kind, body, class: queueClass, isStream, cacheMs, agent };
    const asked = { ...wish, from: undefined, isRepeat: true, onBehalfOf: ask.principal.name };
    for await (const { events } of llm.claimer?.follow(gateway, asked, ttlMs, controller.signal) ??
      []) {
      yield events;
    }
  }

  async function* batches(): AsyncGenerator<Batch> {
    let gateway = await word.whoAnswers(idOf(ask), false);
    let isBegun = false;
    const anew = (attempt: number): Batch => {
      if (isTold) throw broken();
      return isBegun ? [{ type: 'reset', attempt }] : [];
    };
    for (let turn = 0; turn < turnsMax; turn += 1) {
      try {
        for await (const batch of gateway === undefined ? begin().batches : follow(gateway)) {
          if (isTold && batch.some(({ type }) => type === 'reset')) throw broken();
          isBegun = true;
          yield batch;
        }
        return;
      } catch (error) {
        if (error instanceof AnsweredElsewhere) ({ gateway } = error);
        else if (gateway === undefined || !isLoss(error)) throw toldThere(error);
        else {
          word.lost(idOf(ask));
          gateway = undefined;
        }
      }
      yield anew(turn + 1);
    }
    throw broken();
  }

  return {
    run: idOf(ask),
    get cache() {
      return own?.cache ?? 'coalesced';
    },
    get offline() {
      return own?.offline;
    },
    batches: batches(),
    told() {
      isTold = true;
      own?.told();
    },
    outcome: () => own?.outcome(),
    leave(graceMs) {
      gone = graceMs;
      own?.leave(graceMs);
      const stop = (): void =>
        controller.abort(new LlmFailure('cancelled', 'The client went away.'));
      if (graceMs === 0) stop();
      else setTimeout(stop, graceMs).unref();
    },
  };
}

/** Whether the other gateway is gone, or knows nothing any more. */
function isLoss(error: unknown): boolean {
  return (
    MycelError.is(error) &&
    (error.code !== 'MYCEL_LLM_FAILED' || error.details['llmCode'] === 'unknown_request')
  );
}

/** What the other gateway said is wrong, as if it had been said here. */
function toldThere(error: unknown): unknown {
  if (!MycelError.is(error) || error.code !== 'MYCEL_LLM_FAILED') return error;
  const { kind, status, llmCode, param, retryAfterMs, reason } = error.details;
  return new LlmFailure((kind ?? 'overload') as FailureClass, String(reason), {
    ...(typeof status === 'number' ? { status } : {}),
    ...(typeof llmCode === 'string' ? { code: llmCode } : {}),
    ...(typeof param === 'string' ? { param } : {}),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    wasDispatched: true,
  });
}

function broken(): LlmFailure {
  return new LlmFailure(
    'incomplete',
    'The gateway that answered is gone, and what it said cannot be taken back.',
    { wasDispatched: true },
  );
}
