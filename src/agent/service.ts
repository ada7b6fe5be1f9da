/** Services as programs write them: actions with one schema each, from which callers and handlers take their types. */

import type * as z from 'zod/mini';
import type { NodeId } from '../kernel/ids.ts';
import type { ActionContext, RawAction } from '../runtime/services/host.ts';
import type { Gathered, ServiceCallOptions } from '../runtime/services/caller.ts';
import type { ActionDescription } from '../runtime/services/describing.ts';
import type { Schema } from '../runtime/services/schema.ts';
import type { ServiceInfo, Services } from '../runtime/services/services.ts';

type In<S extends Schema> = z.core.input<S>;
type Out<S extends Schema> = z.core.output<S>;

/** An action that answers once. */
export interface Action<Input extends Schema, Output extends Schema> {
  readonly kind: 'once';
  readonly raw: RawAction;
  /** Types only. */
  readonly types?: { readonly input: Input; readonly output: Output };
}

/** An action that answers with a stream. */
export interface StreamAction<Input extends Schema, Output extends Schema> {
  readonly kind: 'stream';
  readonly raw: RawAction;
  readonly types?: { readonly input: Input; readonly output: Output };
}

/** Any action. */
export type AnyAction = Action<Schema, Schema> | StreamAction<Schema, Schema>;

/** The schemas of an action. */
export interface ActionSchemas<Input extends Schema, Output extends Schema> {
  readonly input: Input;
  /** Of the answer, or of one item of a stream. */
  readonly output: Output;
  /** Whether it does no harm to carry it out twice: then a failed call may be made again elsewhere. @default false */
  readonly idempotent?: boolean;
  /** Whether carrying it out changes anything: a language model may call one that does only when a policy lets it. @default true */
  readonly effect?: boolean;
  /** What it does, for people and for language models that choose among actions; 1024 characters at most. */
  readonly description?: string;
}

/** An action that answers once. What the handler gets is checked, and what it gives. */
export function action<Input extends Schema, Output extends Schema>(
  schemas: ActionSchemas<Input, Output>,
  handler: (input: Out<Input>, context: ActionContext) => In<Output> | Promise<In<Output>>,
): Action<Input, Output> {
  return { kind: 'once', raw: rawOf(schemas, false, handler as RawAction['run']) };
}

/** An action that answers with a stream; the caller's pace holds the handler back. */
export function streamAction<Input extends Schema, Output extends Schema>(
  schemas: ActionSchemas<Input, Output>,
  handler: (input: Out<Input>, context: ActionContext) => AsyncIterable<In<Output>>,
): StreamAction<Input, Output> {
  return { kind: 'stream', raw: rawOf(schemas, true, handler as RawAction['run']) };
}

function rawOf(
  { input, output, idempotent, effect, description }: ActionSchemas<Schema, Schema>,
  isStream: boolean,
  run: RawAction['run'],
): RawAction {
  return {
    input,
    output,
    isStream,
    isIdempotent: idempotent === true,
    hasEffect: effect !== false,
    ...(description === undefined ? {} : { description }),
    run,
  };
}

/** A service. */
export interface ServiceDefinition<Actions extends Readonly<Record<string, AnyAction>>> {
  readonly name: string;
  /** Like `1.2.0`. */
  readonly version: string;
  /** @default 'default' */
  readonly namespace?: string;
  /** What selectors look at, besides the labels of the node. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly actions: Actions;
  /** How much of the work this instance takes, compared with others. @default 1 */
  readonly weight?: number;
  /** Requests that run at once; further ones wait, up to 256. @default 64 */
  readonly concurrency?: number;
  /** Requests a second that one caller may make. @default as many as it likes */
  readonly ratePerSecond?: number;
  /** Asked every 10 s; an unhealthy instance is called only when no other is there. */
  readonly isHealthy?: () => boolean | Promise<boolean>;
}

/** Keeps the types of a definition that several programs share. */
export function defineService<Actions extends Readonly<Record<string, AnyAction>>>(
  definition: ServiceDefinition<Actions>,
): ServiceDefinition<Actions> {
  return definition;
}

/** A client with one method an action, typed by its schemas. */
export type ServiceClient<Actions extends Readonly<Record<string, AnyAction>>> = {
  readonly [Name in keyof Actions]: Actions[Name] extends Action<infer Input, infer Output>
    ? (input: In<Input>, options?: ServiceCallOptions) => Promise<Out<Output>>
    : Actions[Name] extends StreamAction<infer Input, infer Output>
      ? (input: In<Input>, options?: ServiceCallOptions) => AsyncIterable<Out<Output>>
      : never;
};

/** What services add to a node. */
export interface ServiceHandles {
  /**
   * Offers a service on the mesh; returns the function that withdraws it.
   * @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_TOO_LARGE
   */
  service<Actions extends Readonly<Record<string, AnyAction>>>(
    definition: ServiceDefinition<Actions>,
  ): () => void;
  /** A typed client of a service that any node offers. */
  client<Actions extends Readonly<Record<string, AnyAction>>>(
    definition: ServiceDefinition<Actions>,
  ): ServiceClient<Actions>;
  /**
   * Calls `service.action` on one instance, chosen and protected by the options.
   * @throws {MycelError} MYCEL_UNKNOWN_SERVICE, MYCEL_UNKNOWN_ACTION, MYCEL_BAD_INPUT, MYCEL_SERVICE_BUSY, MYCEL_DEADLINE, MYCEL_UNREACHABLE, MYCEL_HANDLER_FAILED, or what the handler threw
   */
  call(name: string, input?: unknown, options?: ServiceCallOptions): Promise<unknown>;
  /** Asks every instance that fits, and gathers what each said. */
  callAll(
    name: string,
    input?: unknown,
    options?: ServiceCallOptions,
  ): Promise<readonly (Gathered & { readonly node: NodeId })[]>;
  /** Calls an action that answers with a stream; breaking out of the loop cancels it there. */
  stream(name: string, input?: unknown, options?: ServiceCallOptions): AsyncIterable<unknown>;
  /** Every service of every member. */
  services(): readonly ServiceInfo[];
  /**
   * What an action takes and gives, as JSON Schema, asked of a node that offers it.
   * @throws {MycelError} MYCEL_UNKNOWN_SERVICE, MYCEL_UNKNOWN_ACTION, MYCEL_BAD_OPTION
   */
  describe(
    name: string,
    options?: Pick<ServiceCallOptions, 'namespace' | 'node' | 'select' | 'version'>,
  ): Promise<ActionDescription>;
}

/** Builds the handles. */
export function createServiceHandles(services: Services): ServiceHandles {
  return {
    service: (definition) =>
      services.provide({
        name: definition.name,
        version: definition.version,
        namespace: definition.namespace ?? 'default',
        labels: definition.labels ?? {},
        weight: definition.weight ?? 1,
        concurrency: definition.concurrency,
        ratePerSecond: definition.ratePerSecond,
        isHealthy: definition.isHealthy,
        actions: Object.fromEntries(
          Object.entries(definition.actions).map(([name, { raw }]) => [name, raw]),
        ),
      }),
    client(definition) {
      const defaults = {
        version: definition.version.split('.')[0] ?? definition.version,
        ...(definition.namespace === undefined ? {} : { namespace: definition.namespace }),
      };
      const methods = Object.entries(definition.actions).map(([name, { kind }]) => {
        const target = `${definition.name}.${name}`;
        const once = (input: unknown, options: ServiceCallOptions = {}): Promise<unknown> =>
          services.call(target, input, { ...defaults, ...options });
        const many = (input: unknown, options: ServiceCallOptions = {}): AsyncIterable<unknown> =>
          services.stream(target, input, { ...defaults, ...options });
        return [name, kind === 'once' ? once : many] as const;
      });
      return Object.fromEntries(methods) as never;
    },
    call: (name, input, options) => services.call(name, input, options),
    callAll: (name, input, options) => services.callAll(name, input, options),
    stream: (name, input, options) => services.stream(name, input, options),
    services: services.list,
    describe: (name, options) => services.describe(name, options),
  };
}
