/** Encodes events as OpenAI responses, as a stream of typed events or as one object. */

import type { Batch, JsonObject, LlmEvent, Usage } from '../events.ts';
import type { LlmFailure } from '../failure.ts';

/** An item of the output as it grows. */
type Item =
  | { readonly kind: 'message'; readonly id: string; text: string }
  | { readonly kind: 'reasoning'; readonly id: string; text: string }
  | {
      readonly kind: 'call';
      readonly id: string;
      readonly callId: string;
      readonly name: string;
      input: string;
    };

/** Writes one response. */
export interface ResponsesEncoder {
  /** The events to send for a batch. */
  encode(batch: Batch): string;
  /** The events that end a complete answer. */
  end(): string;
  /** The event that ends one that is not. */
  fail(failure: LlmFailure): string;
  /** The whole response, as it is now. */
  response(): object;
}

/** Builds an encoder for the answer to a request. */
export function createResponsesEncoder(id: string, request: JsonObject): ResponsesEncoder {
  const createdAt = Math.floor(Date.now() / 1000);
  const items: Item[] = [];
  const calls = new Map<number, number>();
  let sequence = 0;
  let hasBegun = false;
  let usage: Usage | undefined;
  let finish: string | undefined;
  let failure: LlmFailure | undefined;

  function event(type: string, fields: object): string {
    const data = JSON.stringify({ type, sequence_number: sequence, ...fields });
    sequence += 1;
    return `event: ${type}\ndata: ${data}\n\n`;
  }

  function response(): object {
    const isCut = finish === 'length' || finish === 'content_filter';
    const status =
      failure !== undefined
        ? 'failed'
        : finish === undefined
          ? 'in_progress'
          : isCut
            ? 'incomplete'
            : 'completed';
    return {
      id,
      object: 'response',
      created_at: createdAt,
      status,
      error: failure === undefined ? null : { code: failure.code, message: failure.message },
      incomplete_details: isCut
        ? { reason: finish === 'length' ? 'max_output_tokens' : 'content_filter' }
        : null,
      instructions: request['instructions'] ?? null,
      max_output_tokens: request['max_output_tokens'] ?? null,
      metadata: request['metadata'] ?? {},
      model: request['model'],
      output: items.map((item) =>
        encodeItem(item, status === 'in_progress' ? 'in_progress' : 'completed'),
      ),
      parallel_tool_calls: request['parallel_tool_calls'] ?? true,
      previous_response_id: null,
      reasoning: request['reasoning'] ?? { effort: null, summary: null },
      store: false,
      temperature: request['temperature'] ?? null,
      text: request['text'] ?? { format: { type: 'text' } },
      tool_choice: request['tool_choice'] ?? 'auto',
      tools: request['tools'] ?? [],
      top_p: request['top_p'] ?? null,
      truncation: 'disabled',
      usage: finish === undefined ? null : encodeUsage(usage),
    };
  }

  function begin(): string {
    if (hasBegun) return '';
    hasBegun = true;
    return (
      event('response.created', { response: response() }) +
      event('response.in_progress', { response: response() })
    );
  }

  /** Ends the item that is open: the last one, when nothing else follows. */
  function closeLast(): string {
    const at = items.length - 1;
    const item = items[at];
    if (item === undefined) return '';
    const where = { item_id: item.id, output_index: at };
    const done = (): string =>
      event('response.output_item.done', { output_index: at, item: encodeItem(item, 'completed') });
    switch (item.kind) {
      case 'message': {
        const part = { type: 'output_text', text: item.text, annotations: [], logprobs: [] };
        return (
          event('response.output_text.done', {
            ...where,
            content_index: 0,
            text: item.text,
            logprobs: [],
          }) +
          event('response.content_part.done', { ...where, content_index: 0, part }) +
          done()
        );
      }
      case 'reasoning': {
        const part = { type: 'summary_text', text: item.text };
        return (
          event('response.reasoning_summary_text.done', {
            ...where,
            summary_index: 0,
            text: item.text,
          }) +
          event('response.reasoning_summary_part.done', { ...where, summary_index: 0, part }) +
          done()
        );
      }
      case 'call':
        return (
          event('response.function_call_arguments.done', {
            ...where,
            name: item.name,
            arguments: item.input,
          }) + done()
        );
      default:
        return '';
    }
  }

  function open(item: Item): string {
    const closed = items.length === 0 ? '' : closeLast();
    items.push(item);
    const at = items.length - 1;
    const added = event('response.output_item.added', {
      output_index: at,
      item: encodeItem(item, 'in_progress'),
    });
    const where = { item_id: item.id, output_index: at };
    if (item.kind === 'message') {
      const part = { type: 'output_text', text: '', annotations: [], logprobs: [] };
      return (
        closed + added + event('response.content_part.added', { ...where, content_index: 0, part })
      );
    }
    if (item.kind === 'reasoning') {
      return (
        closed +
        added +
        event('response.reasoning_summary_part.added', {
          ...where,
          summary_index: 0,
          part: { type: 'summary_text', text: '' },
        })
      );
    }
    return closed + added;
  }

  function encodeOne(step: LlmEvent): string {
    switch (step.type) {
      case 'text': {
        if (step.text === '') return '';
        const opened =
          items.at(-1)?.kind === 'message'
            ? ''
            : open({ kind: 'message', id: `msg_${id}_${items.length}`, text: '' });
        const item = items.at(-1) as Extract<Item, { kind: 'message' }>;
        item.text += step.text;
        const where = { item_id: item.id, output_index: items.length - 1 };
        return (
          opened +
          event('response.output_text.delta', {
            ...where,
            content_index: 0,
            delta: step.text,
            logprobs: [],
          })
        );
      }
      case 'think': {
        const opened =
          items.at(-1)?.kind === 'reasoning'
            ? ''
            : open({ kind: 'reasoning', id: `rs_${id}_${items.length}`, text: '' });
        const item = items.at(-1) as Extract<Item, { kind: 'reasoning' }>;
        item.text += step.text;
        const where = { item_id: item.id, output_index: items.length - 1 };
        return (
          opened +
          event('response.reasoning_summary_text.delta', {
            ...where,
            summary_index: 0,
            delta: step.text,
          })
        );
      }
      case 'tool': {
        let opened = '';
        let at = calls.get(step.index);
        if (at === undefined) {
          opened = open({
            kind: 'call',
            id: `fc_${id}_${items.length}`,
            callId: step.id ?? `call_${step.index}`,
            name: step.name ?? '',
            input: '',
          });
          at = items.length - 1;
          calls.set(step.index, at);
        }
        const item = items[at];
        if (item?.kind !== 'call' || step.input === undefined) return opened;
        item.input += step.input;
        return (
          opened +
          event('response.function_call_arguments.delta', {
            item_id: item.id,
            output_index: at,
            delta: step.input,
          })
        );
      }
      case 'usage':
        ({ usage } = step);
        return '';
      case 'finish':
        finish = step.reason;
        return '';
      case 'reset':
        items.length = 0;
        calls.clear();
        return '';
      default:
        return '';
    }
  }

  return {
    response,
    encode(batch) {
      let text = '';
      for (const step of batch) {
        // Nothing is told before there is something to tell: until then another target may take over.
        if (tells(step)) text += begin();
        text += encodeOne(step);
      }
      return text;
    },
    end() {
      const begun = begin();
      const closed = closeLast();
      const isCut = finish === 'length' || finish === 'content_filter';
      return (
        begun +
        closed +
        event(isCut ? 'response.incomplete' : 'response.completed', { response: response() })
      );
    },
    fail(why) {
      failure = why;
      const { code, message, param } = why;
      // The openai package gives a failed response out as the final one; only the error event makes it throw.
      return (
        begin() +
        event('response.failed', { response: response() }) +
        event('error', { code, message, param: param ?? null, ...why.toBody() })
      );
    },
  };
}

function tells(step: LlmEvent): boolean {
  return (
    step.type === 'think' || step.type === 'tool' || (step.type === 'text' && step.text !== '')
  );
}

function encodeItem(item: Item, status: 'in_progress' | 'completed'): object {
  switch (item.kind) {
    case 'message':
      return {
        id: item.id,
        type: 'message',
        role: 'assistant',
        status,
        content:
          item.text === ''
            ? []
            : [{ type: 'output_text', text: item.text, annotations: [], logprobs: [] }],
      };
    case 'reasoning':
      return {
        id: item.id,
        type: 'reasoning',
        summary: item.text === '' ? [] : [{ type: 'summary_text', text: item.text }],
      };
    default:
      return {
        id: item.id,
        type: 'function_call',
        status,
        call_id: item.callId,
        name: item.name,
        arguments: item.input,
      };
  }
}

function encodeUsage(usage: Usage | undefined): object {
  const { inputTokens = 0, outputTokens = 0, cachedTokens = 0, reasoningTokens = 0 } = usage ?? {};
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: inputTokens + outputTokens,
  };
}
