/** What commands ask of a node about settings; the requests, their checks, and what each does. */

import type { AgentHandles, ConfigRecord, JsonValue, MeshNode } from 'mycel';

import type { CheckKit } from './control-agents.ts';
import { parseValue } from './control-decisions.ts';

/** One setting as it counts here, and who said so. */
export interface ConfigRow {
  readonly path: string;
  /** null: nobody set it, and it has no default. */
  readonly value: JsonValue;
  readonly from: 'node' | 'mesh' | 'default' | 'nobody';
  /** 0: it was never set. */
  readonly version: number;
}

/** One value that a setting had. */
export type ConfigVersion = ConfigRecord & { readonly isLocal: boolean };

/** How members' answers become one. */
export const configStrategies = ['newest', 'majority'] as const;

/** For whom a setting is: the mesh by decision, the mesh with the latest writer winning, or this node. */
export const configScopes = ['mesh', 'eventual', 'node'] as const;

/** The requests with one answer. Values are JSON text. */
export interface ConfigCalls {
  'config-list': { args: Readonly<Record<string, never>>; result: readonly ConfigRow[] };
  'config-get': { args: { readonly path: string }; result: ConfigRow };
  /** Asks the members, and makes one value of their answers; null: they do not agree, or nobody set it. */
  'config-agreed': {
    args: {
      readonly path: string;
      readonly strategy: (typeof configStrategies)[number];
      readonly timeoutMs?: number;
    };
    result: { readonly path: string; readonly value: JsonValue };
  };
  'config-set': {
    args: {
      readonly path: string;
      readonly value: string;
      readonly scope: (typeof configScopes)[number];
      readonly timeoutMs?: number;
    };
    result: ConfigRow;
  };
  'config-history': { args: { readonly path: string }; result: readonly ConfigVersion[] };
  'config-rollback': {
    args: { readonly path: string; readonly version?: number; readonly timeoutMs?: number };
    result: ConfigRow;
  };
}

/** Longest path and longest value, in characters; the node is stricter. */
const pathLengthMax = 256;
const valueLengthMax: number = 64 * 1024;

type Check = (value: unknown) => string | undefined;

/** The checks of these requests. */
export function configChecks({
  text,
  whole,
  optional,
  oneOf,
}: CheckKit): Readonly<Record<keyof ConfigCalls, Readonly<Record<string, Check>>>> {
  const path = text(pathLengthMax);
  const timeoutMs = optional(whole(1, 3_600_000));
  return {
    'config-list': {},
    'config-get': { path },
    'config-agreed': { path, strategy: oneOf(...configStrategies), timeoutMs },
    'config-set': { path, value: text(valueLengthMax), scope: oneOf(...configScopes), timeoutMs },
    'config-history': { path },
    'config-rollback': { path, version: optional(whole(1, Number.MAX_SAFE_INTEGER)), timeoutMs },
  };
}

/** One of the calls. */
export type ConfigRequest = {
  readonly [Op in keyof ConfigCalls]: { readonly op: Op; readonly args: ConfigCalls[Op]['args'] };
}[keyof ConfigCalls];

/** Whether a request is one of these calls. */
export function isConfigRequest(request: { readonly op: string }): request is ConfigRequest {
  return request.op.startsWith('config-');
}

/** Runs one. */
export async function runConfigCall(
  node: MeshNode,
  request: ConfigRequest,
): Promise<ConfigCalls[keyof ConfigCalls]['result']> {
  const { config } = node as MeshNode & AgentHandles;
  switch (request.op) {
    case 'config-list':
      return config.updatablePaths().map((path) => rowOf(node, path));
    case 'config-get':
      return rowOf(node, request.args.path);
    case 'config-agreed': {
      const { path, strategy, timeoutMs } = request.args;
      const patience = timeoutMs === undefined ? {} : { timeoutMs };
      return {
        path,
        value: (await config.getWithConsensus(path, { strategy, ...patience })) ?? null,
      };
    }
    case 'config-set': {
      const { path, scope } = request.args;
      const value = parseValue(request.args.value);
      if (scope === 'node') await config.update(path, value);
      else
        await config.setClusterWide(path, value, { mode: modeOf(scope), ...patienceOf(request) });
      return rowOf(node, path);
    }
    case 'config-history':
      return config.history(request.args.path);
    case 'config-rollback': {
      const { path, version } = request.args;
      await config.rollback(path, version, patienceOf(request));
      return rowOf(node, path);
    }
  }
}

function modeOf(scope: 'mesh' | 'eventual'): 'decided' | 'eventual' {
  return scope === 'mesh' ? 'decided' : 'eventual';
}

function patienceOf({ args }: { readonly args: { readonly timeoutMs?: number } }): {
  readonly deadlineMs?: number;
} {
  return args.timeoutMs === undefined ? {} : { deadlineMs: args.timeoutMs };
}

function rowOf(node: MeshNode, path: string): ConfigRow {
  const { config } = node as MeshNode & AgentHandles;
  const value = config.get(path);
  const [latest] = config.history(path);
  if (value === undefined) return { path, value: null, from: 'nobody', version: 0 };
  // What does not fit its schema is kept, and does not count.
  const counts = latest !== undefined && JSON.stringify(latest.value) === JSON.stringify(value);
  if (!counts) return { path, value, from: 'default', version: 0 };
  return { path, value, from: latest.isLocal ? 'node' : 'mesh', version: latest.version };
}
