/** What commands ask of a node about services and agents: the requests, their checks, and what each does. */

import type { AgentHandles, MeshNode, ServiceInfo } from 'mycel';

import { Failure } from './failure.ts';

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
}

type Check = (value: unknown) => string | undefined;

/** The checks that the control protocol is made of. */
export interface CheckKit {
  text(lengthMax: number, lengthMin?: number): Check;
  whole(low: number, high: number): Check;
  optional(check: Check): Check;
}

/** Longest input of an action on the command line, in characters. */
export const callInputLengthMax: number = 512 * 1024;

/** The checks of these requests. */
export function agentChecks({
  text,
  whole,
  optional,
}: CheckKit): Readonly<Record<keyof AgentCalls, Readonly<Record<string, Check>>>> {
  return {
    call: {
      target: text(256),
      input: optional(text(callInputLengthMax)),
      timeoutMs: optional(whole(1, 3_600_000)),
      select: optional(text(512)),
    },
    services: {},
  };
}

/** One of these requests. */
export type AgentRequest = {
  readonly [Op in keyof AgentCalls]: { readonly op: Op; readonly args: AgentCalls[Op]['args'] };
}[keyof AgentCalls];

/** Whether a request is one of these. */
export function isAgentRequest(request: { readonly op: string }): request is AgentRequest {
  return request.op === 'call' || request.op === 'services';
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
