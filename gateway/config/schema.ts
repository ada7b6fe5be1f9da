/** What a gateway's configuration may say. Names here are the names in the file. */

import * as z from 'zod/mini';

/** Targets of one gateway. */
export const targetsMax = 64;

/** Principals of one gateway. */
export const principalsMax = 1024;

/** Tools of one gateway. */
export const toolsMax = 128;

/** Models of one target. */
export const modelsMax = 1024;

/** US dollars per million tokens. */
export interface Price {
  readonly input: number;
  readonly output: number;
  readonly cachedInput?: number | undefined;
}

/** Limits of one unit, by period. */
export interface PeriodLimits {
  readonly minute?: number | undefined;
  readonly day?: number | undefined;
  readonly month?: number | undefined;
  readonly total?: number | undefined;
}

/** Limits of a budget, by what is counted. */
export interface BudgetConfig {
  readonly tokens?: PeriodLimits | undefined;
  readonly usd?: PeriodLimits | undefined;
  readonly requests?: PeriodLimits | undefined;
}

/** Requests and tokens a minute. */
export interface RateConfig {
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
}

/** A model with more than a name. */
export interface ModelEntry {
  readonly name: string;
  /** What the target calls it, when that differs. */
  readonly as?: string | undefined;
  /** Longest input and output together, in tokens. */
  readonly context?: number | undefined;
  readonly price?: Price | undefined;
  readonly embeddings?: boolean | undefined;
  /** Before that of the principal and that of all. */
  readonly offline?: readonly OfflineStep[] | undefined;
}

/** A target as the file states it. */
export interface TargetEntry {
  readonly name: string;
  readonly kind: 'openai' | 'anthropic' | 'gemini' | 'ollama';
  readonly url?: string | undefined;
  readonly apiKeyEnv?: string | undefined;
  readonly apiKeyFile?: string | undefined;
  readonly models?: readonly (string | ModelEntry)[] | undefined;
  /** Requests it works on at once; more wait in the gateway's queue. */
  readonly maxInflight?: number | undefined;
  /** Until the first byte of an answer, in ms. */
  readonly firstByteMs?: number | undefined;
  /** Between two bytes of a stream, in ms. */
  readonly stallMs?: number | undefined;
  /** A whole answer that is not streamed, in ms. */
  readonly answerMs?: number | undefined;
  readonly rate?: RateConfig | undefined;
}

/** A principal as the file states it. */
export interface PrincipalEntry {
  readonly name: string;
  readonly tokenEnv?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly group?: string | undefined;
  readonly budget?: BudgetConfig | undefined;
  readonly rate?: RateConfig | undefined;
  /** Before that of all. */
  readonly offline?: readonly OfflineStep[] | undefined;
  /** Models it may use. @default all */
  readonly models?: readonly string[] | undefined;
  /** Members of the mesh, by id or name, that ask in its name. */
  readonly nodes?: readonly string[] | undefined;
}

/** Principals that share a budget and a rate. */
export interface GroupEntry {
  readonly name: string;
  readonly budget?: BudgetConfig | undefined;
  readonly rate?: RateConfig | undefined;
}

/**
 * What to do when no target can be reached, one after the other: a model of a target nearby (the first, or a named one),
 * a kept answer however old, waiting for a target to come back, saying so.
 */
export type OfflineStep = 'local' | { readonly local: string } | 'stale-cache' | 'queue' | 'fail';

/** An action that MCP clients may call. */
export interface ToolEntry {
  /** `service.action` */
  readonly action: string;
  /** @default 'default' */
  readonly namespace?: string | undefined;
  /**
   * Whether it changes anything: then it is called only for whom it is allowed. `true` makes an effect of an action whose
   * service says that it has none; `false` changes nothing. @default what its service says
   */
  readonly effect?: boolean | undefined;
  /** What models are told of it. */
  readonly description?: string | undefined;
  /** Who may see and call it. @default everybody who may ask; for an action with an effect, nobody */
  readonly principals?: readonly string[] | undefined;
}

/** A parsed file. */
export interface ConfigFile {
  readonly http?:
    | {
        readonly host?: string | undefined;
        readonly port?: number | undefined;
        /** Names by which clients may call it besides localhost and addresses. */
        readonly names?: readonly string[] | undefined;
      }
    | undefined;
  readonly targets: readonly TargetEntry[];
  readonly principals?: readonly PrincipalEntry[] | undefined;
  readonly groups?: readonly GroupEntry[] | undefined;
  /** For everybody together. */
  readonly budget?: BudgetConfig | undefined;
  /** Prices by model, over those of the table that comes with mycel. */
  readonly prices?: Readonly<Record<string, Price>> | undefined;
  readonly queue?:
    | {
        /** Waiting at one target. */
        readonly max?: number | undefined;
        /** Waiting for a target to come back. */
        readonly offlineMax?: number | undefined;
      }
    | undefined;
  readonly cache?:
    | {
        /** Memory for kept answers, in bytes; 0 keeps none. */
        readonly bytes?: number | undefined;
        /** Who may be given an answer that another one paid for. */
        readonly scope?: 'principal' | 'mesh' | undefined;
      }
    | undefined;
  readonly offline?: readonly OfflineStep[] | undefined;
  /** Actions of services that MCP clients may call as tools. */
  readonly mcp?: { readonly tools: readonly (string | ToolEntry)[] } | undefined;
  /** Gateways of the mesh with these same budgets; each may spend one part of them. @default 1 */
  readonly gateways?: number | undefined;
}

const name = z
  .string()
  .check(
    z.regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
      'must be 1 to 64 letters, digits, ".", "_" or "-"',
    ),
  );
const envName = z
  .string()
  .check(
    z.regex(
      /^[A-Za-z_][A-Za-z0-9_]{0,127}$/,
      'must be the name of an environment variable, not the key itself',
    ),
  );
const amount = z.number().check(z.nonnegative());
const count = z.int().check(z.positive());
const millis = z.number().check(z.positive(), z.maximum(86_400_000));

/** Price in US dollars per million tokens. */
const price: z.ZodMiniType<Price> = z.strictObject({
  input: amount,
  output: amount,
  cachedInput: z.optional(amount),
});

const periods: z.ZodMiniType<PeriodLimits> = z.strictObject({
  minute: z.optional(amount),
  day: z.optional(amount),
  month: z.optional(amount),
  total: z.optional(amount),
});

const budget: z.ZodMiniType<BudgetConfig> = z.strictObject({
  tokens: z.optional(periods),
  usd: z.optional(periods),
  requests: z.optional(periods),
});

const rate: z.ZodMiniType<RateConfig> = z.strictObject({
  requestsPerMinute: z.optional(amount.check(z.positive())),
  tokensPerMinute: z.optional(amount.check(z.positive())),
});

const offline: z.ZodMiniType<readonly OfflineStep[]> = z
  .array(
    z.union([
      z.enum(['local', 'stale-cache', 'queue', 'fail']),
      z.strictObject({ local: z.string().check(z.minLength(1), z.maxLength(200)) }),
    ]),
  )
  .check(z.maxLength(8));

const model: z.ZodMiniType<string | ModelEntry> = z.union([
  z.string().check(z.minLength(1), z.maxLength(200)),
  z.strictObject({
    name: z.string().check(z.minLength(1), z.maxLength(200)),
    as: z.optional(z.string().check(z.minLength(1), z.maxLength(200))),
    context: z.optional(count),
    price: z.optional(price),
    embeddings: z.optional(z.boolean()),
    offline: z.optional(offline),
  }),
]);

const target: z.ZodMiniType<TargetEntry> = z.strictObject({
  name,
  kind: z.enum(['openai', 'anthropic', 'gemini', 'ollama']),
  url: z.optional(z.url({ protocol: /^https?$/, error: 'must be an http or https address' })),
  apiKeyEnv: z.optional(envName),
  apiKeyFile: z.optional(z.string().check(z.minLength(1))),
  models: z.optional(z.array(model).check(z.maxLength(modelsMax))),
  maxInflight: z.optional(count),
  firstByteMs: z.optional(millis),
  stallMs: z.optional(millis),
  answerMs: z.optional(millis),
  rate: z.optional(rate),
});

const principal: z.ZodMiniType<PrincipalEntry> = z.strictObject({
  name,
  tokenEnv: z.optional(envName),
  tokenFile: z.optional(z.string().check(z.minLength(1))),
  group: z.optional(name),
  budget: z.optional(budget),
  rate: z.optional(rate),
  offline: z.optional(offline),
  models: z.optional(z.array(z.string())),
  nodes: z.optional(z.array(z.string())),
});

const actionName = z
  .string()
  .check(z.maxLength(129), z.regex(/^[^.\s].*\.[^.\s]+$/, 'must be SERVICE.ACTION'));

const tool: z.ZodMiniType<string | ToolEntry> = z.union([
  actionName,
  z.strictObject({
    action: actionName,
    namespace: z.optional(z.string().check(z.minLength(1))),
    effect: z.optional(z.boolean()),
    description: z.optional(z.string().check(z.maxLength(1024))),
    principals: z.optional(z.array(name)),
  }),
]);

/** The whole file. */
export const configSchema: z.ZodMiniType<ConfigFile> = z.strictObject({
  http: z.optional(
    z.strictObject({
      host: z.optional(z.string().check(z.minLength(1), z.maxLength(255))),
      port: z.optional(z.int().check(z.minimum(0), z.maximum(65_535))),
      names: z.optional(z.array(z.string())),
    }),
  ),
  targets: z.array(target).check(z.maxLength(targetsMax)),
  principals: z.optional(z.array(principal).check(z.maxLength(principalsMax))),
  groups: z.optional(
    z
      .array(z.strictObject({ name, budget: z.optional(budget), rate: z.optional(rate) }))
      .check(z.maxLength(principalsMax)),
  ),
  budget: z.optional(budget),
  prices: z.optional(z.record(z.string(), price)),
  queue: z.optional(z.strictObject({ max: z.optional(count), offlineMax: z.optional(count) })),
  cache: z.optional(
    z.strictObject({
      bytes: z.optional(z.int().check(z.minimum(0), z.maximum(4_294_967_296))),
      scope: z.optional(z.enum(['principal', 'mesh'])),
    }),
  ),
  mcp: z.optional(z.strictObject({ tools: z.array(tool).check(z.maxLength(toolsMax)) })),
  gateways: z.optional(z.int().check(z.minimum(1), z.maximum(64))),
  offline: z.optional(offline),
});
