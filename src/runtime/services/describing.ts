/** What actions take and give, as JSON Schema: asked of a node that offers them, and remembered. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import { parseTarget } from './targets.ts';
import type { ServiceCaller, ServiceCallOptions } from './caller.ts';
import type { OfferOf } from './offer.ts';

/** Actions whose schemas are remembered. */
export const describedMax = 1_024;

/** How long a node may take to tell its schemas, in ms. */
const describeMs: Millis = 3_000;

/** A JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What an action takes and gives. */
export interface ActionDescription {
  readonly service: string;
  readonly action: string;
  readonly namespace: string;
  readonly version: string;
  readonly description: string | undefined;
  /** Undefined when it cannot be written down as JSON Schema. */
  readonly input: JsonSchema | undefined;
  readonly output: JsonSchema | undefined;
  readonly isStream: boolean;
  /** Of every instance that fits: one that may not be repeated, or changes something, speaks for all. */
  readonly isIdempotent: boolean;
  readonly hasEffect: boolean;
}

type Told = Pick<ActionDescription, 'description' | 'input' | 'output'>;

const unknown: Told = { description: undefined, input: undefined, output: undefined };

/** Builds the function that asks. */
export function createDescriber(
  caller: Pick<ServiceCaller, 'call' | 'find'>,
): (name: string, options?: ServiceCallOptions) => Promise<ActionDescription> {
  const known = new BoundedMap<string, Told>(describedMax);

  /** What a node told counts until the action has another shape or the service another version. */
  async function ask({ node, offer }: OfferOf, action: string): Promise<Told> {
    const key = JSON.stringify([node, offer.ns, offer.n, offer.v, action, offer.a[action]?.h]);
    const before = known.get(key);
    if (before !== undefined) return before;
    const all = await caller.call('$SRV.info', {}, { node, timeoutMs: describeMs });
    const services = Array.isArray(all) ? (all as Readonly<Record<string, unknown>>[]) : [];
    const own = services.find((one) => one['service'] === offer.n && one['namespace'] === offer.ns);
    const schemas = objectOf(objectOf(own?.['schemas'])?.[action]);
    if (schemas === undefined) return unknown;
    const { description } = schemas;
    const told = {
      description: typeof description === 'string' ? description : undefined,
      input: withoutDialect(schemas['input']),
      output: withoutDialect(schemas['output']),
    };
    known.set(key, told);
    return told;
  }

  return async (name, options = {}) => {
    const { service, action, namespace } = parseTarget(name, options.namespace);
    const found = caller.find(name, options);
    const actions = found.flatMap(({ offer }) => offer.a[action] ?? []);
    let told = unknown;
    for (const one of found.slice(0, 3)) {
      try {
        told = await ask(one, action);
        break;
      } catch (error) {
        // Another instance may say it.
        if (!MycelError.is(error)) throw error;
      }
    }
    return {
      service,
      action,
      namespace,
      version: found[0]?.offer.v ?? '',
      ...told,
      isStream: actions.some(({ s }) => s),
      isIdempotent: actions.every(({ i }) => i),
      hasEffect: actions.some(({ e }) => e !== false),
    };
  };
}

function objectOf(value: unknown): JsonSchema | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as JsonSchema) : undefined;
}

/** Without the name of its dialect, which some readers look up. */
function withoutDialect(schema: unknown): JsonSchema | undefined {
  const { $schema: _dialect, ...rest } = objectOf(schema) ?? {};
  return objectOf(schema) === undefined ? undefined : rest;
}
