/** Which target to ask: those that have the model, the ones that can answer now and soonest first. */

import type { ModelConfig, PrincipalConfig } from '../config/load.ts';
import { invalid, LlmFailure } from '../failure.ts';
import { modelOf } from './ask.ts';
import type { Ask } from './ask.ts';
import type { Desk } from './desk.ts';

/** A target and the model it would answer with. */
export interface Candidate {
  readonly desk: Desk;
  readonly model: ModelConfig;
}

/** How much later in the list a target stands for each place, in ms of expected wait: the order in the file is a wish. */
const placeMs = 250;

/** Names shown in a message. */
const namesMax = 12;

/**
 * The targets that have the model. `target/model` means that one target.
 * @throws {LlmFailure} invalid when the model is missing, unknown or not allowed.
 */
export function candidatesOf(ask: Ask, desks: readonly Desk[]): readonly Candidate[] {
  const wanted = modelOf(ask.body);
  if (wanted === '') {
    throw invalid(
      `The request names no model. Add "model": one of ${listed(desks)}.`,
      'model',
      'missing_required_parameter',
    );
  }
  const found = desks.flatMap((desk) =>
    desk
      .models()
      .flatMap((model) =>
        model.name === wanted || `${desk.config.name}/${model.name}` === wanted
          ? [{ desk, model }]
          : [],
      ),
  );
  if (found.length === 0) {
    throw new LlmFailure(
      'invalid',
      `There is no model '${wanted.slice(0, 100)}' here. Use one of ${listed(desks)}.`,
      { status: 404, code: 'model_not_found', param: 'model' },
    );
  }
  assertAllowed(ask.principal, wanted, found);
  return found;
}

function assertAllowed(
  principal: PrincipalConfig,
  wanted: string,
  found: readonly Candidate[],
): void {
  const { models } = principal;
  if (
    models === undefined ||
    models.includes(wanted) ||
    found.some(({ model }) => models.includes(model.name))
  )
    return;
  throw new LlmFailure(
    'invalid',
    `'${principal.name}' may not use the model '${wanted}'. Use one of ${models.join(', ')}.`,
    {
      status: 403,
      code: 'model_not_allowed',
      param: 'model',
    },
  );
}

/** Models of targets nearby that may stand in for those that cannot be reached; the best first. `wanted` names one. */
export function localsFor(
  ask: Ask,
  desks: readonly Desk[],
  failed: readonly Candidate[],
  wanted: string | undefined,
): readonly Candidate[] {
  const { models } = ask.principal;
  // Vectors of two models have nothing to do with each other: only a named one may stand in.
  if (ask.kind === 'embeddings' && wanted === undefined) return [];
  const found = desks.flatMap((desk) =>
    desk.config.isLocal
      ? desk.models().flatMap((model) => {
          const isWanted =
            wanted === undefined
              ? !model.isEmbeddings
              : model.name === wanted || `${desk.config.name}/${model.name}` === wanted;
          const isFailed = failed.some((one) => one.desk === desk && one.model.name === model.name);
          const isAllowed = models === undefined || models.includes(model.name);
          return isWanted && isAllowed && !isFailed ? [{ desk, model }] : [];
        })
      : [],
  );
  return ranked(found);
}

/** Puts those first that answer soonest. */
export function ranked(candidates: readonly Candidate[]): readonly Candidate[] {
  if (candidates.length < 2) return candidates;
  return candidates
    .map((candidate, at) => ({ candidate, score: candidate.desk.expectedMs() + at * placeMs }))
    .toSorted((left, right) => left.score - right.score)
    .map(({ candidate }) => candidate);
}

function listed(desks: readonly Desk[]): string {
  const names = [...new Set(desks.flatMap((desk) => desk.models().map(({ name }) => name)))];
  if (names.length === 0)
    return 'those of GET /v1/models (none now: no target has said what it has)';
  const more =
    names.length > namesMax ? ` and ${names.length - namesMax} more (GET /v1/models)` : '';
  return `${names.slice(0, namesMax).join(', ')}${more}`;
}
