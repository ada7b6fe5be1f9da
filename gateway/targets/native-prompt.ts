/** Translates an OpenAI chat request into the call of a provider library (LanguageModelV3 of the AI SDK). */

import { isObject, textOf } from '../events.ts';
import type { JsonObject } from '../events.ts';
import { invalid } from '../failure.ts';
import { statedOutput } from '../policy/estimate.ts';

/** Fields of a call, as far as they are used here. */
export interface NativeCall {
  readonly prompt: readonly object[];
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly stopSequences?: readonly string[];
  readonly responseFormat?: object;
  readonly tools?: readonly object[];
  readonly toolChoice?: object;
  readonly abortSignal: AbortSignal;
}

/** @throws {LlmFailure} invalid for what the provider has no word for. */
export function toNativeCall(body: JsonObject, abortSignal: AbortSignal): NativeCall {
  const limit = statedOutput(body);
  const { temperature, top_p: topP, seed, stop } = body;
  const tools = toolsOf(body['tools']);
  const toolChoice = choiceOf(body['tool_choice']);
  const responseFormat = formatOf(body['response_format']);
  return {
    prompt: promptOf(body['messages'] as readonly JsonObject[]),
    abortSignal,
    ...(limit === undefined ? {} : { maxOutputTokens: limit }),
    ...(typeof temperature === 'number' ? { temperature } : {}),
    ...(typeof topP === 'number' ? { topP } : {}),
    ...(typeof seed === 'number' ? { seed } : {}),
    ...(stop === undefined || stop === null ? {} : { stopSequences: [stop].flat() as string[] }),
    ...(tools === undefined ? {} : { tools }),
    ...(toolChoice === undefined || tools === undefined ? {} : { toolChoice }),
    ...(responseFormat === undefined ? {} : { responseFormat }),
  };
}

function promptOf(messages: readonly JsonObject[]): readonly object[] {
  const names = new Map<unknown, unknown>();
  return messages.map((message, at) => {
    const { role, content } = message;
    if (role === 'system' || role === 'developer')
      return { role: 'system', content: plain(content) };
    if (role === 'user')
      return { role: 'user', content: partsOf(content, `messages[${at}].content`) };
    if (role === 'tool') {
      const id = message['tool_call_id'];
      const output = { type: 'text', value: plain(content) };
      return {
        role: 'tool',
        content: [{ type: 'tool-result', toolCallId: id, toolName: names.get(id) ?? '', output }],
      };
    }
    const calls = Array.isArray(message['tool_calls'])
      ? (message['tool_calls'] as JsonObject[])
      : [];
    const made = calls.map((call) => {
      const body = isObject(call['function']) ? call['function'] : {};
      names.set(call['id'], body['name']);
      return {
        type: 'tool-call',
        toolCallId: call['id'],
        toolName: body['name'],
        input: inputOf(body['arguments']),
      };
    });
    const text = plain(content);
    return {
      role: 'assistant',
      content: [...(text === '' ? [] : [{ type: 'text', text }]), ...made],
    };
  });
}

function plain(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part) => (isObject(part) ? (textOf(part['text']) ?? '') : '')).join('');
}

function partsOf(content: unknown, at: string): readonly object[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return (content as readonly JsonObject[]).map((part, index) => {
    if (part['type'] === 'text') return { type: 'text', text: textOf(part['text']) ?? '' };
    const image = part['image_url'];
    const url = isObject(image) ? textOf(image['url']) : textOf(image);
    if (part['type'] !== 'image_url' || url === undefined) {
      throw invalid(
        `"${at}[${index}]" is of a kind that this target does not take. Send text or image_url.`,
        `${at}[${index}].type`,
        'unsupported_value',
      );
    }
    const inline = /^data:([^;,]+);base64,(.*)$/s.exec(url);
    if (inline !== null) return { type: 'file', mediaType: inline[1], data: inline[2] };
    return { type: 'file', mediaType: 'image/*', data: new URL(url) };
  });
}

function inputOf(input: unknown): unknown {
  try {
    return JSON.parse(textOf(input) ?? '{}') as unknown;
  } catch {
    return {};
  }
}

function toolsOf(tools: unknown): readonly object[] | undefined {
  if (!Array.isArray(tools) || tools.length === 0) return undefined;
  return (tools as readonly JsonObject[]).map((tool) => {
    const body = isObject(tool['function']) ? tool['function'] : {};
    const description = textOf(body['description']);
    return {
      type: 'function',
      name: body['name'],
      inputSchema: body['parameters'] ?? { type: 'object', properties: {} },
      ...(description === undefined ? {} : { description }),
    };
  });
}

function choiceOf(choice: unknown): object | undefined {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return { type: choice };
  if (!isObject(choice) || !isObject(choice['function'])) return undefined;
  return { type: 'tool', toolName: choice['function']['name'] };
}

function formatOf(format: unknown): object | undefined {
  if (!isObject(format) || format['type'] === 'text') return undefined;
  const inner = isObject(format['json_schema']) ? format['json_schema'] : {};
  const name = textOf(inner['name']);
  return {
    type: 'json',
    ...(inner['schema'] === undefined ? {} : { schema: inner['schema'] }),
    ...(name === undefined ? {} : { name }),
  };
}
