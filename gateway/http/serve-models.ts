/** `GET /v1/models` and `GET /v1/models/{id}`. */

import type { PrincipalConfig } from '../config/load.ts';
import { LlmFailure } from '../failure.ts';
import type { Engine } from '../policy/engine.ts';
import { sendJson } from './exchange.ts';
import type { RouteCall } from './routes.ts';

/** When the gateway started, in seconds: models have no date of their own here. */
const startedAt = Math.floor(Date.now() / 1000);

/** A model that may be asked for. */
export interface OfferedModel {
  readonly id: string;
  readonly target: string;
}

/** The models that a principal may use; of targets with the same model the first one is named. */
export function modelsFor(engine: Engine, principal: PrincipalConfig): readonly OfferedModel[] {
  const offered = new Map<string, OfferedModel>();
  for (const desk of engine.desks) {
    for (const { name } of desk.models()) {
      if (offered.has(name) || principal.models?.includes(name) === false) continue;
      offered.set(name, { id: name, target: desk.config.name });
    }
  }
  return [...offered.values()];
}

function encode({ id, target }: OfferedModel): object {
  return { id, object: 'model', created: startedAt, owned_by: target };
}

/** Lists them. */
export function serveModels({
  engine,
  principal,
  response,
}: RouteCall & { readonly principal: PrincipalConfig }): void {
  sendJson(response, 200, { object: 'list', data: modelsFor(engine, principal).map(encode) });
}

/** Shows one. @throws {LlmFailure} 404 */
export function serveModel({
  engine,
  principal,
  request,
  response,
}: RouteCall & { readonly principal: PrincipalConfig }): void {
  const id = decodeURIComponent(
    (request.url ?? '').replace(/^.*\/models\//, '').replace(/\?.*$/, ''),
  );
  const models = modelsFor(engine, principal);
  const found = models.find((model) => model.id === id);
  if (found === undefined) {
    throw new LlmFailure(
      'invalid',
      `There is no model '${id.slice(0, 100)}' here. Use one of ${models.map((model) => model.id).join(', ')}.`,
      {
        status: 404,
        code: 'model_not_found',
        param: 'model',
      },
    );
  }
  sendJson(response, 200, encode(found));
}
