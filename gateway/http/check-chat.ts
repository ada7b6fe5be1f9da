/** Checks a chat request where a mistake would otherwise come back from the target in its own words, or not at all. */

import { isObject } from '../events.ts';
import type { JsonObject } from '../events.ts';
import { invalid } from '../failure.ts';

/** Tools of one request. */
const toolsMax = 512;

/** Schemas inside one another. */
const schemaDepthMax = 32;

const roles = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);
const schemaTypes = new Set(['object', 'array', 'string', 'number', 'integer', 'boolean', 'null']);

/** @throws {LlmFailure} invalid, with the field and what to write there. */
export function checkChat(body: JsonObject): void {
  const { messages, n, tools, stream, max_tokens: maxTokens, temperature } = body;
  if (messages === undefined) {
    throw invalid(
      'The request has no messages. Add "messages": [{"role": "user", "content": "…"}].',
      'messages',
      'missing_required_parameter',
    );
  }
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalid('"messages" must be a list with at least one message.', 'messages');
  }
  for (const [at, message] of (messages as unknown[]).entries())
    checkMessage(message, `messages[${at}]`);
  if (n !== undefined && n !== null && n !== 1) {
    throw invalid(
      'One request gives one answer here. Leave "n" out and ask as often as needed.',
      'n',
      'unsupported_value',
    );
  }
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    throw invalid('"stream" must be true or false.', 'stream');
  }
  if (
    maxTokens !== undefined &&
    maxTokens !== null &&
    !(typeof maxTokens === 'number' && maxTokens >= 1)
  ) {
    throw invalid('"max_tokens" must be a number of at least 1.', 'max_tokens');
  }
  if (
    temperature !== undefined &&
    temperature !== null &&
    !(typeof temperature === 'number' && temperature >= 0)
  ) {
    throw invalid('"temperature" must be a number of at least 0.', 'temperature');
  }
  if (tools !== undefined && tools !== null) checkTools(tools);
  checkFormat(body['response_format']);
}

function checkMessage(message: unknown, at: string): void {
  if (!isObject(message)) throw invalid(`"${at}" must be an object with a role and a content.`, at);
  const { role, content } = message;
  if (typeof role !== 'string' || !roles.has(role)) {
    throw invalid(`"${at}.role" must be one of ${[...roles].join(', ')}.`, `${at}.role`);
  }
  const isEmpty = content === undefined || content === null;
  if (
    isEmpty
      ? role === 'user' || role === 'system'
      : typeof content !== 'string' && !Array.isArray(content)
  ) {
    throw invalid(`"${at}.content" must be text or a list of parts.`, `${at}.content`);
  }
  if (role === 'tool' && typeof message['tool_call_id'] !== 'string') {
    throw invalid(
      `"${at}.tool_call_id" must name the call that this is the result of.`,
      `${at}.tool_call_id`,
    );
  }
}

function checkTools(tools: unknown): void {
  if (!Array.isArray(tools) || tools.length > toolsMax) {
    throw invalid(`"tools" must be a list of at most ${toolsMax}.`, 'tools');
  }
  const names = new Set<string>();
  for (const [at, tool] of (tools as unknown[]).entries()) {
    const path = `tools[${at}]`;
    if (!isObject(tool)) throw invalid(`"${path}" must be an object.`, path);
    // Tools of other kinds are the target's own; it says what it thinks of them.
    if (tool['type'] !== undefined && tool['type'] !== 'function') continue;
    const { function: body } = tool;
    if (!isObject(body)) {
      throw invalid(
        `"${path}.function" must be an object with a name and parameters.`,
        `${path}.function`,
      );
    }
    const { name, parameters } = body;
    if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
      throw invalid(
        `"${path}.function.name" must be 1 to 64 letters, digits, "_" or "-".`,
        `${path}.function.name`,
      );
    }
    if (names.has(name))
      throw invalid(`Two tools are called '${name}'. Rename one.`, `${path}.function.name`);
    names.add(name);
    if (parameters !== undefined && parameters !== null) {
      checkSchema(parameters, `${path}.function.parameters`, true);
    }
  }
}

function checkFormat(format: unknown): void {
  if (format === undefined || format === null) return;
  if (!isObject(format) || typeof format['type'] !== 'string') {
    throw invalid('"response_format" must be an object with a type.', 'response_format');
  }
  if (format['type'] !== 'json_schema') return;
  const inner = format['json_schema'];
  if (!isObject(inner) || !isObject(inner['schema'])) {
    throw invalid(
      '"response_format.json_schema" must be an object with a name and a schema.',
      'response_format.json_schema',
    );
  }
  checkSchema(inner['schema'], 'response_format.json_schema.schema', true);
}

/** The shape of a JSON Schema, as far as every target needs it: known types, properties that are schemas, lists that are lists. */
function checkSchema(schema: unknown, at: string, isTop: boolean, depth = 0): void {
  const bad = (what: string, field: string): never => {
    throw invalid(
      `Invalid schema: "${at}${field}" ${what}.`,
      `${at}${field}`,
      'invalid_function_parameters',
    );
  };
  if (depth > schemaDepthMax) bad(`is nested more than ${schemaDepthMax} deep`, '');
  if (typeof schema === 'boolean' && !isTop) return;
  if (!isObject(schema)) return bad('must be a JSON Schema object', '');
  const { type, properties, required, items, enum: allowed } = schema;
  const types: readonly unknown[] = Array.isArray(type) ? type : type === undefined ? [] : [type];
  if (types.some((one) => typeof one !== 'string' || !schemaTypes.has(one))) {
    bad(`must be one of ${[...schemaTypes].join(', ')}`, '.type');
  }
  if (isTop && types.length > 0 && !types.includes('object')) bad('must be "object"', '.type');
  if (properties !== undefined && !isObject(properties))
    bad('must be an object of schemas', '.properties');
  if (isObject(properties)) {
    for (const [name, inner] of Object.entries(properties)) {
      checkSchema(inner, `${at}.properties.${name}`, false, depth + 1);
    }
  }
  if (
    required !== undefined &&
    !(Array.isArray(required) && required.every((one) => typeof one === 'string'))
  ) {
    bad('must be a list of names', '.required');
  }
  if (allowed !== undefined && !(Array.isArray(allowed) && allowed.length > 0)) {
    bad('must be a list with at least one value', '.enum');
  }
  if (items !== undefined) {
    for (const inner of Array.isArray(items) ? (items as unknown[]) : [items]) {
      checkSchema(inner, `${at}.items`, false, depth + 1);
    }
  }
  for (const word of ['anyOf', 'oneOf', 'allOf'] as const) {
    const list = schema[word];
    if (list === undefined) continue;
    if (!Array.isArray(list) || list.length === 0)
      return bad('must be a list of schemas', `.${word}`);
    for (const inner of list as unknown[]) checkSchema(inner, `${at}.${word}`, false, depth + 1);
  }
}
