/** What commands ask of a node about services and agents: the requests, their checks, and what each does. */

import type { AgentHandles, AgentHealth, AgentInfo, Deployed, MeshNode, ServiceInfo } from 'mycel';

import { Failure } from './failure.ts';
import { resolveMember } from './member-choice.ts';

/** The requests with one answer. */
export interface AgentCalls {
  call: {
    args: {
      readonly target: string;
      /** JSON text. */
      readonly input?: string;
      readonly timeoutMs?: number;
      readonly select?: string;
    };
    result: unknown;
  };
  services: { args: Readonly<Record<string, never>>; result: readonly ServiceInfo[] };
  deploy: {
    args: {
      /** JavaScript: types are taken out where the file is. */
      readonly source: string;
      readonly name?: string;
      readonly replicas?: number | 'auto';
      readonly society?: 'mesh' | 'ring' | 'tree' | 'adaptive';
      readonly require?: readonly string[];
      readonly spread?: string;
      readonly select?: string;
      /** `hash` or `auction`; what is neither is refused by the node. */
      readonly placement?: string;
      /** Only on the node that is asked. */
      readonly here?: boolean;
    };
    result: Deployed;
  };
  undeploy: { args: { readonly name: string }; result: Readonly<Record<string, never>> };
  agents: { args: Readonly<Record<string, never>>; result: readonly AgentInfo[] };
  'agent-health': { args: Readonly<Record<string, never>>; result: readonly AgentHealth[] };
  drain: {
    args: { readonly who: string; readonly undo?: boolean };
    result: { readonly node: string; readonly moved: number };
  };
  migrate: {
    args: { readonly instance: string; readonly who: string };
    result: { readonly instance: string; readonly node: string };
  };
}

type Check = (value: unknown) => string | undefined;

/** The checks that the control protocol is made of. */
export interface CheckKit {
  text(lengthMax: number, lengthMin?: number): Check;
  whole(low: number, high: number): Check;
  optional(check: Check): Check;
  list(item: Check, lengthMax: number): Check;
  oneOf(...allowed: readonly unknown[]): Check;
}

/** Longest module on the command line, in characters: what a control line carries. */
export const moduleLengthMax: number = 768 * 1024;

/** Longest input of an action on the command line, in characters. */
export const callInputLengthMax: number = 512 * 1024;

/** The checks of these requests. */
export function agentChecks({
  text,
  whole,
  optional,
  list,
  oneOf,
}: CheckKit): Readonly<Record<keyof AgentCalls, Readonly<Record<string, Check>>>> {
  return {
    call: {
      target: text(256),
      input: optional(text(callInputLengthMax)),
      timeoutMs: optional(whole(1, 3_600_000)),
      select: optional(text(512)),
    },
    services: {},
    deploy: {
      source: text(moduleLengthMax),
      name: optional(text(64)),
      replicas: optional((value) => (value === 'auto' ? undefined : whole(1, 256)(value))),
      society: optional(oneOf('mesh', 'ring', 'tree', 'adaptive')),
      require: optional(list(text(64), 16)),
      spread: optional(text(64)),
      select: optional(text(512)),
      placement: optional(text(32)),
      here: optional(oneOf(true, false)),
    },
    undeploy: { name: text(64) },
    agents: {},
    'agent-health': {},
    drain: { who: text(64), undo: optional(oneOf(true, false)) },
    migrate: { instance: text(128), who: text(64) },
  };
}

/** One of these requests. */
export type AgentRequest = {
  readonly [Op in keyof AgentCalls]: { readonly op: Op; readonly args: AgentCalls[Op]['args'] };
}[keyof AgentCalls];

/** Their names; the compiler insists that none is missing. */
const agentOps: ReadonlySet<string> = new Set(
  Object.keys({
    call: true,
    services: true,
    deploy: true,
    undeploy: true,
    agents: true,
    'agent-health': true,
    drain: true,
    migrate: true,
  } satisfies Record<keyof AgentCalls, true>),
);

/** Whether a request is one of these. */
export function isAgentRequest(request: { readonly op: string }): request is AgentRequest {
  return agentOps.has(request.op);
}

/** Runs one. */
export async function runAgentCall(node: MeshNode, request: AgentRequest): Promise<unknown> {
  const agents = node as MeshNode & AgentHandles;
  switch (request.op) {
    case 'services':
      return agents.services();
    case 'call': {
      const { target, input, timeoutMs, select } = request.args;
      const answer = await agents.call(target, parseInput(input), {
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(select === undefined ? {} : { select }),
      });
      return answer ?? null;
    }
    case 'deploy': {
      const { source, here, placement, ...given } = request.args;
      const how = placement as 'hash' | 'auction' | undefined;
      const options = how === undefined ? given : { ...given, placement: how };
      return agents.agents.deploy(source, here === true ? { ...options, node: node.id } : options);
    }
    case 'undeploy':
      await agents.agents.undeploy(request.args.name);
      return {};
    case 'agents':
      return agents.agents.list();
    case 'agent-health':
      return agents.agents.health();
    case 'drain': {
      const { id } = resolveMember(node, request.args.who);
      const { moved } = await agents.agents.drain(id, request.args.undo !== true);
      return { node: id, moved };
    }
    case 'migrate': {
      const { id } = resolveMember(node, request.args.who);
      await agents.agents.migrate(request.args.instance, id);
      return { instance: request.args.instance, node: id };
    }
  }
}

function parseInput(input: string | undefined): unknown {
  if (input === undefined) return {};
  try {
    return JSON.parse(input) as unknown;
  } catch {
    throw new Failure(
      'MYCEL_USAGE',
      'The input is not JSON.',
      'Write it like \'{"room":"kitchen"}\'.',
    );
  }
}
