/** Encodes events as OpenAI chat completions, as a stream of chunks or as one answer. */

import type { Batch, ExtraFields, LlmEvent, Usage } from '../events.ts';
import { LlmFailure } from '../failure.ts';

/** Writes the chunks of one stream. */
export interface ChunkEncoder {
  /** The text of the events to send for a batch; '' when there is nothing to tell yet. */
  encode(batch: Batch): string;
  /** What ends a complete stream. */
  end(): string;
}

/** Builds an encoder; usage is told only to those who asked for it. */
export function createChunkEncoder(id: string, model: string, wantsUsage: boolean): ChunkEncoder {
  const created = Math.floor(Date.now() / 1000);
  const head = { id, object: 'chat.completion.chunk', created, model };
  let hasBegun = false;
  let usage: Usage | undefined;
  let finish: string | undefined;

  /** What is the same in every chunk is written once: a stream is little else. */
  const before = `data: ${JSON.stringify(head).slice(0, -1)},"choices":[{"index":0,"delta":`;
  const after = ',"logprobs":null,"finish_reason":null}]}\n\n';

  function chunk(delta: object, finishReason: string | null, extra?: ExtraFields): string {
    if (finishReason === null && extra === undefined)
      return `${before}${JSON.stringify(delta)}${after}`;
    const choice = {
      index: 0,
      delta: { ...delta, ...extra?.delta },
      logprobs: null,
      ...extra?.choice,
      finish_reason: finishReason,
    };
    return `data: ${JSON.stringify({ ...head, ...extra?.answer, choices: [choice] })}\n\n`;
  }

  function encodeOne(event: LlmEvent): string {
    switch (event.type) {
      case 'text':
        return chunk(event.text === '' ? {} : { content: event.text }, null, event.extra);
      case 'think':
        return chunk({ reasoning_content: event.text }, null);
      case 'tool': {
        const { index, id: callId, name, input = '' } = event;
        const call =
          callId === undefined
            ? { index, function: { arguments: input } }
            : { index, id: callId, type: 'function', function: { name, arguments: input } };
        return chunk({ tool_calls: [call] }, null);
      }
      case 'usage':
        ({ usage } = event);
        return '';
      case 'finish':
        finish = event.reason;
        return '';
      default:
        return '';
    }
  }

  return {
    encode(batch) {
      let text = '';
      for (const event of batch) {
        if (event.type === 'reset') continue;
        text += encodeOne(event);
      }
      if (text === '' || hasBegun) return text;
      hasBegun = true;
      return chunk({ role: 'assistant', content: '' }, null) + text;
    },
    end() {
      // An answer without a word is an answer, too.
      const first = hasBegun ? '' : chunk({ role: 'assistant', content: '' }, null);
      const told = wantsUsage
        ? `data: ${JSON.stringify({ ...head, choices: [], usage: encodeUsage(usage) })}\n\n`
        : '';
      return `${first}${chunk({}, finish ?? 'stop')}${told}data: [DONE]\n\n`;
    },
  };
}

/** An answer, collected. */
export interface WholeAnswer {
  readonly text: string;
  readonly thoughts: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly input: string }[];
  readonly finish: string;
  readonly usage: Usage | undefined;
  readonly extra: ExtraFields | undefined;
}

/**
 * Collects the events of an answer; a reset begins anew.
 * @throws {LlmFailure} incomplete when nothing says that it is finished.
 */
export async function collect(batches: AsyncIterable<Batch>): Promise<WholeAnswer> {
  const collector = createCollector();
  for await (const batch of batches) collector.add(batch);
  return collector.whole();
}

/** Collects step by step. */
export function createCollector(): { add(batch: Batch): void; whole(): WholeAnswer } {
  let text = '';
  let thoughts = '';
  let calls: { id: string; name: string; input: string }[] = [];
  let finish: string | undefined;
  let usage: Usage | undefined;
  let extra: ExtraFields | undefined;

  function addOne(event: LlmEvent): void {
    switch (event.type) {
      case 'reset':
        text = '';
        thoughts = '';
        calls = [];
        extra = undefined;
        return;
      case 'text':
        text += event.text;
        if (event.extra !== undefined) extra = merged(extra, event.extra);
        return;
      case 'think':
        thoughts += event.text;
        return;
      case 'tool': {
        const call = (calls[event.index] ??= { id: '', name: '', input: '' });
        if (event.id !== undefined) call.id = event.id;
        if (event.name !== undefined) call.name = event.name;
        call.input += event.input ?? '';
        return;
      }
      case 'usage':
        ({ usage } = event);
        return;
      case 'finish':
        finish = event.reason;
        return;
      default:
    }
  }

  return {
    add: (batch) => batch.forEach(addOne),
    whole() {
      if (finish === undefined) {
        throw new LlmFailure('incomplete', 'The answer ended without saying that it is finished.');
      }
      return { text, thoughts, calls, finish, usage, extra };
    },
  };
}

/** One answer. */
export function encodeAnswer(id: string, model: string, answer: WholeAnswer): object {
  const { text, thoughts, calls, finish, usage, extra } = answer;
  const message = {
    role: 'assistant',
    content: text === '' && calls.length > 0 ? null : text,
    refusal: null,
    ...(thoughts === '' ? {} : { reasoning_content: thoughts }),
    ...(calls.length === 0
      ? {}
      : {
          tool_calls: calls.map((call) => ({
            id: call.id,
            type: 'function',
            function: { name: call.name, arguments: call.input },
          })),
        }),
    ...extra?.delta,
  };
  return {
    id,
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1000),
    model,
    choices: [{ index: 0, message, logprobs: null, ...extra?.choice, finish_reason: finish }],
    usage: encodeUsage(usage),
    ...extra?.answer,
  };
}

/** Usage in OpenAI's words; zeros when the target told nothing. */
export function encodeUsage(usage: Usage | undefined): object {
  const { inputTokens = 0, outputTokens = 0, cachedTokens = 0, reasoningTokens = 0 } = usage ?? {};
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens_details: { reasoning_tokens: reasoningTokens },
  };
}

function merged(first: ExtraFields | undefined, next: ExtraFields): ExtraFields {
  if (first === undefined) return next;
  return {
    ...(first.delta === undefined && next.delta === undefined
      ? {}
      : { delta: { ...first.delta, ...next.delta } }),
    ...(first.choice === undefined && next.choice === undefined
      ? {}
      : { choice: { ...first.choice, ...next.choice } }),
    ...(first.answer === undefined && next.answer === undefined
      ? {}
      : { answer: { ...first.answer, ...next.answer } }),
  };
}
