/** From a file and an environment to a configuration that a gateway can run on, or one sentence about what is wrong. */

import { readFile } from 'node:fs/promises';

import { MycelError } from 'mycel';

import { configSchema } from './schema.ts';
import type {
  BudgetConfig,
  ConfigFile,
  GroupEntry,
  OfflineStep,
  Price,
  PrincipalEntry,
  RateConfig,
  TargetEntry,
  ToolEntry,
} from './schema.ts';
import { readSecret } from './secret.ts';
import type { Secret } from './secret.ts';

/** Longest configuration file, in bytes. */
const configBytesMax = 1_048_576;

/** Default port of the HTTP server. */
export const httpPortDefault = 8080;

/** A model as a target offers it. */
export interface ModelConfig {
  /** How clients call it. */
  readonly name: string;
  /** How the target calls it. */
  readonly as: string;
  readonly context: number | undefined;
  readonly price: Price | undefined;
  readonly isEmbeddings: boolean;
  readonly offline: readonly OfflineStep[] | undefined;
}

/** A place that answers. */
export interface TargetConfig {
  readonly name: string;
  readonly kind: 'openai' | 'anthropic' | 'gemini' | 'ollama';
  /** Base address without a slash at the end; undefined: the provider's own. */
  readonly url: string | undefined;
  readonly key: Secret | undefined;
  /** Undefined: whatever the target says it has. */
  readonly models: readonly ModelConfig[] | undefined;
  readonly maxInflight: number;
  readonly firstByteMs: number;
  readonly stallMs: number;
  readonly answerMs: number;
  readonly rate: RateConfig;
  /** On this machine or network: needs no way to the internet. */
  readonly isLocal: boolean;
}

/** Somebody who may ask. */
export interface PrincipalConfig {
  readonly name: string;
  readonly token: Secret | undefined;
  readonly group: string | undefined;
  readonly budget: BudgetConfig;
  readonly rate: RateConfig;
  readonly offline?: readonly OfflineStep[] | undefined;
  readonly models: readonly string[] | undefined;
  /** Members of the mesh, by id or name, that ask in its name. */
  readonly nodes: readonly string[];
}

/** A principal without a token, to which only what holds for all of them applies. */
export function plainPrincipal(name: string): PrincipalConfig {
  return {
    name,
    token: undefined,
    group: undefined,
    budget: {},
    rate: {},
    models: undefined,
    nodes: [],
  };
}

/** An action that MCP clients may call. */
export interface ToolConfig {
  readonly action: string;
  readonly namespace: string;
  readonly effect: boolean | undefined;
  readonly description: string | undefined;
  /** Undefined: nobody is named. */
  readonly principals: readonly string[] | undefined;
}

/** A whole configuration, with its keys. */
export interface GatewayConfig {
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly names: readonly string[];
  };
  readonly targets: readonly TargetConfig[];
  readonly principals: readonly PrincipalConfig[];
  readonly groups: readonly GroupEntry[];
  readonly budget: BudgetConfig;
  readonly prices: Readonly<Record<string, Price>>;
  readonly queueMax: number;
  readonly offlineQueueMax: number;
  readonly cache: { readonly bytes: number; readonly scope: 'principal' | 'mesh' };
  /** Actions of services that MCP clients may call; undefined: there is no MCP server. */
  readonly tools: readonly ToolConfig[] | undefined;
  readonly offline: readonly OfflineStep[];
  /** Gateways that share the budgets: each may spend its part, whatever it hears of the others. */
  readonly gateways: number;
}

/**
 * Reads and checks a file.
 * @throws {MycelError} MYCEL_BAD_OPTION with the place in the file and what to write there.
 */
export async function loadConfig(
  file: string,
  environment: NodeJS.ProcessEnv,
): Promise<GatewayConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw bad(`The file ${file} cannot be read (${code}).`, 'Check the path given to --config.');
  }
  if (text.length > configBytesMax) throw bad(`The file ${file} is longer than 1 MiB.`);
  return resolveConfig(parseConfig(await parseYaml(text, file), file), environment);
}

/** YAML 1.2, of which JSON is a part. The parser is loaded here and nowhere else. */
async function parseYaml(text: string, file: string): Promise<unknown> {
  const { default: yaml } = await import('yaml');
  const document = yaml.parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const [what = ''] = problem.message.split('\n');
    throw bad(`${file} is not YAML: ${what.replace(/[.:]$/, '')}.`, 'Mend that line.');
  }
  // A few kilobytes must not grow to gigabytes.
  return document.toJS({ maxAliasCount: 100 }) as unknown;
}

/**
 * Checks a parsed file against the schema.
 * @throws {MycelError} MYCEL_BAD_OPTION
 */
export function parseConfig(value: unknown, file: string): ConfigFile {
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = (issue?.path ?? []).reduce<string>(
    (path, part) =>
      typeof part === 'number'
        ? `${path}[${part}]`
        : `${path}${path === '' ? '' : '.'}${String(part)}`,
    '',
  );
  const what =
    issue?.code === 'unrecognized_keys'
      ? `does not know '${issue.keys.join("', '")}'`
      : (issue?.message ?? 'is not valid').replace(/^Invalid input: /, '');
  throw bad(
    `${file}: ${at === '' ? 'the file' : at} ${what}.`,
    'Correct it; "mycel gateway --help" shows an example.',
  );
}

/** Takes the keys out of the environment: Node's report of a crash shows all of it, and every program that is started gets it. */
export function forgetKeys(config: GatewayConfig, environment: NodeJS.ProcessEnv): void {
  const keys = [
    ...config.targets.map(({ key }) => key),
    ...config.principals.map(({ token }) => token),
  ];
  const known = new Set(keys.flatMap((key) => (key === undefined ? [] : [key.reveal()])));
  for (const [name, text] of Object.entries(environment)) {
    if (text !== undefined && known.has(text.trim())) delete environment[name];
  }
}

/**
 * Fills in defaults and fetches the keys.
 * @throws {MycelError} MYCEL_BAD_OPTION when a key is missing or names collide.
 */
export function resolveConfig(file: ConfigFile, environment: NodeJS.ProcessEnv): GatewayConfig {
  const targets = file.targets.map((target) => resolveTarget(target, environment));
  const principals = (file.principals ?? []).map((one) => resolvePrincipal(one, environment));
  assertDistinct('targets', targets);
  assertDistinct('principals', principals);
  assertDistinctTokens(principals);
  const groups = file.groups ?? [];
  assertDistinct('groups', groups);
  for (const { name, group } of principals) {
    if (group === undefined || groups.some((one) => one.name === group)) continue;
    throw bad(
      `The group '${group}' of principal '${name}' is not among the groups.`,
      'Add it under groups:.',
    );
  }
  return {
    http: {
      host: file.http?.host ?? '127.0.0.1',
      port: file.http?.port ?? httpPortDefault,
      names: file.http?.names ?? [],
    },
    targets,
    principals,
    groups,
    budget: file.budget ?? {},
    prices: file.prices ?? {},
    queueMax: file.queue?.max ?? 512,
    offlineQueueMax: file.queue?.offlineMax ?? 256,
    cache: { bytes: file.cache?.bytes ?? 33_554_432, scope: file.cache?.scope ?? 'principal' },
    offline: file.offline ?? ['stale-cache', 'fail'],
    tools: file.mcp === undefined ? undefined : resolveTools(file.mcp.tools),
    gateways: file.gateways ?? 1,
  };
}

function resolveTarget(target: TargetEntry, environment: NodeJS.ProcessEnv): TargetConfig {
  const owner = `target '${target.name}'`;
  const url = target.url?.replace(/\/+$/, '') ?? defaultUrls[target.kind];
  if (url === undefined && target.kind === 'openai') {
    throw bad(
      `The ${owner} has no url.`,
      'Add url: with the address of its API, as "https://api.openai.com/v1".',
    );
  }
  if ((target.kind === 'anthropic' || target.kind === 'gemini') && target.models === undefined) {
    throw bad(
      `The ${owner} names no models.`,
      'Add models: with the names of those that may be asked for.',
    );
  }
  const isLocal = url !== undefined && isLocalUrl(url);
  return {
    name: target.name,
    kind: target.kind,
    url,
    key: readSecret({ owner, env: target.apiKeyEnv, file: target.apiKeyFile }, environment),
    models: target.models?.map((model) =>
      typeof model === 'string'
        ? plainModel(model)
        : {
            name: model.name,
            as: model.as ?? model.name,
            context: model.context,
            price: model.price,
            isEmbeddings: model.embeddings ?? false,
            offline: model.offline,
          },
    ),
    // Ollama works on one request at a time by default and queues the rest where nobody can take it back.
    maxInflight: target.maxInflight ?? (target.kind === 'ollama' ? 1 : 512),
    firstByteMs: target.firstByteMs ?? (isLocal ? 60_000 : 15_000),
    stallMs: target.stallMs ?? 20_000,
    answerMs: target.answerMs ?? 300_000,
    rate: target.rate ?? {},
    isLocal,
  };
}

function resolveTools(entries: readonly (string | ToolEntry)[]): readonly ToolConfig[] {
  const tools = entries.map((entry) => {
    const tool: ToolEntry = typeof entry === 'string' ? { action: entry } : entry;
    const { action, namespace = 'default', effect, description, principals } = tool;
    return { name: toolName(action), action, namespace, effect, description, principals };
  });
  assertDistinct('tools under mcp', tools);
  return tools;
}

/** How models call the tool of an action: many take names without dots only. */
export function toolName(action: string): string {
  return action.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64);
}

const defaultUrls: Readonly<Record<string, string>> = { ollama: 'http://127.0.0.1:11434' };

function resolvePrincipal(
  principal: PrincipalEntry,
  environment: NodeJS.ProcessEnv,
): PrincipalConfig {
  const owner = `principal '${principal.name}'`;
  const { tokenEnv: env, tokenFile: file } = principal;
  return {
    name: principal.name,
    token: readSecret({ owner, env, file }, environment),
    group: principal.group,
    budget: principal.budget ?? {},
    rate: principal.rate ?? {},
    offline: principal.offline,
    models: principal.models,
    nodes: principal.nodes ?? [],
  };
}

/** Loopback, private and link-local addresses, and names that only a local network has. */
export function isLocalUrl(url: string): boolean {
  const { hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return (
    /^(localhost|127\.|10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|::1$|f[cd][0-9a-f]{2}:|fe80:)/i.test(
      host,
    ) ||
    /\.(local|lan|home\.arpa|internal)$/i.test(host) ||
    !/[.:]/.test(host)
  );
}

function assertDistinct(what: string, entries: readonly { readonly name: string }[]): void {
  const seen = new Set<string>();
  for (const { name } of entries) {
    if (seen.has(name))
      throw bad(`Two of the ${what} are called '${name}'.`, 'Rename one of them.');
    seen.add(name);
  }
}

function assertDistinctTokens(principals: readonly PrincipalConfig[]): void {
  const owners = new Map<string, string>();
  for (const { name, token } of principals) {
    if (token === undefined) continue;
    const other = owners.get(token.reveal());
    if (other !== undefined) {
      throw bad(
        `The principals '${other}' and '${name}' have the same token.`,
        'Give each its own.',
      );
    }
    owners.set(token.reveal(), name);
  }
}

function bad(reason: string, fix?: string): MycelError {
  return new MycelError('MYCEL_BAD_OPTION', { reason, ...(fix === undefined ? {} : { fix }) });
}

/** A model that is called what the target calls it. */
export function plainModel(name: string): ModelConfig {
  const unknown = { context: undefined, price: undefined, offline: undefined };
  return { name, as: name, isEmbeddings: false, ...unknown };
}
