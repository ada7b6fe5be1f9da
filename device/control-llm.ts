/** What commands ask of a node about language models: the requests, their checks, and what each does. */

import type { AgentHandles, LlmEvent, MeshNode } from 'mycel';

import type { CheckKit } from './control-agents.ts';
import { toFailure, type FailureRecord } from './failure.ts';

/** The requests with one answer. */
export interface LlmCalls {
  'llm-targets': {
    args: Readonly<Record<string, never>>;
    result: Awaited<ReturnType<AgentHandles['llm']['targets']>>;
  };
  'llm-usage': {
    args: Readonly<Record<string, never>>;
    result: Awaited<ReturnType<AgentHandles['llm']['usage']>>;
  };
}

/** The request with a stream of answers. The last event is `finish` or `failed`. */
export interface LlmStreams {
  'llm-ask': {
    args: {
      readonly prompt: string;
      readonly model?: string;
      readonly system?: string;
      readonly maxTokens?: number;
      readonly timeoutMs?: number;
    };
    event: LlmEvent | { readonly type: 'failed'; readonly error: FailureRecord };
  };
}

/** Longest prompt on the command line, in characters. */
export const promptLengthMax: number = 256 * 1024;

/** The checks of these requests. */
export function llmChecks({
  text,
  whole,
  optional,
}: CheckKit): Readonly<
  Record<keyof LlmCalls | keyof LlmStreams, Readonly<Record<string, ReturnType<CheckKit['text']>>>>
> {
  return {
    'llm-targets': {},
    'llm-usage': {},
    'llm-ask': {
      prompt: text(promptLengthMax),
      model: optional(text(256)),
      system: optional(text(promptLengthMax)),
      maxTokens: optional(whole(1, 1_000_000)),
      timeoutMs: optional(whole(1, 3_600_000)),
    },
  };
}

/** One of the requests with one answer. */
export type LlmRequest = {
  readonly [Op in keyof LlmCalls]: { readonly op: Op; readonly args: LlmCalls[Op]['args'] };
}[keyof LlmCalls];

/** Whether a request is one of these. */
export function isLlmRequest(request: { readonly op: string }): request is LlmRequest {
  return request.op === 'llm-targets' || request.op === 'llm-usage';
}

/** Runs one. */
export async function runLlmCall(node: MeshNode, request: LlmRequest): Promise<unknown> {
  const { llm } = node as MeshNode & AgentHandles;
  return request.op === 'llm-targets' ? llm.targets() : llm.usage();
}

/** Asks, and gives the steps of the answer as they come. Returns at once. */
export function openLlmStream(
  node: MeshNode,
  { prompt, model, system, maxTokens, timeoutMs }: LlmStreams['llm-ask']['args'],
  emit: (event: LlmStreams['llm-ask']['event']) => void,
  signal: AbortSignal,
): void {
  const { llm } = node as MeshNode & AgentHandles;
  const body = {
    messages: [
      ...(system === undefined ? [] : [{ role: 'system', content: system }]),
      { role: 'user', content: prompt },
    ],
    ...(model === undefined ? {} : { model }),
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
  };
  const options = {
    signal,
    class: 'interactive',
    ...(timeoutMs === undefined ? {} : { ttlMs: timeoutMs }),
  } as const;
  void (async () => {
    try {
      for await (const event of llm.stream(body, options)) emit(event);
    } catch (error) {
      if (!signal.aborted) emit({ type: 'failed', error: toFailure(error).toRecord() });
    }
  })();
}
