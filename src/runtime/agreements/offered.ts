/** What the protocols between nodes stand on: a service of their own namespace, so that whoever takes part is found. */

import type * as z from 'zod/mini';
import type { ActionContext, RawAction, RawService } from '../services/host.ts';
import type { Schema } from '../services/schema.ts';

/** An action that is carried out once for each request, with the types of its schemas. */
export function answering<Input extends Schema, Output extends Schema>(
  input: Input,
  output: Output,
  run: (
    input: z.core.output<Input>,
    context: ActionContext,
  ) => z.core.input<Output> | Promise<z.core.input<Output>>,
): RawAction {
  return {
    input,
    output,
    isStream: false,
    isIdempotent: false,
    hasEffect: true,
    run: run as RawAction['run'],
  };
}

/** Names are checked by the registry of services: letters, digits, _ - /. */
export function serviceOf(
  namespace: string,
  name: string,
  actions: Readonly<Record<string, RawAction>>,
  concurrency?: number,
): RawService {
  return {
    name,
    version: '1.0.0',
    namespace,
    labels: {},
    weight: 1,
    concurrency,
    ratePerSecond: undefined,
    isHealthy: undefined,
    actions,
  };
}
