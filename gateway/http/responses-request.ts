/** Translates a stateless `/v1/responses` request into a chat request. */

import { isObject, textOf } from '../events.ts';
import type { JsonObject } from '../events.ts';
import { invalid } from '../failure.ts';

/** Fields that ask the server to remember something. */
const stateful: Readonly<Record<string, string>> = {
  previous_response_id: 'Send the whole conversation in "input" instead.',
  conversation: 'Send the whole conversation in "input" instead.',
  background: 'Wait for the answer, or stream it.',
  prompt: 'Send the text of the prompt instead.',
};

/**
 * The chat request that means the same.
 * @throws {LlmFailure} invalid: unsupported_value for whatever needs a memory, or tools that only OpenAI runs.
 */
export function toChatRequest(body: JsonObject): JsonObject {
  for (const [field, fix] of Object.entries(stateful)) {
    const value = body[field];
    if (value === undefined || value === null || value === false) continue;
    throw invalid(
      `"${field}" is not supported: this gateway keeps no responses. ${fix}`,
      field,
      'unsupported_parameter',
    );
  }
  if (body['store'] === true) {
    throw invalid(
      '"store" is not supported: this gateway keeps no responses. Leave it out or send false.',
      'store',
      'unsupported_parameter',
    );
  }
  const chat: Record<string, unknown> = {
    model: body['model'],
    messages: messagesOf(body),
    ...picked(body, [
      'temperature',
      'top_p',
      'stream',
      'user',
      'metadata',
      'seed',
      'parallel_tool_calls',
      'service_tier',
      'top_logprobs',
    ]),
  };
  const limit = body['max_output_tokens'];
  if (limit !== undefined && limit !== null) chat['max_tokens'] = limit;
  const reasoning = body['reasoning'];
  if (isObject(reasoning) && reasoning['effort'] !== undefined && reasoning['effort'] !== null) {
    chat['reasoning_effort'] = reasoning['effort'];
  }
  const tools = toolsOf(body['tools']);
  if (tools !== undefined) chat['tools'] = tools;
  const choice = body['tool_choice'];
  if (choice !== undefined && choice !== null) {
    chat['tool_choice'] =
      isObject(choice) && choice['type'] === 'function'
        ? { type: 'function', function: { name: choice['name'] } }
        : choice;
  }
  const text = body['text'];
  if (isObject(text)) {
    const format = formatOf(text['format']);
    if (format !== undefined) chat['response_format'] = format;
  }
  return chat;
}

function picked(body: JsonObject, fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    fields.flatMap((field) => {
      const value = body[field];
      return value === undefined || value === null ? [] : [[field, value]];
    }),
  );
}

function messagesOf(body: JsonObject): unknown[] {
  const { input, instructions } = body;
  const messages: Record<string, unknown>[] = [];
  if (typeof instructions === 'string') messages.push({ role: 'system', content: instructions });
  if (typeof input === 'string') messages.push({ role: 'user', content: input });
  else if (Array.isArray(input)) {
    for (const [at, item] of (input as unknown[]).entries())
      addItem(messages, item, `input[${at}]`);
  } else {
    throw invalid(
      'The request has no input. Add "input": a text or a list of messages.',
      'input',
      'missing_required_parameter',
    );
  }
  return messages;
}

function addItem(messages: Record<string, unknown>[], item: unknown, at: string): void {
  if (!isObject(item)) throw invalid(`"${at}" must be an object.`, at);
  switch (item['type'] ?? 'message') {
    case 'message':
      messages.push({
        role: item['role'] === 'developer' ? 'system' : item['role'],
        content: contentOf(item['content'], at),
      });
      return;
    case 'function_call': {
      const call = {
        id: item['call_id'],
        type: 'function',
        function: { name: item['name'], arguments: item['arguments'] ?? '{}' },
      };
      const last = messages.at(-1);
      // Calls that were made together stand in one message.
      if (last?.['role'] === 'assistant' && Array.isArray(last['tool_calls']))
        last['tool_calls'].push(call);
      else messages.push({ role: 'assistant', content: null, tool_calls: [call] });
      return;
    }
    case 'function_call_output': {
      const { output } = item;
      const content = typeof output === 'string' ? output : contentOf(output, at);
      messages.push({ role: 'tool', tool_call_id: item['call_id'], content });
      return;
    }
    case 'reasoning':
      // Thoughts of an earlier answer cannot be handed back in a chat.
      return;
    case 'item_reference':
      throw invalid(
        `"${at}" refers to something that was kept. This gateway keeps nothing: send the item itself.`,
        at,
        'unsupported_parameter',
      );
    default:
      throw invalid(
        `"${at}.type" is '${String(item['type']).slice(0, 40)}', which is not supported here. Use messages, function_call and function_call_output.`,
        `${at}.type`,
        'unsupported_value',
      );
  }
}

/** Parts by the names of the chat format; a single text becomes plain text, which every server takes. */
function contentOf(content: unknown, at: string): unknown {
  if (typeof content === 'string' || content === undefined || content === null)
    return content ?? '';
  if (!Array.isArray(content))
    throw invalid(`"${at}.content" must be text or a list of parts.`, `${at}.content`);
  const parts = (content as unknown[]).map((part, index) =>
    partOf(part, `${at}.content[${index}]`),
  );
  return parts.every((part) => part['type'] === 'text')
    ? parts.map((part) => part['text']).join('')
    : parts;
}

function partOf(part: unknown, at: string): JsonObject {
  if (!isObject(part)) throw invalid(`"${at}" must be an object.`, at);
  switch (part['type']) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return { type: 'text', text: textOf(part['text']) ?? '' };
    case 'refusal':
      return { type: 'text', text: textOf(part['refusal']) ?? '' };
    case 'input_image': {
      const url = textOf(part['image_url']);
      if (url === undefined)
        throw invalid(
          `"${at}" has no image_url. Files by id are not kept here: send the picture itself.`,
          at,
          'unsupported_value',
        );
      const detail = textOf(part['detail']);
      return { type: 'image_url', image_url: { url, ...(detail === undefined ? {} : { detail }) } };
    }
    case 'input_file': {
      const { filename, file_data: data } = part;
      if (typeof data !== 'string')
        throw invalid(
          `"${at}" has no file_data. Files by id are not kept here: send the file itself.`,
          at,
          'unsupported_value',
        );
      return { type: 'file', file: { filename, file_data: data } };
    }
    case 'input_audio':
      return { type: 'input_audio', input_audio: part['input_audio'] };
    default:
      throw invalid(
        `"${at}.type" is '${String(part['type']).slice(0, 40)}', which is not supported here.`,
        `${at}.type`,
        'unsupported_value',
      );
  }
}

function toolsOf(tools: unknown): unknown[] | undefined {
  if (tools === undefined || tools === null) return undefined;
  if (!Array.isArray(tools)) throw invalid('"tools" must be a list.', 'tools');
  if (tools.length === 0) return undefined;
  return (tools as unknown[]).map((tool, at) => {
    if (!isObject(tool)) throw invalid(`"tools[${at}]" must be an object.`, `tools[${at}]`);
    if (tool['type'] !== 'function') {
      throw invalid(
        `"tools[${at}].type" is '${String(tool['type']).slice(0, 40)}': tools that the provider runs are not supported here. Use functions.`,
        `tools[${at}].type`,
        'unsupported_value',
      );
    }
    const { name, description, parameters, strict } = tool;
    return {
      type: 'function',
      function: {
        name,
        ...(description === undefined || description === null ? {} : { description }),
        ...(parameters === undefined || parameters === null ? {} : { parameters }),
        ...(strict === undefined || strict === null ? {} : { strict }),
      },
    };
  });
}

function formatOf(format: unknown): JsonObject | undefined {
  if (!isObject(format) || format['type'] === 'text') return undefined;
  if (format['type'] !== 'json_schema') return format;
  const { name, schema, strict, description } = format;
  return {
    type: 'json_schema',
    json_schema: {
      name,
      schema,
      ...(strict === undefined || strict === null ? {} : { strict }),
      ...(description === undefined || description === null ? {} : { description }),
    },
  };
}
